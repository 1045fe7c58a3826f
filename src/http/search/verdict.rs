//! What Typesense says of a search that it can't run, in the caller's terms. Its sentences begin in fixed ways, and only those
//! beginnings are judged: what follows may be the caller's own words.

use super::parameters::Spelling;
use crate::{http::Error, typesense};

/// How a sentence of Typesense 0.24.1 begins, the code and the parameter at fault, and what the caller is told; `{}` is the field
/// that the sentence names.
const SENTENCES: [(&str, &str, &str, &str); 29] = [
    ("Could not find a filter field named", "invalid_filter", "filter_by", "the index has no field {} to filter by"),
    ("Error with filter field", "invalid_filter", "filter_by", "the value does not fit the field {}"),
    ("Value of filter field", "invalid_filter", "filter_by", "the value does not fit the field {}"),
    ("Unit must be either", "invalid_filter", "filter_by", "the unit of a radius is km or mi"),
    ("Not equals filtering is not supported", "invalid_filter", "filter_by", "id can't be compared with !="),
    ("Cannot filter on", "invalid_filter", "filter_by", "the field {} can't be filtered by"),
    (
        "Numerical field has an invalid comparator",
        "invalid_filter",
        "filter_by",
        "a number is compared in an unknown way",
    ),
    ("Could not parse the filter query", "invalid_filter", "filter_by", "not a filter that can be read"),
    ("Filter ", "invalid_filter", "filter_by", "not a filter that can be read"),
    ("The `filter_by`", "invalid_filter", "filter_by", "not a filter that can be read"),
    ("Order for field", "invalid_sort", "sort_by", "the order is asc or desc"),
    ("Bad syntax for sorting field", "invalid_sort", "sort_by", "the field {} can't be sorted by in this way"),
    ("Only upto 3 sort", "invalid_sort", "sort_by", "3 fields at most"),
    ("Parameter `sort_by`", "invalid_sort", "sort_by", "not an order that can be read"),
    ("Invalid sorting parameter", "invalid_sort", "sort_by", "not an order that can be read"),
    ("Default sorting field", "invalid_sort", "sort_by", "the index's default sorting field can't be sorted by"),
    ("Could not find a facet field named", "invalid_request", "facet_by", "the index has no facet {}"),
    ("No search fields specified", "invalid_request", "query_by", "name the fields to search in"),
    ("Field `", "invalid_request", "query_by", "the field {} is no text"),
    ("Number of weights in", "invalid_request", "query_by_weights", "one for each field to search in"),
    ("Number of infix values", "invalid_request", "infix", "one, or one for each field to search in"),
    ("Number of prefix values", "invalid_request", "prefix", "one, or one for each field to search in"),
    ("Number of values in `num_typos`", "invalid_request", "num_typos", "one, or one for each field to search in"),
    ("Could not find `", "invalid_request", "infix", "the field {} was not declared for infix search"),
    ("Group by field", "invalid_request", "group_by", "the field {} is no facet"),
    ("Could not find a group by field", "invalid_request", "group_by", "the index has no facet {}"),
    ("The `facet_query`", "invalid_request", "facet_query", "the facet must be asked for, too"),
    (
        "Facet query refers to a facet field",
        "invalid_request",
        "facet_query",
        "the facet {} is not among those asked for",
    ),
    ("Facet query", "invalid_request", "facet_query", "a facet and the beginning of its values, such as genre:poe"),
];

/// Of searches that could not be run together.
pub(super) fn of_all(error: typesense::Error, spelling: Spelling) -> Error {
    match error {
        typesense::Error::TooLarge => Error::invalid(format!(
            "what is found is too large for one answer: ask for fewer documents with {}, or smaller ones with {}",
            spelling.of("per_page"),
            spelling.of("include_fields")
        )),
        error => error.into(),
    }
}

/// Of one search.
pub(in crate::http) fn translate(error: typesense::Error, spelling: Spelling) -> Error {
    match error {
        typesense::Error::Status { status: 400 | 404 | 422, message } => {
            tracing::debug!(message, "Typesense refused a search");
            let (code, detail) = told(&message, spelling);
            Error::Invalid { code, detail }
        }
        error => error.into(),
    }
}

fn told(message: &str, spelling: Spelling) -> (&'static str, String) {
    let field = message.split('`').nth(1).unwrap_or_default().trim();
    let says =
        |parameter: &str, sentence: &str| format!("{}: {}", spelling.of(parameter), sentence.replace("{}", field));
    if message.starts_with("Could not find a field named") {
        return match message.ends_with("for sorting.") {
            true => ("invalid_sort", says("sort_by", "the index has no field {} to sort by")),
            false => ("invalid_request", says("query_by", "the index has no field {} to search in")),
        };
    }
    match SENTENCES.iter().find(|(beginning, ..)| message.starts_with(beginning)) {
        Some((_, code, parameter, sentence)) => (code, says(parameter, sentence)),
        None => ("invalid_request", "the search can't be run on this index".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_follows_typesenses_words_and_not_the_callers() {
        for (message, code, detail) in [
            (
                "Could not find a field named `filter` in the schema.",
                "invalid_request",
                "queryBy: the index has no field filter to search in",
            ),
            (
                "Could not find a field named `filter` in the schema for sorting.",
                "invalid_sort",
                "sortBy: the index has no field filter to sort by",
            ),
            (
                "Could not find a filter field named `sort` in the schema.",
                "invalid_filter",
                "filterBy: the index has no field sort to filter by",
            ),
            (
                "Order for field` price` should be either ASC or DESC.",
                "invalid_sort",
                "sortBy: the order is asc or desc",
            ),
            ("Unit must be either `km` or `mi`.", "invalid_filter", "filterBy: the unit of a radius is km or mi"),
            (
                "Error with filter field `n`: Not an int32.",
                "invalid_filter",
                "filterBy: the value does not fit the field n",
            ),
            (
                "Field `sort` should be a string or a string array.",
                "invalid_request",
                "queryBy: the field sort is no text",
            ),
            ("Something about a filter and a sort.", "invalid_request", "the search can't be run on this index"),
        ] {
            assert_eq!(told(message, Spelling::Camel), (code, detail.to_owned()));
        }
    }
}
