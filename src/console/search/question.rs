//! What is asked, as it stands in an address and as the API wants it.

use serde_json::{Map, Value, json};

use super::{
    HERE,
    target::{Kind, Target},
};
use crate::console::{
    api::{Refusal, with_query},
    fields::Fields,
};

/// Facets that are asked for where nobody has said which.
const FACETS: usize = 4;

/// A search; what is empty is left out.
#[derive(Clone)]
pub(super) struct Question {
    target: String,
    pub(super) q: String,
    pub(super) mode: String,
    pub(super) alpha: String,
    pub(super) query_by: String,
    pub(super) filter_by: String,
    pub(super) sort_by: String,
    pub(super) facet_by: String,
    pub(super) per_page: String,
    page: String,
}

impl Question {
    pub(super) fn of(asked: &Fields, target: &Target) -> Self {
        let text = |name| asked.text(name).to_owned();
        let usual = || target.facets.iter().take(FACETS).map(String::as_str).collect::<Vec<_>>().join(", ");
        Self {
            target: target.value(),
            q: asked.raw("q").to_owned(),
            mode: if target.has_vectors { text("mode") } else { String::new() },
            alpha: if asked.text("mode") == "hybrid" { text("alpha") } else { String::new() },
            query_by: text("queryBy"),
            filter_by: text("filterBy"),
            sort_by: text("sortBy"),
            facet_by: if asked.is_checked("facetBy") { text("facetBy") } else { usual() },
            per_page: text("perPage"),
            page: text("page"),
        }
    }

    /// Whether it says more than most do.
    pub(super) fn is_particular(&self) -> bool {
        !(self.query_by.is_empty() && self.per_page.is_empty())
    }

    pub(super) fn page(&self) -> u64 {
        self.page.parse().unwrap_or(1)
    }

    pub(super) fn per_page(&self) -> u64 {
        self.per_page.parse().unwrap_or(10)
    }

    /// The address of this search on another page.
    pub(super) fn at_page(&self, page: u64) -> String {
        Self { page: page.to_string(), ..self.clone() }.address()
    }

    /// The address of this search among the documents with a value; `None` where no filter can say so.
    pub(super) fn among(&self, field: &str, value: &str) -> Option<String> {
        let filter_by = narrowed(&self.filter_by, &condition(field, value)?);
        Some(Self { filter_by, page: String::new(), ..self.clone() }.address())
    }

    fn address(&self) -> String {
        let fields = [
            ("in", &self.target),
            ("q", &self.q),
            ("mode", &self.mode),
            ("alpha", &self.alpha),
            ("queryBy", &self.query_by),
            ("filterBy", &self.filter_by),
            ("sortBy", &self.sort_by),
            ("facetBy", &self.facet_by),
            ("perPage", &self.per_page),
            ("page", &self.page),
        ];
        with_query(HERE, &fields.map(|(name, value)| (name, Some(value.as_str()))))
    }

    /// The request's body.
    ///
    /// # Errors
    /// A number that is none.
    pub(super) fn body(&self, target: &Target) -> Result<Value, Refusal> {
        let q = if self.q.trim().is_empty() { "*" } else { &self.q };
        let mut body = Map::from_iter([("q".to_owned(), json!(q))]);
        let (names, spelled) = match target.kind() {
            Kind::Index => (["queryBy", "filterBy", "sortBy", "facetBy", "perPage"], ["queryBy", "facetBy"]),
            Kind::SyncJob => {
                body.insert("job_id".to_owned(), json!(target.id()));
                (["query_by", "filter_by", "sort_by", "facet_by", "per_page"], ["query_by", "facet_by"])
            }
        };
        let [query_by, filter_by, sort_by, facet_by, per_page] = names;
        for (name, text) in [
            (query_by, &self.query_by),
            (filter_by, &self.filter_by),
            (sort_by, &self.sort_by),
            (facet_by, &self.facet_by),
            ("mode", &self.mode),
        ] {
            let value = if spelled.contains(&name) { json!(list(text)) } else { json!(text) };
            if !text.is_empty() {
                body.insert(name.to_owned(), value);
            }
        }
        for (name, called, text) in [("page", "page", &self.page), (per_page, "perPage", &self.per_page)] {
            if !text.is_empty() {
                let number: u32 = text.parse().map_err(|_| Refusal::of_field(called, "must be a whole number"))?;
                body.insert(name.to_owned(), json!(number));
            }
        }
        if !self.alpha.is_empty() {
            let alpha: f64 =
                self.alpha.parse().map_err(|_| Refusal::of_field("alpha", "must be a number from 0 to 1"))?;
            body.insert("alpha".to_owned(), json!(alpha));
        }
        Ok(Value::Object(body))
    }
}

fn list(names: &str) -> Vec<&str> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// A filter for one value, which is quoted where it is more than a word; no quoting holds a backtick.
fn condition(field: &str, value: &str) -> Option<String> {
    let is_word = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    match value {
        _ if is_word => Some(format!("{field}:={value}")),
        _ if value.is_empty() || value.contains(['`', '\\']) || value.chars().any(char::is_control) => None,
        _ => Some(format!("{field}:=`{value}`")),
    }
}

/// A filter with a condition more.
fn narrowed(filter: &str, condition: &str) -> String {
    match filter {
        "" => condition.to_owned(),
        _ if filter.contains("||") => format!("({filter}) && {condition}"),
        _ => format!("{filter} && {condition}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_quoted_where_it_is_more_than_a_word() {
        assert_eq!(condition("year", "2014").as_deref(), Some("year:=2014"));
        assert_eq!(condition("brand", "A & B").as_deref(), Some("brand:=`A & B`"));
        assert_eq!(condition("brand", "a || b").as_deref(), Some("brand:=`a || b`"));
        for none in ["", "a`b", r"a\b", "a\nb"] {
            assert_eq!(condition("brand", none), None, "{none:?}");
        }
    }

    #[test]
    fn a_condition_more_narrows_the_whole_filter() {
        assert_eq!(narrowed("", "b:=1"), "b:=1");
        assert_eq!(narrowed("a:=1", "b:=1"), "a:=1 && b:=1");
        assert_eq!(narrowed("a:=1 || c:=1", "b:=1"), "(a:=1 || c:=1) && b:=1");
    }
}
