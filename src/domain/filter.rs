//! Filters that callers send: what may pass, and how they are confined to the caller's organization.
//!
//! Typesense 0.24 parses leniently: parentheses protect nothing within `[…]` or quotes, a `(` right after a colon begins a
//! geographical value that ends at the next `)`, and operands that no operator joins are dropped in silence, the tenant's own
//! clause among them. So only filters of a grammar that has none of these ambiguities pass, and the tenant's clause stands last.

use uuid::Uuid;

use super::document::{OWN_FIELDS, TENANT_FIELD};

/// Characters of a filter.
const MAX_CHARS: usize = 4000;
/// Conditions, operators and parentheses of a search, those signed into a token counted: Typesense takes a hundred, and seven are
/// needed to confine the search.
const MAX_PARTS: usize = 93;
/// What a condition of Tidewell's own takes of them.
const NARROWING_PARTS: usize = 2;
const MAX_DEPTH: usize = 8;

/// Passes a filter of the form `expr := term (('&&' | '||') term)*`, `term := '(' expr ')' | field ':' value`; else says what to
/// change.
pub fn check(filter: &str) -> Result<(), String> {
    parts(filter, 0).map(drop)
}

/// Counts on from the parts that stand beside the filter.
fn parts(filter: &str, beside: usize) -> Result<usize, String> {
    if filter.chars().count() > MAX_CHARS {
        return Err(format!("the filter has more than {MAX_CHARS} characters"));
    }
    if let Some(c) = filter.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(format!("{c:?} can't stand in a filter"));
    }
    if filter.matches('`').count() % 2 == 1 {
        return Err("the backticks don't balance".to_owned());
    }
    let mut parser = Parser { rest: filter, parts: beside };
    parser.expression(0)?;
    match parser.rest {
        "" => Ok(parser.parts),
        rest => Err(format!("expected && or || before {:?}", rest.chars().take(20).collect::<String>())),
    }
}

/// The filter that confines a search to an organization, whatever the filters beside it (already checked, each for itself) say.
pub fn confine<'a>(filters: impl IntoIterator<Item = &'a str>, organization_id: Uuid) -> String {
    let filters: String = filters.into_iter().map(|filter| format!("({filter}) && ")).collect();
    // Exact for a lower-case UUID, which is how one is written here: Typesense folds case and hyphens of what it compares.
    format!("{filters}{TENANT_FIELD}:=`{organization_id}`")
}

/// The filter that confines a caller's search: to its own filter, which is checked here, to the one signed into its token, and to its
/// organization. `narrowed` is a condition of Tidewell's own beside them, or empty where one will be in another request of the same
/// search: both are refused alike where there is no room for it.
pub fn confine_caller(
    own: Option<&str>,
    signed: Option<&str>,
    narrowed: Option<&str>,
    organization_id: Uuid,
) -> Result<String, String> {
    let beside = narrowed.map_or(0, |_| NARROWING_PARTS);
    let beside = signed.map_or(Ok(beside), |signed| parts(signed, beside))?;
    own.map_or(Ok(beside), |own| parts(own, beside))?;
    let confined = confine(signed.into_iter().chain(own), organization_id);
    Ok(match narrowed {
        Some(narrowed) if !narrowed.is_empty() => format!("{narrowed} && {confined}"),
        _ => confined,
    })
}

/// What may stand around an operand.
const AROUND: [char; 9] = [' ', '[', ']', '<', '>', '=', '!', ':', '`'];

/// An integer that 64 bits don't hold: where the field is an int64 Typesense 0.24 never answers.
fn is_beyond_i64(operand: &str) -> bool {
    let number = operand.trim_matches(AROUND);
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) && number.parse::<i64>().is_err()
}

struct Parser<'a> {
    rest: &'a str,
    parts: usize,
}

impl<'a> Parser<'a> {
    fn expression(&mut self, depth: usize) -> Result<(), String> {
        loop {
            self.term(depth)?;
            if !(self.eat("&&") || self.eat("||")) {
                return Ok(());
            }
            self.count(1)?;
        }
    }

    fn count(&mut self, parts: usize) -> Result<(), String> {
        self.parts += parts;
        if self.parts > MAX_PARTS {
            return Err(format!(
                "there are more than {MAX_PARTS} conditions, operators and parentheses, those of a scoped token counted"
            ));
        }
        Ok(())
    }

