//! Documents as JSON lines, with the fields that Tidewell adds.

use std::fmt::Write;

use uuid::Uuid;

use crate::domain::document::{TENANT_FIELD, VECTOR_FIELD, VERSION_FIELD};

/// Appends a document as one line. `body` is a JSON object, judged at the door: it holds none of the fields added here.
pub(super) fn push_line(lines: &mut String, organization_id: Uuid, version: i64, vector: Option<&[f32]>, body: &str) {
    let rest = body.trim().strip_prefix('{').unwrap_or("}").trim_start();
    // Writing to a String can't fail.
    let _ = write!(lines, r#"{{"{TENANT_FIELD}":"{organization_id}","{VERSION_FIELD}":{version}"#);
    if let Some(vector) = vector {
        push_vector(lines, vector);
    }
    if !rest.starts_with('}') {
        lines.push(',');
    }
    let start = lines.len();
    lines.push_str(rest);
    // Line breaks stand between tokens only; within strings JSON escapes them.
    if rest.contains(['\n', '\r']) {
        let flat = lines[start..].replace(['\n', '\r'], " ");
        lines.truncate(start);
        lines.push_str(&flat);
    }
    lines.push('\n');
}

/// The length that vectors are written with. Typesense compares their directions alone, and parses a stored document with all its digits
/// for every hit: whole numbers of at most four take it a third of the time that the model's own take, and move a cosine by some 1e-5.
const VECTOR_LENGTH: f64 = 10_000.0;

/// Appends the field of a vector, with the comma before it.
fn push_vector(lines: &mut String, vector: &[f32]) {
    let length = vector.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt();
    let scale = VECTOR_LENGTH / length.max(f64::MIN_POSITIVE);
    let _ = write!(lines, r#","{VECTOR_FIELD}":["#);
    for (n, number) in vector.iter().enumerate() {
        let _ = write!(lines, "{}{}", if n == 0 { "" } else { "," }, (f64::from(*number) * scale).round() as i32);
    }
    lines.push(']');
}

/// A document with its vector; `body` is a JSON object without one.
pub(super) fn with_vector(body: &str, vector: &[f32]) -> String {
    let mut line = body.trim_end().strip_suffix('}').unwrap_or(body).to_owned();
    push_vector(&mut line, vector);
    line.push('}');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(body: &str) -> String {
        let mut lines = String::new();
        push_line(&mut lines, Uuid::nil(), 7, None, body);
        lines
    }

    #[test]
    fn a_line_is_the_document_with_its_tenant_and_version() {
        let expected = r#"{"tenantId":"00000000-0000-0000-0000-000000000000","_tidewell_version":7,"id":"a"}"#;
        assert_eq!(line(r#"{"id":"a"}"#), format!("{expected}\n"));
        assert_eq!(line(" { \"id\":\"a\"}\n"), format!("{expected}\n"));
    }

    #[test]
    fn a_document_takes_the_direction_of_its_vector_along() {
        let vector = [0.3, -1.5e-7, -0.4];
        let mut line = String::new();
        push_line(&mut line, Uuid::nil(), 7, Some(&vector), r#"{"id":"a"}"#);
        for document in [line, with_vector("{\"id\":\"a\"} ", &vector)] {
            let document: serde_json::Value = serde_json::from_str(&document).unwrap();
            assert_eq!((&document["id"], &document["_tidewell_vector"]), (&json!("a"), &json!([6000, 0, -8000])));
        }
    }

    #[test]
    fn a_vector_of_any_length_keeps_its_direction() {
        let written = |vector: &[f32]| {
            let mut field = String::new();
            push_vector(&mut field, vector);
            field
        };
        assert_eq!(written(&[3e-20, 4e-20]), written(&[0.6, 0.8]));
        assert_eq!(written(&[3e15, 4e15]), written(&[0.6, 0.8]));
        assert!(written(&[0.0, 0.0]).ends_with(":[0,0]"));
    }

    #[test]
    fn a_document_written_over_several_lines_becomes_one() {
        let line = line("{\n  \"id\": \"a\",\r\n  \"n\": [\n1]}");
        assert_eq!(line.matches(['\n', '\r']).count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["n"][0], 1);
    }
}
