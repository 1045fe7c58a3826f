//! What matches in a text, marked. Typesense puts its marks into the document's own text and escapes nothing, so it is asked for marks
//! that are not markup and that no text is written with, and they are told from the text here.

use maud::{Markup, html};

/// Two characters that Unicode leaves to private use.
pub(super) const START: char = '\u{e000}';
pub(super) const END: char = '\u{e001}';

/// A text in pieces, each with whether it is marked. A mark that has no other half ends with the text.
fn pieces(text: &str) -> Vec<(bool, &str)> {
    let mut pieces = Vec::new();
    let mut is_marked = false;
    for piece in text.split_inclusive([START, END]) {
        let next = if piece.ends_with(START) { true } else { is_marked && !piece.ends_with(END) };
        let piece = piece.trim_end_matches([START, END]);
        if !piece.is_empty() {
            pieces.push((is_marked, piece));
        }
        is_marked = next;
    }
    pieces
}

/// As it is shown, cut after so many characters.
pub(super) fn shown(text: &str, most: usize) -> Markup {
    let end = text.char_indices().nth(most).map(|(end, _)| end);
    html! {
        bdi {
            @for (is_marked, piece) in pieces(&text[..end.unwrap_or(text.len())]) {
                @if is_marked { mark { (piece) } } @else { (piece) }
            }
            @if end.is_some() { "…" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_marks_is_marked() {
        assert_eq!(pieces("a \u{e000}b\u{e001} c"), [(false, "a "), (true, "b"), (false, " c")]);
        assert_eq!(pieces("\u{e000}a\u{e001}\u{e000}b\u{e001}"), [(true, "a"), (true, "b")]);
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn halves_of_marks_are_borne() {
        assert_eq!(pieces("a\u{e001}b\u{e000}c"), [(false, "a"), (false, "b"), (true, "c")]);
        assert_eq!(pieces("\u{e000}\u{e000}a\u{e001}\u{e001}b"), [(true, "a"), (false, "b")]);
    }

    #[test]
    fn a_documents_own_markup_stays_text() {
        let shown = shown("<mark>a</mark> \u{e000}<script>\u{e001}", 100).into_string();
        assert_eq!(shown, "<bdi>&lt;mark&gt;a&lt;/mark&gt; <mark>&lt;script&gt;</mark></bdi>");
    }

    #[test]
    fn a_long_text_is_cut_within_a_mark_too() {
        assert_eq!(shown("\u{e000}äöü\u{e001}", 3).into_string(), "<bdi><mark>äö</mark>…</bdi>");
    }
}
