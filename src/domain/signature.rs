//! Error signatures: what makes two failures "the same" when dead letters are grouped.

use sha2::{Digest, Sha256};

/// A short, stable name of an error: its code and its message with everything that varies from document to document (numbers,
/// and quoted values other than field names) taken out, hashed to 12 hexadecimal digits.
pub fn signature(code: &str, message: &str) -> String {
    let digest = Sha256::digest(format!("{code}\n{}", normalise(message)).as_bytes());
    hex::encode(&digest[..6])
}

/// Typesense puts field names in backticks and quotes values in other ways: backticked words stay, digits and the rest go.
fn normalise(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut chars = message.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '`' => {
                out.push(c);
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == '`' {
                        break;
                    }
                }
            }
            '"' | '\'' if message.matches(c).count() > 1 => {
                out.push_str("‹value›");
                for inner in chars.by_ref() {
                    if inner == c {
                        break;
                    }
                }
            }
            c if c.is_ascii_digit() => {
                out.push('#');
                while chars.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fault_of_two_documents_has_one_signature() {
        let of = |message| signature("rejected", message);
        assert_eq!(of("Bad JSON at 17: \"a\""), of("Bad JSON at 4: \"b\""));
        assert_ne!(of("Field `price` must be a float."), of("Field `stock` must be a float."));
        assert_ne!(signature("a", "x"), signature("b", "x"));
    }
}
