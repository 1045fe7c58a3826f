//! A search as Typesense takes it: nothing of the caller's but what is named here.

use serde_json::{Map, Value, json};

use super::{Names, Search};
use crate::{
    db::index::Index,
    domain::{
        document::{TENANT_FIELD, VERSION_FIELD},
        fields, filter, sort,
    },
    http::{Error, Fault},
};

const MAX_PER_PAGE: u32 = 100;
/// How deep pages go: Typesense sorts everything before the page, too.
const MAX_DEPTH: u64 = 10_000;
/// Characters of a query: Typesense's time grows with the square of it.
const MAX_QUERY: usize = 500;
/// Names of one list: what each further field to search in takes of Typesense's memory adds up.
const MAX_NAMES: usize = 30;
/// After how long Typesense gives what it has found so far.
const CUT_OFF_MS: u32 = 5000;

/// `signed` is the filter that the caller is confined to, beside its own.
pub(super) fn of(search: &Search, index: &Index, signed: Option<&str>) -> Result<Value, Error> {
    let (page, per_page) = (search.page.unwrap_or(1), search.per_page.unwrap_or(10));
    check_extent(&search.q, page, per_page)?;
    let filter = filter::confine_caller(search.filter_by.as_deref(), signed, index.organization_id)
        .map_err(|detail| Error::Invalid { code: "invalid_filter", detail })?;
    let mut parameters = Map::new();
    let mut set = |name: &str, value: Value| _ = parameters.insert(name.to_owned(), value);
    set("collection", json!(index.alias));
    set("q", json!(search.q));
    set("page", json!(page));
    set("per_page", json!(per_page));
    set("search_cutoff_ms", json!(CUT_OFF_MS));
    set("filter_by", json!(filter));
    let mut fields = searched("queryBy", search.query_by.as_ref())?;
    if fields.is_empty() {
        fields = fields::searchable(&index.fields);
        if fields.is_empty() && search.q != "*" {
            return Err(Error::invalid("queryBy: the index has no string fields to search in by default"));
        }
    }
    if !fields.is_empty() {
        set("query_by", json!(fields.join(",")));
    }
    if let Some(order) = order(search.sort_by.as_ref())? {
        set("sort_by", json!(order));
    }
    let facets = searched("facetBy", search.facet_by.as_ref())?;
    if !facets.is_empty() {
        set("facet_by", json!(facets.join(",")));
    }
    let mut excluded = shown("excludeFields", search.exclude_fields.as_ref())?;
    excluded.push(VERSION_FIELD.to_owned());
    set("exclude_fields", json!(excluded.join(",")));
    for (name, field, names) in [
        ("include_fields", "includeFields", &search.include_fields),
        ("highlight_fields", "highlightFields", &search.highlight_fields),
    ] {
        let names = shown(field, names.as_ref())?;
        // `*` is what there is without the parameter; Typesense 0.24 would take it for a field's name.
        if !names.is_empty() && !names.iter().any(|name| name == "*") {
            set(name, json!(names.join(",")));
        }
    }
    Ok(Value::Object(parameters))
}

fn check_extent(q: &str, page: u32, per_page: u32) -> Result<(), Error> {
    let mut faults = Vec::new();
    if page == 0 {
        faults.push(Fault::new("page", "from 1"));
    }
    if !(1..=MAX_PER_PAGE).contains(&per_page) {
        faults.push(Fault::new("perPage", format!("1 to {MAX_PER_PAGE}")));
    }
    if u64::from(page) * u64::from(per_page) > MAX_DEPTH {
        let message = format!("page times perPage may be {MAX_DEPTH} at most: narrow the search with filterBy instead");
        faults.push(Fault::new("page", message));
    }
    if q.chars().count() > MAX_QUERY {
        faults.push(Fault::new("q", format!("at most {MAX_QUERY} characters")));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::validation(faults)) }
}

impl Names {
    /// Each for itself, however the list was sent.
    fn all(&self) -> Vec<&str> {
        match self {
            Self::List(names) => names.iter().flat_map(|name| sort::split(name)).collect(),
            Self::Text(names) => sort::split(names).collect(),
        }
    }
}

