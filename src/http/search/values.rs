//! What the value of a search's parameter may be.

use super::parameters::Spelling;
use crate::{
    domain::{document::OWN_FIELDS, filter, sort},
    http::{Error, Fault},
};

/// Characters of a query: Typesense's time grows with the square of it.
pub(super) const MAX_QUERY: usize = 500;
/// Names of one list: what each further field to search in takes of Typesense's memory adds up.
const MAX_NAMES: usize = 30;
/// Characters of a tag around what is highlighted.
const MAX_TAG: usize = 200;

/// What a parameter takes; numbers up to the one that is given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Query,
    /// Fields that a search looks at: Tidewell's own are not for that.
    Searched,
    /// Fields that a hit shows.
    Shown,
    Filter,
    Order,
    /// A facet and the beginning of its values: `genre:poe`.
    FacetQuery,
    Count(u32),
    /// One, or one for each field to search in.
    Counts(u32),
    Flag,
    Flags,
    Choice(&'static [&'static str]),
    Choices(&'static [&'static str]),
    Tag,
    /// A switch that stays off.
    Off,
    Ignored,
}

/// A parameter and how its caller spells it.
pub(super) struct Named {
    pub(super) name: &'static str,
    pub(super) spelling: Spelling,
}

impl Named {
    fn fault(&self, message: impl Into<String>) -> Error {
        Error::validation(vec![Fault::new(&self.spelling.of(self.name), message)])
    }

    fn invalid(&self, code: &'static str, message: &str) -> Error {
        Error::Invalid { code, detail: format!("{}: {message}", self.spelling.of(self.name)) }
    }
}

impl Kind {
    /// The value as Typesense gets it; `None` where it gets none.
    pub(super) fn check(self, named: &Named, value: &str) -> Result<Option<String>, Error> {
        let each = |fits: &dyn Fn(&str) -> bool, rule: String| {
            let all = value.split(',').map(str::trim).collect::<Vec<_>>();
            match all.len() <= MAX_NAMES && all.iter().all(|one| fits(one)) {
                true => Ok(Some(all.join(","))),
                false => Err(named.fault(format!("{rule}, or {MAX_NAMES} of them at most, with commas between"))),
            }
        };
        match self {
            Self::Query => bounded(named, value, MAX_QUERY).map(Some),
            Self::Tag => bounded(named, value, MAX_TAG).map(Some),
            Self::Searched => names(named, value, is_plain).and_then(|names| {
                names.iter().try_for_each(|name| refuse_own(named, name))?;
                Ok(joined(&names))
            }),
            Self::Shown => {
                let names = names(named, value, |name| name == "*" || is_plain(name))?;
                // `*` is what there is without the parameter; Typesense 0.24 would take it for a field's name.
                Ok(if names.contains(&"*") && named.name != "exclude_fields" { None } else { joined(&names) })
            }
            Self::Filter => match filter::check(value) {
                Ok(()) => Ok(Some(value.to_owned())),
                Err(message) => Err(named.invalid("invalid_filter", &message)),
            },
            Self::Order => order(named, value),
            Self::FacetQuery => facet_query(named, value).map(Some),
            Self::Count(most) => match value.trim().parse::<u32>() {
                Ok(count) if count <= most => Ok(Some(count.to_string())),
                _ if most == u32::MAX => Err(named.fault("a whole number, from 0")),
                _ => Err(named.fault(format!("a whole number, 0 to {most}"))),
            },
            Self::Counts(most) => {
                each(&|one| one.parse::<u32>().is_ok_and(|count| count <= most), format!("a whole number, 0 to {most}"))
            }
            Self::Flag => match value {
                "true" | "false" => Ok(Some(value.to_owned())),
                _ => Err(named.fault("true or false")),
            },
            Self::Flags => each(&|one| matches!(one, "true" | "false"), "true or false".to_owned()),
            Self::Choice(choices) if choices.contains(&value) => Ok(Some(value.to_owned())),
            Self::Choice(choices) => Err(named.fault(format!("one of {}", choices.join(", ")))),
            Self::Choices(choices) => each(&|one| choices.contains(&one), format!("one of {}", choices.join(", "))),
            Self::Off if value == "false" => Ok(None),
            Self::Off => Err(named.fault("is not offered: leave it out, or send false")),
            Self::Ignored => Ok(None),
        }
    }
}

fn bounded(named: &Named, value: &str, most: usize) -> Result<String, Error> {
    match value.chars().count() <= most {
        true => Ok(value.to_owned()),
        false => Err(named.fault(format!("at most {most} characters"))),
    }
}

