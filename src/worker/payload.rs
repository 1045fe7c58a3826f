//! Documents as JSON lines, with the fields that Tidewell adds.

use std::fmt::Write;

use uuid::Uuid;

use crate::domain::document::{TENANT_FIELD, VERSION_FIELD};

/// Appends a document as one line. `body` is a JSON object, judged at the door: it holds neither of the fields added here.
pub(super) fn push_line(lines: &mut String, organization_id: Uuid, version: i64, body: &str) {
    let rest = body.trim().strip_prefix('{').unwrap_or("}").trim_start();
    // Writing to a String can't fail.
    let _ = write!(lines, r#"{{"{TENANT_FIELD}":"{organization_id}","{VERSION_FIELD}":{version}"#);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: &str) -> String {
        let mut lines = String::new();
        push_line(&mut lines, Uuid::nil(), 7, body);
        lines
    }

    #[test]
    fn a_line_is_the_document_with_its_tenant_and_version() {
        let expected = r#"{"tenantId":"00000000-0000-0000-0000-000000000000","_tidewell_version":7,"id":"a"}"#;
        assert_eq!(line(r#"{"id":"a"}"#), format!("{expected}\n"));
        assert_eq!(line(" { \"id\":\"a\"}\n"), format!("{expected}\n"));
    }

    #[test]
    fn a_document_written_over_several_lines_becomes_one() {
        let line = line("{\n  \"id\": \"a\",\r\n  \"n\": [\n1]}");
        assert_eq!(line.matches(['\n', '\r']).count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["n"][0], 1);
    }
}