/// Fields that a search looks at: Tidewell's own are not for that.
fn searched(parameter: &str, names: Option<&Names>) -> Result<Vec<String>, Error> {
    plain(parameter, names, is_plain).and_then(|names| {
        names.iter().try_for_each(|name| refuse_own(parameter, name))?;
        Ok(names)
    })
}

/// Fields that a hit shows; all of them where `*` stands.
fn shown(parameter: &str, names: Option<&Names>) -> Result<Vec<String>, Error> {
    plain(parameter, names, |name| name == "*" || is_plain(name))
}

fn plain(parameter: &str, names: Option<&Names>, fits: impl Fn(&str) -> bool) -> Result<Vec<String>, Error> {
    let mut found: Vec<String> = Vec::new();
    for name in names.map(Names::all).unwrap_or_default() {
        if !fits(name) {
            return Err(Error::invalid(format!("{parameter}: names of fields, of letters, digits, `_`, `.` and `-`")));
        }
        if !found.iter().any(|one| one == name) {
            found.push(name.to_owned());
        }
        if found.len() > MAX_NAMES {
            return Err(Error::invalid(format!("{parameter}: {MAX_NAMES} names at most")));
        }
    }
    Ok(found)
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

fn order(names: Option<&Names>) -> Result<Option<String>, Error> {
    let keys = names.map(Names::all).unwrap_or_default();
    let parsed = sort::parse(&keys).map_err(|detail| Error::Invalid { code: "invalid_sort", detail })?;
    parsed.iter().try_for_each(|key| refuse_own("sortBy", key.field))?;
    Ok((!parsed.is_empty()).then(|| parsed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")))
}

fn refuse_own(parameter: &str, field: &str) -> Result<(), Error> {
    if [TENANT_FIELD, VERSION_FIELD].contains(&field) {
        return Err(Error::invalid(format!("{parameter}: the field {field} is Tidewell's own")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Names {
        Names::Text(text.to_owned())
    }

    #[test]
    fn names_are_plain_and_stand_once() {
        assert_eq!(searched("queryBy", Some(&list("a, b.c,a,,d-é_1"))).unwrap(), ["a", "b.c", "d-é_1"]);
        let both = Names::List(vec!["a,b".to_owned(), "a".to_owned()]);
        assert_eq!(searched("queryBy", Some(&both)).unwrap(), ["a", "b"]);
        assert_eq!(searched("queryBy", None).unwrap(), [""; 0]);
        for bad in ["a b", "f(a:[0,1])", "*", "a*", "tenantId", "a,_tidewell_version", "a:b", "a\0"] {
            assert!(searched("facetBy", Some(&list(bad))).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..31).map(|n| format!("f{n}")).collect();
        assert!(searched("queryBy", Some(&list(&many.join(",")))).is_err());
        assert_eq!(shown("includeFields", Some(&list("*,tenantId"))).unwrap(), ["*", "tenantId"]);
        for bad in ["$other(a)", "t*"] {
            assert!(shown("includeFields", Some(&list(bad))).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_end_at_the_ten_thousandth_document() {
        for (page, per_page, good) in [
            (1000, 10, true),
            (1001, 10, false),
            (100, 100, true),
            (101, 100, false),
            (u32::MAX, 100, false),
            (0, 10, false),
        ] {
            assert_eq!(check_extent("*", page, per_page).is_ok(), good, "{page} {per_page}");
        }
    }

    #[test]
    fn an_order_by_tidewells_own_fields_is_refused_as_a_request() {
        assert!(matches!(order(Some(&list("tenantId:asc"))), Err(Error::Invalid { code: "invalid_request", .. })));
        assert!(matches!(order(Some(&list("price"))), Err(Error::Invalid { code: "invalid_sort", .. })));
        assert_eq!(
            order(Some(&list("price : DESC, loc(48.8, 2.3):asc"))).unwrap().unwrap(),
            "price:desc,loc(48.8,2.3):asc"
        );
        assert_eq!(order(Some(&list(""))).unwrap(), None);
    }
}
