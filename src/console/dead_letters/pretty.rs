//! JSON as a person edits it, each number and string as it was: only what lies between them changes.

use std::fmt::Write;

/// Deeper than this, things stay on their line.
const DEPTH: usize = 12;
/// A longer text stays as it is: nobody reads it line by line.
const BYTES: usize = 200_000;

/// `text` has to be JSON.
pub(super) fn pretty(text: &str) -> String {
    if text.len() > BYTES {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() * 2);
    let (mut depth, mut is_in_string, mut is_escaped) = (0_usize, false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if is_in_string {
            shown.push(c);
            (is_in_string, is_escaped) = (is_escaped || c != '"', !is_escaped && c == '\\');
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                shown.push(c);
                depth += 1;
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if rest.peek().is_some_and(|next| !matches!(next, '}' | ']')) {
                    line(&mut shown, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !shown.ends_with(['{', '[']) {
                    line(&mut shown, depth + usize::from(depth >= DEPTH));
                }
                shown.push(c);
            }
            ',' => {
                shown.push(c);
                line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            '"' => {
                is_in_string = true;
                shown.push(c);
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Goes on in a new line.
fn line(shown: &mut String, depth: usize) {
    if depth <= DEPTH {
        let _ = write!(shown, "\n{:1$}", "", 2 * depth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_left_alone() {
        let text = r#"{"id":"a, \"b\": {c}\\","n":12345678901234567890123.10e5, "e":[ ],"l":[1,{}]}"#;
        let expected = "{\n  \"id\": \"a, \\\"b\\\": {c}\\\\\",\n  \"n\": 12345678901234567890123.10e5,\n  \"e\": [],\n  \"l\": [\n    1,\n    {}\n  ]\n}";
        assert_eq!(pretty(text), expected);
        assert_eq!(pretty(expected), expected);
    }

    #[test]
    fn what_is_nested_deeply_does_not_grow_without_end() {
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        let shown = pretty(&deep);
        assert!(shown.len() < deep.len() + 1000, "{}", shown.len());
        assert_eq!(shown.split_whitespace().collect::<String>(), deep);
    }
}
