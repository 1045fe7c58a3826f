//! Typesense's searches: `GET /collections/{index}/documents/search` and `POST /multi_search`.

use std::borrow::Cow;

use axum::{
    Json as Answer,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use super::envelope::{Failures, Refused};
use crate::{
    http::{
        Error, Fault, State,
        body::Json,
        params::{Pairs, Path},
        search::{MAX_SEARCHES, Parameters, Search, Searcher, Spelling, Text, run_each, run_one},
    },
    typesense::Found,
};

/// Search an index, as Typesense's clients do
///
/// `query_by` may be left out: the index's string fields are searched in. Other parameters of Typesense 0.24 are taken, too, but
/// for those that go around filters or reach beyond the index.
#[utoipa::path(get, path = "/collections/{index}/documents/search", tag = "typesense", security(("typesense" = [])),
    params(("index" = String, Path, description = "The index's id or slug"),
           ("q" = Option<String>, Query, description = "`*` where left out"),
           ("query_by" = Option<String>, Query, description = "Fields, with commas between"),
           ("filter_by" = Option<String>, Query, description = "In Typesense's syntax"),
           ("sort_by" = Option<String>, Query, description = "Such as `price:desc`"),
           ("facet_by" = Option<String>, Query, description = "Fields, with commas between"),
           ("page" = Option<u32>, Query, description = "From 1"),
           ("per_page" = Option<u32>, Query, description = "0 to 100, 10 where left out")),
    responses((status = 200, description = "Typesense's own answer", body = Object), Failures))]
pub(super) async fn search(
    caller: Searcher,
    Path(name): Path<String>,
    Shared(state): Shared<State>,
    Pairs(query): Pairs,
) -> Result<Response, Error> {
    let index = state.index(&caller.caller, &name).await?;
    let mut parameters = Parameters::new(Spelling::Snake);
    for (name, value) in &query {
        parameters.set(name, value)?;
    }
    let search = parameters.search(index)?;
    let found = run_one(&state, &caller, &search).await?;
    Ok(Answer(View::of(&name, &search, &found)).into_response())
}

/// Searches, each with its `collection`, the index's id or slug.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NativeSearches)]
pub(super) struct Searches {
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 20)]
    searches: Vec<Map<String, Value>>,
    /// Not offered: only false is taken.
    #[serde(default)]
    union: bool,
}

/// Search several indexes at once, as Typesense's clients do
///
/// A parameter in the query string holds for all searches, also for those that say otherwise. A search that can't be run has
/// `{"code", "error"}` for its result.
#[utoipa::path(post, path = "/multi_search", tag = "typesense", security(("typesense" = [])), request_body = Searches,
    responses((status = 200, description = "`{\"results\": […]}`, in order", body = Object), Failures))]
pub(super) async fn multi_search(
    caller: Searcher,
    Shared(state): Shared<State>,
    Pairs(common): Pairs,
    Json(Searches { searches, union }): Json<Searches>,
) -> Result<Response, Error> {
    if union {
        return Err(Error::invalid("union is not offered: read the results one by one"));
    }
    if !(1..=MAX_SEARCHES).contains(&searches.len()) {
        return Err(Error::validation(vec![Fault::new("searches", format!("1 to {MAX_SEARCHES} searches"))]));
    }
    let (mut places, mut ready) = (Vec::with_capacity(searches.len()), Vec::with_capacity(searches.len()));
    for search in &searches {
        places.push(match read(&state, &caller, &common, search).await {
            Ok((name, search)) => {
                ready.push(search);
                Ok(name)
            }
            // What is wrong with one search is said in its place.
            Err(error) if error.is_the_callers() => Err(Refused::from(error)),
            Err(error) => return Err(error),
        });
    }
    let answers = if ready.is_empty() { vec![] } else { run_each(&state, &caller, &ready).await? };
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.map_err(Refused::from)).collect();
    let mut answered = ready.iter().zip(&answers);
    let results = places.iter().filter_map(|place| match place {
        Ok(name) => answered.next().map(|(search, answer)| match answer {
            Ok(found) => Line::Found(View::of(name, search, found)),
            Err(refused) => Line::Refused(refused),
        }),
        Err(refused) => Some(Line::Refused(refused)),
    });
    Ok(Answer(Results { results: results.collect() }).into_response())
}

/// One of several searches, with the name that it has for its collection.
async fn read(
    state: &State,
    caller: &Searcher,
    common: &[(String, String)],
    search: &Map<String, Value>,
) -> Result<(String, Search), Error> {
    let mut parameters = Parameters::new(Spelling::Snake);
    let mut collection = None;
    let mut take = |name: &str, value: &str| match name {
        "collection" => {
            collection = Some(value.to_owned());
            Ok(())
        }
        _ => parameters.set(name, value),
    };
    for (name, value) in common {
        take(name, value)?;
    }
    // As in Typesense, the query string wins.
    for (name, value) in search.iter().filter(|(name, _)| common.iter().all(|(other, _)| other != *name)) {
        take(name, &text(name, value)?)?;
    }
    let collection = collection.ok_or_else(|| Error::invalid("collection: needs an index, by its id or slug"))?;
    let index = state.index(&caller.caller, &collection).await?;
    Ok((collection, parameters.search(index)?))
}

/// A value as Typesense reads it: lists as text with commas.
fn text<'a>(name: &str, value: &'a Value) -> Result<Cow<'a, str>, Error> {
    Ok(match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        Value::Bool(_) | Value::Number(_) => Cow::Owned(value.to_string()),
        Value::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| text(name, item)).collect();
            Cow::Owned(items?.join(","))
        }
        Value::Object(_) => {
            return Err(Error::invalid(format!("{name}: must be text, a number, true or false, or a list")));
        }
    })
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<Line<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Found(View<'a>),
    Refused(&'a Refused),
}

/// An answer as Typesense gives it, but for what it tells of others' documents and of where they are.
#[derive(Serialize)]
struct View<'a> {
    facet_counts: Text<'a>,
    found: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    grouped_hits: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hits: Option<Text<'a>>,
    /// Typesense counts the whole collection here: what the search could not see is not counted.
    out_of: u64,
    page: u32,
    request_params: RequestParams<'a>,
    search_cutoff: bool,
    search_time_ms: u64,
}

#[derive(Serialize)]
struct RequestParams<'a> {
    collection_name: &'a str,
    per_page: u32,
    q: &'a str,
}

impl<'a> View<'a> {
    fn of(name: &'a str, search: &'a Search, found: &'a Found) -> Self {
        let grouped_hits = found.grouped_hits.as_deref();
        Self {
            facet_counts: Text(found.facet_counts.as_deref()),
            found: found.found,
            grouped_hits,
            hits: grouped_hits.is_none().then_some(Text(found.hits.as_deref())),
            out_of: found.found,
            page: search.ask.page,
            request_params: RequestParams { collection_name: name, per_page: search.ask.per_page, q: &search.ask.q },
            search_cutoff: found.search_cutoff,
            search_time_ms: found.search_time_ms,
        }
    }
}
