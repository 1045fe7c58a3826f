//! A search as a line to paste into a shell.

use serde_json::Value;

/// The operator's key stands in it by the name of the setting, never by itself.
pub(super) fn command(base: &str, path: &str, body: &Value) -> String {
    let address = quoted(&format!("{base}{path}"));
    let body = quoted(&body.to_string());
    format!(r#"curl -sS {address} -H "X-Athena-Key: $ATHENA_KEY_12" -H 'Content-Type: application/json' -d {body}"#)
}

/// A text as one word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_text_as_it_is() {
        for text in ["", "it's", "$(touch /tmp/x) `id` \"!\" \\", "'; rm -rf /; '", "a\nb", "äöü"] {
            let printed = Command::new("sh").args(["-c", &format!("printf %s {}", quoted(text))]).output();
            assert_eq!(String::from_utf8(printed.expect("a shell").stdout).expect("a text"), text);
        }
    }

    #[test]
    fn a_command_is_one_line_without_a_secret() {
        let command = command("http://a", "/v1/indexes/b/search", &json!({ "q": "it's\nhere" }));
        let body = r#"'{"q":"it'\''s\nhere"}'"#;
        let start = r#"curl -sS 'http://a/v1/indexes/b/search' -H "X-Athena-Key: $ATHENA_KEY_12" "#;
        assert_eq!(command, format!("{start}-H 'Content-Type: application/json' -d {body}"));
    }
}
