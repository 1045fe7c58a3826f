//! Which letters a page is about, as its address has it.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::HERE;
use crate::console::{
    api::{Refusal, with_query},
    fields::Fields,
    forms::Field,
    parts,
};

/// The conditions, called as the API calls them, and what a person calls them.
const CONDITIONS: [(&str, &str); 6] = [
    ("organization", "Organization"),
    ("index", "Index"),
    ("syncJob", "Sync job"),
    ("signature", "Error signature"),
    ("since", "Failed since (UTC)"),
    ("operation", "Operation"),
];
const OPERATIONS: [(&str, &str); 6] = [
    ("", "any"),
    ("upsert", "upsert"),
    ("delete", "delete"),
    ("delete_by_filter", "delete by filter"),
    ("delete_if_matches", "delete if it matches"),
    ("reproject", "repair"),
];

/// Conditions that all have to hold; an empty one is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter([String; CONDITIONS.len()]);

impl Filter {
    pub(super) fn of(fields: &Fields) -> Self {
        Self(CONDITIONS.map(|(name, _)| match name {
            "since" => moment(fields.text(name)),
            _ => fields.text(name).to_owned(),
        }))
    }

    /// With another value for a condition.
    pub(super) fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(place) = CONDITIONS.iter().position(|(condition, _)| *condition == name) {
            self.0[place] = value.unwrap_or_default().to_owned();
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(String::is_empty)
    }

    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = CONDITIONS.iter().zip(&self.0).map(|((name, _), value)| (*name, value.as_str()));
        all.filter(|(_, value)| !value.is_empty())
    }

    /// An address with these conditions, and more beside them.
    pub(super) fn path(&self, base: &str, more: &[(&str, Option<&str>)]) -> String {
        let given = self.given().map(|(name, value)| (name, Some(value)));
        with_query(base, &given.chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// As the API takes it in a body.
    pub(super) fn json(&self) -> Value {
        self.given().map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
    }

    /// As hidden fields of a form.
    pub(super) fn hidden(&self) -> Vec<(&str, &str)> {
        self.given().collect()
    }

    /// In words.
    pub(super) fn facts(&self) -> Markup {
        html! {
            dl .facts {
                @for ((_, called), value) in CONDITIONS.iter().zip(&self.0).filter(|(_, value)| !value.is_empty()) {
                    dt { (called) } dd { (parts::cut(value, 200)) }
                }
            }
        }
    }

    /// To be changed; `refusal` is what was wrong with it.
    pub(super) fn form(&self, refusal: Option<&Refusal>) -> Markup {
        html! {
            form .filters method="get" action=(HERE) role="search" aria-label="Dead letters" {
                @for ((name, called), value) in CONDITIONS.iter().zip(&self.0) {
                    (match *name {
                        "operation" => Field::choice(name, called, &OPERATIONS).value(value),
                        "since" => Field::moment(name, called).value(value.trim_end_matches('Z')),
                        _ => Field::text(name, called).value(value),
                    }.judged(refusal))
                }
                button .primary type="submit" { "Filter" }
                @if !self.is_empty() { a .button href=(HERE) { "Clear" } }
            }
        }
    }
}

/// A moment as a form has it, in the API's words; what is no moment is left for the API to refuse.
fn moment(text: &str) -> String {
    match text.len() {
        // Without seconds, without a time zone: `2026-01-31T18:00`.
        16 => format!("{text}:00Z"),
        19 | 23 => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(fields: &[(&str, &str)]) -> Filter {
        Filter::of(&fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn an_address_and_a_body_hold_what_is_given() {
        let given = filter(&[("index", " books "), ("since", "2026-01-31T18:00"), ("cursor", "x")]);
        assert_eq!(
            given.path("/a", &[("cursor", Some("y"))]),
            "/a?index=books&since=2026-01-31T18%3A00%3A00Z&cursor=y"
        );
        assert_eq!(given.json(), serde_json::json!({ "index": "books", "since": "2026-01-31T18:00:00Z" }));
        assert!(filter(&[("index", " ")]).is_empty());
    }

    #[test]
    fn a_moment_is_told_the_same_again() {
        assert_eq!(
            ["2026-01-31T18:00", "2026-01-31T18:00:05"].map(moment),
            ["2026-01-31T18:00:00Z", "2026-01-31T18:00:05Z"]
        );
        assert_eq!(["2026-01-31T18:00:00Z", "yesterday"].map(moment), ["2026-01-31T18:00:00Z", "yesterday"]);
    }
}
