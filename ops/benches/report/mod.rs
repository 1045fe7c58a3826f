//! Figures, and how they are shown.

mod machine;
mod plot;
mod results;

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

pub(crate) use results::{load, write};

/// One figure.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) limit: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) unit: String,
    /// What the limit is, and the settings that it was measured with; for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

impl Row {
    /// Something of which more is better; the ratio is value ÷ limit.
    pub(crate) fn rate(name: &str, value: f64, limit: f64, unit: &str) -> Self {
        Self::new(name, value, Some(limit), Some(value / limit), unit)
    }

    /// Something of which less is better; the ratio is limit ÷ value, so that higher is better here, too.
    pub(crate) fn bound(name: &str, value: f64, limit: f64, unit: &str) -> Self {
        Self::new(name, value, Some(limit), Some(limit / value).filter(|ratio| ratio.is_finite()), unit)
    }

    /// Something that has no limit of its own.
    pub(crate) fn plain(name: &str, value: f64, unit: &str) -> Self {
        Self::new(name, value, None, None, unit)
    }

    fn new(name: &str, value: f64, limit: Option<f64>, ratio: Option<f64>, unit: &str) -> Self {
        Self { name: name.to_owned(), value, limit, ratio, unit: unit.to_owned(), note: String::new() }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

pub(crate) fn json(rows: &[Row]) -> serde_json::Result<String> {
    serde_json::to_string(rows)
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["", "value", "limit", "ratio", "unit", ""]);
    for row in rows {
        let limit = row.limit.map(digits).unwrap_or_default();
        let ratio = row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        table.add_row([&row.name, &digits(row.value), &limit, &ratio, &row.unit, &row.note]);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// Three digits that count, or all before the point.
pub(crate) fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{number:.decimals$}")
}

/// The middle one, or of two the mean.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    percentile(numbers, 0.5)
}

/// By linear interpolation between the two nearest.
pub(crate) fn percentile(numbers: &[f64], part: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = part * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// `12 300`, for messages.
pub(crate) fn rounded(number: f64) -> String {
    format!("{number:.0}")
}
