//! Orders that callers ask for. Typesense knows more of them than these (`_eval`, buckets, missing values), whose cost or meaning
//! is not the caller's to choose.

use std::fmt;

/// As many as Typesense takes.
const MAX_KEYS: usize = 3;

const RULE: &str = "1 to 3 of the form price:asc, _text_match:desc or place(48.9,2.3):asc";

/// One `field:asc` or `field:desc`, for a geopoint with the place to measure from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SortKey<'a> {
    pub field: &'a str,
    from: Option<(&'a str, &'a str)>,
    descending: bool,
}

/// The parts of a list between its commas, but for those in parentheses; blank ones are left out.
pub fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0u32;
    list.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

/// Reads keys; else says what to change.
pub fn parse<'a>(keys: &[&'a str]) -> Result<Vec<SortKey<'a>>, String> {
    if keys.len() > MAX_KEYS {
        return Err(RULE.to_owned());
    }
    keys.iter().map(|key| parse_key(key).ok_or_else(|| RULE.to_owned())).collect()
}

fn parse_key(key: &str) -> Option<SortKey<'_>> {
    let (what, direction) = key.rsplit_once(':')?;
    let direction = direction.trim();
    let descending = direction.eq_ignore_ascii_case("desc");
    if !descending && !direction.eq_ignore_ascii_case("asc") {
        return None;
    }
    let what = what.trim();
    let (field, from) = match what.split_once('(') {
        None => (what, None),
        Some((field, place)) => {
            let (latitude, longitude) = place.strip_suffix(')')?.split_once(',')?;
            (field, Some((degrees(latitude, 90.0)?, degrees(longitude, 180.0)?)))
        }
    };
    let is_name = !field.is_empty() && field.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c));
    // Of Typesense's own only the relevance, and that without a place.
    let is_own = ["_eval", "_text_match", "_vector_distance", "_seq_id"].contains(&field);
    (is_name && (!is_own || field == "_text_match" && from.is_none())).then_some(SortKey { field, from, descending })
}

/// A decimal number, at most so far from zero, as it was written.
fn degrees(text: &str, most: f64) -> Option<&str> {
    let text = text.trim();
    let plain = text.len() <= 24 && text.bytes().all(|c| c.is_ascii_digit() || c == b'.' || c == b'-');
    let value: f64 = text.parse().ok().filter(|_| plain)?;
    (value.abs() <= most).then_some(text)
}

impl fmt::Display for SortKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field)?;
        if let Some((latitude, longitude)) = self.from {
            write!(f, "({latitude},{longitude})")?;
        }
        f.write_str(if self.descending { ":desc" } else { ":asc" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let keys: Vec<&str> = split(text).collect();
        Ok(parse(&keys)?.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn ordinary_orders_pass() {
        for (good, sent) in [
            ("price:asc", "price:asc"),
            (" price : DESC , a.b-c:asc", "price:desc,a.b-c:asc"),
            ("_text_match:desc,loc(48.8, -2.3):asc", "_text_match:desc,loc(48.8,-2.3):asc"),
            ("", ""),
        ] {
            assert_eq!(read(good).as_deref(), Ok(sent));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "price",
            "price:up",
            ":asc",
            "a b:asc",
            "_eval(in_stock:true):desc",
            "_eval:desc",
            "_text_match(buckets: 10):desc",
            "_text_match(1,2):desc",
            "_seq_id:asc",
            "price(missing_values: first):asc",
            "loc(48.8,2.3,precision: 2 km):asc",
            "loc(91,2.3):asc",
            "loc(1e999,2.3):asc",
            "loc(nan,2.3):asc",
            "loc(,):asc",
            "loc(48.8,2.3:asc",
            "loc(48.8,2.3))):asc",
            "a:asc,b:asc,c:asc,d:asc",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
