//! What a command prints: a table or a record for a person, the API's JSON for a program.

use std::{
    io::{self, Write},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::Session;

impl Session {
    /// Prints `value` as JSON where that is asked for, else the text.
    pub(super) fn show(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self.json {
            true => line(&serde_json::to_string_pretty(value)?),
            false => line(text().trim_end()),
        }
        Ok(())
    }
}

/// Prints to stdout. That nobody reads any more (`… | head`) is no fault.
pub(super) fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// The last word of a command that failed: one line on stderr that says what to do.
pub(crate) fn failure(json: bool, error: &anyhow::Error) {
    let message = reason(error);
    let _ = match json {
        true => writeln!(io::stderr(), "{}", serde_json::json!({ "error": message })),
        false => writeln!(io::stderr(), "tidewell: {message}"),
    };
}

/// The error with its causes, but for those that it tells itself.
fn reason(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

/// Columns under their names; those named in `numbers` stand to the right.
pub(super) fn table<const N: usize>(
    names: [&str; N],
    numbers: &[&str],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(names.map(str::to_uppercase));
    for row in rows {
        table.add_row(row);
    }
    for (column, name) in table.column_iter_mut().zip(names) {
        column.set_padding((0, 2));
        if numbers.contains(&name) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.trim_fmt();
    if table.is_empty() { "none".to_owned() } else { text }
}

/// Names and values, one pair a line.
pub(super) fn record<const N: usize>(pairs: [(&str, String); N]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = pairs.map(|(name, value)| format!("{name:width$}  {value}"));
    lines.join("\n")
}

/// A word as the API writes it.
pub(super) fn word(value: impl Serialize) -> String {
    serde_json::json!(value).as_str().unwrap_or_default().to_owned()
}

/// A moment, to the second.
pub(super) fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A moment that may be missing.
pub(super) fn maybe_time(moment: Option<DateTime<Utc>>) -> String {
    moment.map_or_else(nothing, time)
}

/// What stands where there is nothing.
pub(super) fn nothing() -> String {
    "-".to_owned()
}

/// The text, or what stands where there is none.
pub(super) fn maybe(text: Option<impl ToString>) -> String {
    text.map_or_else(nothing, |text| text.to_string())
}

/// At most `length` characters of the first line of a text.
pub(super) fn short(text: &str, length: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    match first.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &first[..end]),
        None => first.to_owned(),
    }
}

/// A length of time in its two largest units.
pub(super) fn age(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m {s}s"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, h, _, _) => format!("{d}d {h}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_two_units() {
        let told = [-1.0, 0.4, 59.9, 61.0, 3600.0, 90_061.0].map(age);
        assert_eq!(told, ["0s", "0s", "59s", "1m 1s", "1h 0m", "1d 1h"]);
    }
}