    fn term(&mut self, depth: usize) -> Result<(), String> {
        if self.eat("(") {
            if depth == MAX_DEPTH {
                return Err(format!("parentheses are nested more than {MAX_DEPTH} deep"));
            }
            self.count(2)?;
            self.expression(depth + 1)?;
            return match self.eat(")") {
                true => Ok(()),
                false => Err("the parentheses don't balance".to_owned()),
            };
        }
        self.count(1)?;
        let field = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        if field.is_empty() || field.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Err("expected a condition such as price:>10".to_owned());
        }
        if OWN_FIELDS.contains(&field) {
            return Err(format!("the field {field} is Tidewell's own"));
        }
        if !self.eat(":") {
            return Err(format!("expected a colon after the field {field}"));
        }
        self.value(field)
    }

    fn value(&mut self, field: &str) -> Result<(), String> {
        if self.eat("(") {
            self.take_while(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || "-., ".contains(c));
            return match self.eat(")") {
                true => Ok(()),
                false => Err(format!("after {field}:( only a place and a radius, such as 48.9, 2.3, 5 km, may stand")),
            };
        }
        let mut quoted = false;
        let value = self.take_while(|c| {
            quoted ^= c == '`';
            quoted || !"()&|".contains(c)
        });
        if value.trim().is_empty() {
            return Err(format!("the condition on {field} has no value"));
        }
        // Ids are text, and long ones of digits alone are common.
        match value.split(',').flat_map(|part| part.split("..")).find(|operand| is_beyond_i64(operand)) {
            Some(operand) if field != "id" => Err(format!("{} is no 64-bit integer", operand.trim_matches(AROUND))),
            _ => Ok(()),
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start_matches(' ');
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start_matches(' ');
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, mut fits: impl FnMut(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod evaluator;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_filters_pass() {
        for good in [
            "price:>10",
            "price:[10..20] && category:=`Home & Garden (all)`",
            "(a:1 || b:2) && (c:=[x, `y,z`] || d:!=z)",
            "loc:(48.9, 2.3, 5 km) && in_stock:true",
            " a.b : x ",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn every_filter_that_was_seen_to_leak_is_refused() {
        // Each returned another tenant's documents from Typesense 0.24.1, before or behind the tenant's clause.
        for bad in [
            "price:>0 (tenantId:!=zzz)",
            "(price:>0)(tenantId:!=zzz)",
            "(price:>0) (tenantId:!=zzz)",
            "(price:>0) price:>0",
            "price:>0 && price:>0 (price:>1)",
            "b:=true (b:=true)",
            "loc:(48.8, 2.3, 5 km) (price:>0)",
            "price:>0) || (price:>0",
            "title:[red) || (price:>0]",
            "title:\"red) || (price:>0\"",
            "title:red\\) || (price:>0",
            "title:=a`b`) || (price:>0",
            "loc:(48.8, 2.3, 5 km)) || (price:>0",
            "title:((red)) || (price:>0",
            "price:>=0) || title:!=`",
            "tenantId:!=zzz",
            "a:1 || tenantId:x",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_a_reason() {
        for bad in
            ["", " ", "()", "a", "a:", "a:`", "&& a:1", "a:1 &&", "a:1 & b:2", "a:1 | b:2", "1a:2", "a:1\n", ":x"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("{}a:1{}", "(".repeat(9), ")".repeat(9))).is_err());
        assert!(check(&vec!["a:1"; 48].join(" && ")).is_err());
        assert!(check(&vec!["(a:1)"; 24].join(" && ")).is_err());
        assert!(check(&format!("a:{}", "x".repeat(4000))).is_err());
    }

    #[test]
    fn a_number_that_typesense_would_never_answer_is_refused() {
        // Each made Typesense 0.24.1 hang where `n` is an int64, or is of the same form.
        for bad in [
            "n:>99999999999999999999",
            "n:> 99999999999999999999 ",
            "n:9223372036854775808",
            "n:-9223372036854775809",
            "n:+99999999999999999999",
            "n: 099999999999999999999",
            "n:[1..99999999999999999999]",
            "n:[99999999999999999999..1]",
            "n:=[1,9223372036854775808]",
            "n:=[1, `9223372036854775808`]",
            "n:!=-9999999999999999999",
            "n:=`99999999999999999999`",
            "a:1 && (b:2 || n:<=99999999999999999999)",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for good in [
            "n:9223372036854775807",
            "n:=-9223372036854775808",
            "n:[000000000000000000000001..2]",
            "f:>99999999999999999999.5",
            "title:order 99999999999999999999 of us",
            "title:=`isbn-99999999999999999999`",
            "id:=[12345678901234567890,`12345678901234567890`]",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_callers_filter_and_its_tokens_share_what_a_search_may_have() {
        let of = |count| vec!["a:1"; count].join(" && ");
        let confined = |own: Option<usize>, signed: Option<usize>| {
            let (own, signed) = (own.map(of), signed.map(of));
            confine_caller(own.as_deref(), signed.as_deref(), None, Uuid::nil())
        };
        for (own, signed) in [(Some(47), None), (None, Some(47)), (Some(23), Some(24)), (None, None)] {
            assert!(confined(own, signed).is_ok());
        }
        assert!(confined(Some(1), Some(47)).is_err() && confined(Some(24), Some(24)).is_err());
        assert!(confine_caller(Some("a:1) || (b:2"), Some("c:3"), None, Uuid::nil()).is_err());
        let narrowed =
            |by: &str| confine_caller(Some("a:1 || b:2"), Some("c:3 || d:4"), Some(by), Uuid::nil()).unwrap();
        let confined = "(c:3 || d:4) && (a:1 || b:2) && tenantId:=`00000000-0000-0000-0000-000000000000`";
        assert_eq!(narrowed(""), confined);
        assert_eq!(narrowed("id:=[`x`]"), format!("id:=[`x`] && {confined}"));
        for narrowed in ["", "id:=[`x`]"] {
            let room = |count| confine_caller(Some(&of(count)), None, Some(narrowed), Uuid::nil()).is_ok();
            assert!(room(46) && !room(47));
        }
    }

    #[test]
    fn the_tenants_clause_stands_last_and_outside() {
        let confined = confine(Some("a:1 || b:2"), Uuid::nil());
        assert_eq!(confined, "(a:1 || b:2) && tenantId:=`00000000-0000-0000-0000-000000000000`");
        assert_eq!(confine(None, Uuid::nil()), "tenantId:=`00000000-0000-0000-0000-000000000000`");
    }
}
