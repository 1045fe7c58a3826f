//! JSON that a command is given: in line, or in a file.

use anyhow::Context;

/// The text itself where it begins as JSON does, else what the file of that name holds.
pub(super) fn json_or_file(given: &str, what: &str) -> anyhow::Result<String> {
    match given.trim_start().starts_with(['[', '{']) {
        true => Ok(given.to_owned()),
        false => std::fs::read_to_string(given).with_context(|| format!("the {what} in {given} can't be read")),
    }
}