/// The names of a list, each once, in the order of the list.
fn names<'a>(named: &Named, list: &'a str, fits: impl Fn(&str) -> bool) -> Result<Vec<&'a str>, Error> {
    let mut found: Vec<&str> = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !fits(name) {
            return Err(named.invalid("invalid_request", "names of fields, of letters, digits, `_`, `.` and `-`"));
        }
        if !found.contains(&name) {
            found.push(name);
        }
        if found.len() > MAX_NAMES {
            return Err(named.invalid("invalid_request", &format!("{MAX_NAMES} names at most")));
        }
    }
    Ok(found)
}

fn joined(names: &[&str]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(","))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

fn order(named: &Named, value: &str) -> Result<Option<String>, Error> {
    let keys: Vec<&str> = sort::split(value).collect();
    let parsed = sort::parse(&keys).map_err(|rule| named.invalid("invalid_sort", &rule))?;
    parsed.iter().try_for_each(|key| refuse_own(named, key.field))?;
    Ok((!parsed.is_empty()).then(|| parsed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")))
}

fn facet_query(named: &Named, value: &str) -> Result<String, Error> {
    let Some((field, text)) = value.split_once(':').map(|(field, text)| (field.trim(), text.trim())) else {
        return Err(named.invalid("invalid_request", "a facet and the beginning of its values, such as genre:poe"));
    };
    if !is_plain(field) {
        return Err(named.invalid("invalid_request", "the name of a facet stands before the colon"));
    }
    refuse_own(named, field)?;
    bounded(named, text, MAX_QUERY).map(|text| format!("{field}:{text}"))
}

fn refuse_own(named: &Named, field: &str) -> Result<(), Error> {
    match OWN_FIELDS.contains(&field) {
        true => Err(named.invalid("invalid_request", &format!("the field {field} is Tidewell's own"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, value: &str) -> Result<Option<String>, Error> {
        kind.check(&Named { name: "facet_by", spelling: Spelling::Camel }, value)
    }

    #[test]
    fn names_are_plain_and_stand_once() {
        assert_eq!(check(Kind::Searched, "a, b.c,a,,d-é_1").unwrap().as_deref(), Some("a,b.c,d-é_1"));
        assert_eq!(check(Kind::Searched, ",").unwrap(), None);
        for bad in ["a b", "f(a:[0,1])", "*", "a*", "tenantId", "a,_tidewell_version", "a:b", "a\0", "$a"] {
            assert!(check(Kind::Searched, bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..31).map(|n| format!("f{n}")).collect();
        assert!(check(Kind::Searched, &many.join(",")).is_err());
        assert_eq!(check(Kind::Shown, "a,tenantId").unwrap().as_deref(), Some("a,tenantId"));
        assert_eq!(check(Kind::Shown, "*,a").unwrap(), None);
        for bad in ["$other(a)", "t*"] {
            assert!(check(Kind::Shown, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_by_tidewells_own_fields_is_refused_as_a_request() {
        assert!(matches!(check(Kind::Order, "tenantId:asc"), Err(Error::Invalid { code: "invalid_request", .. })));
        assert!(matches!(check(Kind::Order, "price"), Err(Error::Invalid { code: "invalid_sort", .. })));
        let sound = check(Kind::Order, "price : DESC, loc(48.8, 2.3):asc").unwrap();
        assert_eq!(sound.as_deref(), Some("price:desc,loc(48.8,2.3):asc"));
    }

    #[test]
    fn values_are_of_their_type_and_within_their_range() {
        for (kind, good, bad) in [
            (Kind::Count(9), "9", "10"),
            (Kind::Count(u32::MAX), "4294967295", "4294967296"),
            (Kind::Counts(2), "0,2", "0,3"),
            (Kind::Flag, "true", "TRUE"),
            (Kind::Flags, "true,false", "true,"),
            (Kind::Choice(&["a", "b"]), "b", "c"),
            (Kind::Choices(&["a", "b"]), "a, b", "a c"),
            (Kind::Off, "false", "true"),
            (Kind::FacetQuery, "genre:po (et", "genre"),
            (Kind::FacetQuery, "genre:", "tenantId:a"),
        ] {
            assert!(check(kind, good).is_ok(), "{kind:?} {good}");
            assert!(check(kind, bad).is_err(), "{kind:?} {bad}");
        }
        assert!(check(Kind::Query, &"x".repeat(501)).is_err());
    }
}
