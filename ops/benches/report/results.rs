//! `report`: figures that were saved, as a page and a picture beside this code.

use std::{fs, path::Path, time::SystemTime};

use anyhow::Context;
use chrono::{DateTime, Utc};

use super::{Row, digits, machine, plot};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/benches");
/// Between the name of a cost that grows, and the size that it was measured at.
pub(super) const STEP: &str = "_at_";
const MAIN: [&str; 6] = ["accept", "drain", "fresh", "sync", "search", "embed"];

/// Reads what `--json` has printed into files; of figures of one name the last counts.
pub(crate) fn load(files: &[impl AsRef<Path>]) -> anyhow::Result<(Vec<Row>, SystemTime)> {
    let (mut rows, mut measured) = (Vec::<Row>::new(), SystemTime::UNIX_EPOCH);
    for file in files.iter().map(AsRef::as_ref) {
        let told = || format!("{} is not what `ops/bench --json` prints", file.display());
        let more: Vec<Row> = serde_json::from_str(&fs::read_to_string(file).with_context(told)?).with_context(told)?;
        for row in more {
            match rows.iter_mut().find(|known| known.name == row.name) {
                Some(known) => *known = row,
                None => rows.push(row),
            }
        }
        measured = measured.max(fs::metadata(file)?.modified()?);
    }
    Ok((rows, measured))
}

/// Writes `RESULTS.md` and `results.svg`.
pub(crate) fn write(rows: &[Row], measured: SystemTime) -> anyhow::Result<()> {
    let folder = Path::new(FOLDER);
    plot::draw(rows, &folder.join("results.svg"))?;
    fs::write(folder.join("RESULTS.md"), page(rows, measured))?;
    Ok(())
}

fn page(rows: &[Row], measured: SystemTime) -> String {
    let day = DateTime::<Utc>::from(measured).format("%Y-%m-%d");
    let (main, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| MAIN.contains(&row.name.as_str()));
    let mut lines = vec![
        "# What was measured".to_owned(),
        String::new(),
        "`ops/bench report` writes this page. Each limit is measured in the same run, in turns with its figure, on the same servers;".to_owned(),
        "a ratio above 1 is better than its limit. The ratios are what to read: a machine's own speed varies. What decides the figures is".to_owned(),
        "told in [ARCHITECTURE.md](../../ARCHITECTURE.md#how-fast-and-what-decides-it). Growth and rivals are measured in runs of their own.".to_owned(),
        String::new(),
        format!("Measured {day}, on {}. {}", machine::told(), machine::versions()),
        String::new(),
        "![Ratios as bars against their limits, and how costs grow](results.svg)".to_owned(),
        String::new(),
        "| figure | value | limit | ratio | unit | |".to_owned(),
        "|---|--:|--:|--:|---|---|".to_owned(),
    ];
    lines.extend(main.into_iter().map(|row| line(row, "**", &row.note)));
    for row in others.into_iter().filter(|row| !row.name.contains(STEP)) {
        let steps = steps(rows, &row.name);
        lines.push(line(row, "", if steps.is_empty() { &row.note } else { &steps }));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What a figure is at each size, where it grows.
fn steps(rows: &[Row], name: &str) -> String {
    let step = |row: &Row| {
        let size = row.name.strip_prefix(name)?.strip_prefix(STEP)?;
        Some(format!("at {size}: {}", digits(row.value)))
    };
    rows.iter().filter_map(step).collect::<Vec<_>>().join(", ")
}

fn line(row: &Row, emphasis: &str, note: &str) -> String {
    let limit = row.limit.map(digits).unwrap_or_default();
    let ratio = row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    let Row { name, unit, .. } = row;
    format!("| {emphasis}`{name}`{emphasis} | {} | {limit} | {ratio} | {unit} | {note} |", digits(row.value))
}
