//! Slugs and names, as organizations, indexes and keys carry them.

use uuid::Uuid;

/// Characters of a name.
const MAX_NAME: usize = 200;
/// Characters of a name that stands for its bearer.
const MAX_LABEL: usize = 100;

/// Why a text is not a slug, for the person who sent it.
const SLUG_RULE: &str =
    "must be 1 to 48 lower-case letters, digits, hyphens or underscores, and begin with a letter or digit";

/// True for a text that may stand in a URL and in a collection's name: `[a-z0-9][a-z0-9_-]{0,47}`.
fn is_slug(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 48
        && text.bytes().next().is_some_and(allowed)
        && text.bytes().all(|c| allowed(c) || c == b'-' || c == b'_')
}

/// What is wrong with a slug, if anything.
pub fn slug_fault(text: &str) -> Option<&'static str> {
    if !is_slug(text) {
        Some(SLUG_RULE)
    } else if Uuid::try_parse(text).is_ok() {
        // Wherever a slug may stand an id may, too.
        Some("must not look like an id")
    } else {
        None
    }
}

/// What is wrong with a name that people read, if anything.
pub fn name_fault(text: &str) -> Option<String> {
    readable_fault(text, MAX_NAME)
}

/// What is wrong with a name by which something is found, such as a client or a backend, if anything.
pub fn label_fault(text: &str) -> Option<String> {
    // Wherever such a name may stand an id may, too.
    let looks_like_id = || Uuid::try_parse(text).is_ok().then(|| "must not look like an id".to_owned());
    readable_fault(text, MAX_LABEL).or_else(looks_like_id)
}

fn readable_fault(text: &str, max: usize) -> Option<String> {
    let readable =
        (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control) && !text.trim().is_empty();
    let rule = || format!("must be 1 to {max} characters, not all of them blank, none a control character");
    (!readable).then(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_can_never_be_taken_for_an_id() {
        assert_eq!(slug_fault("acme-2"), None);
        for bad in ["Acme", "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5dac96774bbcceb302099a8057"] {
            assert!(slug_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_for_people_to_read() {
        for good in ["A", "Käse & Söhne", &"ü".repeat(200)] {
            assert_eq!(name_fault(good), None, "{good}");
        }
        for bad in ["", " ", "a\nb", "\u{7f}", &"x".repeat(201)] {
            assert!(name_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_label_is_short_and_can_never_be_taken_for_an_id() {
        for good in ["main", "Käse & Söhne", &"ü".repeat(100)] {
            assert_eq!(label_fault(good), None, "{good}");
        }
        for bad in ["", " ", "a\0", &"x".repeat(101), "01890a5dac96774bbcceb302099a8057"] {
            assert!(label_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn only_url_safe_lower_case_texts_are_slugs() {
        for good in ["a", "acme", "shop-2", "a_b", &"x".repeat(48)] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "a/b", "ä", "a.b", &"x".repeat(49)] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
