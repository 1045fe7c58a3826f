//! Slugs and names, as organizations and indexes carry them.

/// Why a text is not a slug, for the person who sent it.
pub const SLUG_RULE: &str = "must be 1 to 48 lower-case letters, digits, hyphens or underscores, and begin with a letter or digit";

/// True for a text that may stand in a URL and in a collection's name: `[a-z0-9][a-z0-9_-]{0,47}`.
pub fn is_slug(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 48
        && text.bytes().next().is_some_and(allowed)
        && text.bytes().all(|c| allowed(c) || c == b'-' || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

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
