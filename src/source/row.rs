//! One row as a document: its id, the hash of what it holds, and the JSON that is sent.

use serde_json::value::RawValue;
use sqlx::{Row as _, ValueRef, postgres::PgRow};
use xxhash_rust::xxh3::Xxh3;

use super::column::Wire;
use crate::domain::document::{MAX_DOCUMENT_BYTES, MAX_ID_BYTES};

/// A row of the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The values of the scanned key, as texts.
    pub key: Vec<String>,
    /// The id of its document.
    pub id: String,
    /// Of its values and of the mapping that made them: the same for a row that has not changed.
    pub hash: u64,
    /// Whether the row was read whole; one that a cursor column calls old was not.
    pub is_whole: bool,
    pub document: Document,
}

/// The JSON of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Nobody wanted it.
    Unmade,
    /// One line.
    Made(String),
    Impossible(RowFault),
}

/// Why a row can't be a document, whatever Typesense would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    pub code: &'static str,
    pub message: String,
}

/// The fields of a statement's rows, from its first value on.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    /// By position: the field's name as a JSON text with its colon, and its wire type.
    fields: Vec<(String, Wire)>,
    seed: u64,
}

/// One row's values as they came.
pub(super) struct Values<'r> {
    row: &'r PgRow,
    first: usize,
}

impl<'r> Values<'r> {
    pub(super) fn of(row: &'r PgRow, first: usize) -> Self {
        Self { row, first }
    }

    fn bytes(&self, position: usize) -> Result<Option<&'r [u8]>, sqlx::Error> {
        let value = self.row.try_get_raw(self.first + position)?;
        if value.is_null() {
            return Ok(None);
        }
        value.as_bytes().map(Some).map_err(sqlx::Error::Decode)
    }
}

impl Fields {
    /// `seed` makes hashes of another mapping differ.
    pub(super) fn new<'a>(fields: impl IntoIterator<Item = (&'a str, Wire)>, seed: u64) -> Self {
        let quoted = |name: &str| format!("{}:", serde_json::Value::from(name));
        Self { fields: fields.into_iter().map(|(name, wire)| (quoted(name), wire)).collect(), seed }
    }

    pub(super) fn hash(&self, values: &Values<'_>) -> Result<u64, sqlx::Error> {
        let mut hash = Xxh3::with_seed(self.seed);
        for position in 0..self.fields.len() {
            match values.bytes(position)? {
                None => hash.update(&[0]),
                Some(bytes) => {
                    hash.update(&[1]);
                    hash.update(&(bytes.len() as u64).to_le_bytes());
                    hash.update(bytes);
                }
            }
        }
        Ok(hash.digest())
    }

    /// The document as one line of JSON.
    pub(super) fn document(&self, id: &str, values: &Values<'_>) -> Result<Document, sqlx::Error> {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            let message = format!("the row's id has {} bytes, and must have 1 to {MAX_ID_BYTES}", id.len());
            return Ok(Document::Impossible(RowFault { code: "invalid_id", message }));
        }
        let mut line = format!("{{\"id\":{}", serde_json::Value::from(id));
        for (position, (name, wire)) in self.fields.iter().enumerate() {
            let Some(bytes) = values.bytes(position)? else { continue };
            let start = line.len();
            line.push(',');
            line.push_str(name);
            match push_value(&mut line, *wire, bytes) {
                Ok(true) => {}
                Ok(false) => line.truncate(start),
                Err(what) => {
                    let message = format!("the value of {} {what}", name.trim_end_matches(':'));
                    return Ok(Document::Impossible(RowFault { code: "unfit_value", message }));
                }
            }
        }
        line.push('}');
        if line.len() > MAX_DOCUMENT_BYTES {
            let message =
                format!("the row makes a document of {} bytes, and {MAX_DOCUMENT_BYTES} is the most", line.len());
            return Ok(Document::Impossible(RowFault { code: "document_too_large", message }));
        }
        Ok(Document::Made(line))
    }
}

