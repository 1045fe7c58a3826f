//! What a command is given in line or elsewhere: JSON in a file, secrets on stdin.

use anyhow::Context;
use tidewell::domain::sensitive::Sensitive;

/// The text itself where it begins as JSON does, else what the file of that name holds.
pub(super) fn json_or_file(given: &str, what: &str) -> anyhow::Result<String> {
    match given.trim_start().starts_with(['[', '{']) {
        true => Ok(given.to_owned()),
        false => std::fs::read_to_string(given).with_context(|| format!("the {what} in {given} can't be read")),
    }
}

/// What the file of that name holds, or for `-` stdin.
pub(super) fn file_or_stdin(given: &str, what: &str) -> anyhow::Result<String> {
    let read = if given == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(given) };
    read.with_context(|| format!("the {what} in {given} can't be read"))
}

/// The text itself, or for `-` the next line of stdin, where no list of processes and no shell's history shows it.
pub(super) fn sensitive(given: &Sensitive, what: &str) -> anyhow::Result<Sensitive> {
    if given.expose() != "-" {
        return Ok(given.clone());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).with_context(|| format!("the {what} can't be read from stdin"))?;
    Ok(Sensitive::new(line.trim_end_matches(['\r', '\n'])))
}