/// Appends a value; false where it stands for none.
///
/// # Errors
/// What is wrong with the value.
fn push_value(line: &mut String, wire: Wire, bytes: &[u8]) -> Result<bool, &'static str> {
    const UNREADABLE: &str = "can't be read";
    const TOO_LARGE: &str =
        "is too large for its field: give its column another type in field_config, such as int64 or string";
    let text = || std::str::from_utf8(bytes).map_err(|_| UNREADABLE);
    match wire {
        Wire::Int(bits) | Wire::Whole(bits) => {
            let number = match wire {
                Wire::Int(_) => i64::from_be_bytes(bytes.try_into().map_err(|_| UNREADABLE)?),
                _ => text()?.parse().map_err(|_| TOO_LARGE)?,
            };
            if !bits.hold(number) {
                return Err(TOO_LARGE);
            }
            line.push_str(&number.to_string());
        }
        Wire::Float => {
            let number = f64::from_be_bytes(bytes.try_into().map_err(|_| UNREADABLE)?);
            let Some(number) = serde_json::Number::from_f64(number) else { return Ok(false) };
            line.push_str(&number.to_string());
        }
        Wire::Bool => line.push_str(if bytes.first() == Some(&0) { "false" } else { "true" }),
        Wire::Text => line.push_str(&serde_json::to_string(text()?).map_err(|_| UNREADABLE)?),
        Wire::Json => {
            let json = text()?.trim();
            if json == "null" {
                return Ok(false);
            }
            serde_json::from_str::<&RawValue>(json).map_err(|_| "is no JSON that can be read")?;
            // Line breaks stand between tokens only; within strings JSON escapes them.
            line.extend(json.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        }
    }
    Ok(true)
}

/// The document id of the values of the id's columns, as texts: of one column its text, of several joined by colons, so escaped that
/// two rows never share an id.
pub(super) fn join_id<'a>(values: impl ExactSizeIterator<Item = &'a str>) -> String {
    if values.len() == 1 {
        return values.map(str::to_owned).collect();
    }
    let escaped: Vec<String> = values.map(|value| value.replace('%', "%25").replace(':', "%3A")).collect();
    escaped.join(":")
}

/// The texts that [`join_id`] made an id of.
pub fn split_id(id: &str, columns: usize) -> Vec<String> {
    if columns == 1 {
        return vec![id.to_owned()];
    }
    id.split(':').map(|part| part.replace("%3A", ":").replace("%25", "%")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::column::Bits;

    fn pushed(wire: Wire, bytes: &[u8]) -> Result<Option<String>, &'static str> {
        let mut line = String::new();
        push_value(&mut line, wire, bytes).map(|is_there| is_there.then_some(line))
    }

    #[test]
    fn values_are_written_as_typesense_reads_them() {
        let written = |wire, bytes: &[u8]| pushed(wire, bytes).unwrap().unwrap();
        assert_eq!(written(Wire::Int(Bits::B64), &i64::MAX.to_be_bytes()), "9223372036854775807");
        assert_eq!(written(Wire::Whole(Bits::B64), b"-12"), "-12");
        assert_eq!(written(Wire::Float, &0.1f64.to_be_bytes()), "0.1");
        assert_eq!(pushed(Wire::Float, &f64::NAN.to_be_bytes()), Ok(None));
        assert_eq!(pushed(Wire::Float, &f64::INFINITY.to_be_bytes()), Ok(None));
        assert_eq!(written(Wire::Text, "a\"\n\u{1}ü".as_bytes()), "\"a\\\"\\n\\u0001ü\"");
        assert_eq!(written(Wire::Json, b"{\"a\":\n[1]}"), "{\"a\": [1]}");
        assert_eq!(pushed(Wire::Json, b" null"), Ok(None));
    }

    #[test]
    fn a_number_that_its_field_does_not_hold_is_no_document() {
        assert!(pushed(Wire::Int(Bits::B32), &3_000_000_000_i64.to_be_bytes()).is_err());
        assert!(pushed(Wire::Whole(Bits::B32), b"3000000000").is_err());
        assert!(pushed(Wire::Whole(Bits::B64), b"9300000000000000000").is_err());
        assert!(pushed(Wire::Json, b"{").is_err());
    }

    #[test]
    fn an_id_is_taken_apart_as_it_was_joined() {
        for values in [["a:b", "%3A"], ["", "%25:"], ["x", ""]] {
            assert_eq!(split_id(&join_id(values.into_iter()), 2), values);
        }
        assert_eq!(split_id("a:b", 1), ["a:b"]);
    }

    #[test]
    fn no_two_rows_share_an_id() {
        assert_eq!(join_id(["a:b"].into_iter()), "a:b");
        assert_eq!(join_id(["a:b", "c"].into_iter()), "a%3Ab:c");
        assert_ne!(join_id(["a", "b:c"].into_iter()), join_id(["a:b", "c"].into_iter()));
        assert_ne!(join_id(["a%3A", ""].into_iter()), join_id(["a:", ""].into_iter()));
    }
}
