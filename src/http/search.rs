//! Search, confined to the caller's organization whatever the caller asks for.

mod parameters;
mod verdict;

use std::sync::Arc;

use axum::{Json as Answer, extract::State as Shared};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Error, Fault, State, body::Json, caller::Caller, params::Path};
use crate::{db::index::Index, typesense};

const SEARCH_SCOPES: [&str; 1] = ["search"];
const MAX_SEARCHES: usize = 20;

/// What to search for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Search {
    /// `*` finds everything.
    #[serde(default = "everything")]
    q: String,
    /// Fields to search in, 30 at most; left out: the index's string fields.
    query_by: Option<Names>,
    /// In Typesense's syntax.
    filter_by: Option<String>,
    facet_by: Option<Names>,
    /// Such as `price:desc`, `_text_match:desc` or `place(48.9,2.3):asc`; 3 at most.
    sort_by: Option<Names>,
    /// From 1. Not beyond the 10,000th document.
    #[schema(minimum = 1)]
    page: Option<u32>,
    /// 10 where left out.
    #[schema(minimum = 1, maximum = 100)]
    per_page: Option<u32>,
    include_fields: Option<Names>,
    exclude_fields: Option<Names>,
    highlight_fields: Option<Names>,
    #[expect(dead_code, reason = "there is one mode so far: reading it refuses the others")]
    mode: Option<Mode>,
}

fn everything() -> String {
    "*".to_owned()
}

/// A list, as an array or as text with commas.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Names {
    List(Vec<String>),
    Text(String),
}

/// How hits are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Keyword,
}

/// One search among several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamedSearch {
    /// The index's id or slug.
    index: String,
    #[serde(flatten)]
    search: Search,
}

/// Several searches, answered in order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MultiSearch {
    #[schema(min_items = 1, max_items = 20)]
    searches: Vec<Value>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    /// Each `{document, highlights, …}`.
    hits: Vec<Value>,
    /// How many documents match, on all pages.
    found: u64,
    page: u64,
    per_page: u64,
    facet_counts: Vec<Value>,
    search_time_ms: u64,
}

/// One answer for each search.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MultiFound {
    results: Vec<Found>,
}

/// Search an index
#[utoipa::path(post, path = "/v1/indexes/{index}/search", tag = "search",
    params(("index" = String, Path, description = "The index's id or slug")),
    request_body = Search,
    responses((status = 200, description = "What was found", body = Found), super::responses::Failures))]
pub(super) async fn search(
    Shared(state): Shared<State>,
    caller: Caller,
    Path(index): Path<String>,
    Json(search): Json<Search>,
) -> Result<Answer<Found>, Error> {
    caller.require(&SEARCH_SCOPES)?;
    let index = state.index(&caller, &index).await?;
    let parameters = parameters::of(&search, &index, caller.signed_filter())?;
    let answer = state.typesense.multi_search(&[parameters]).await?.pop();
    let answer = answer.ok_or_else(|| Error::Internal("a search had no answer".to_owned()))?;
    shape(&search, answer).map(Answer)
}

/// Search several indexes at once
#[utoipa::path(post, path = "/v1/multi-search", tag = "search", request_body = MultiSearch,
    responses((status = 200, description = "One answer for each search, in order", body = MultiFound),
              super::responses::Failures))]
pub(super) async fn multi_search(
    Shared(state): Shared<State>,
    caller: Caller,
    Json(MultiSearch { searches }): Json<MultiSearch>,
) -> Result<Answer<MultiFound>, Error> {
    caller.require(&SEARCH_SCOPES)?;
    if !(1..=MAX_SEARCHES).contains(&searches.len()) {
        return Err(Error::validation(vec![Fault::new("searches", format!("1 to {MAX_SEARCHES} searches"))]));
    }
    let mut named = Vec::with_capacity(searches.len());
    for (n, search) in searches.into_iter().enumerate() {
        named.push(read_named(n, search)?);
    }
    let mut parameters = Vec::with_capacity(named.len());
    for NamedSearch { index, search } in &named {
        let index: Arc<Index> = state.index(&caller, index).await?;
        parameters.push(parameters::of(search, &index, caller.signed_filter())?);
    }
    let answers = state.typesense.multi_search(&parameters).await?;
    let results: Result<Vec<Found>, Error> =
        named.iter().zip(answers).map(|(named, answer)| shape(&named.search, answer)).collect();
    Ok(Answer(MultiFound { results: results? }))
}

/// `flatten` and `deny_unknown_fields` don't go together, so the index's name is taken out by hand.
fn read_named(n: usize, search: Value) -> Result<NamedSearch, Error> {
    let fault = |message: String| Error::validation(vec![Fault::new(&format!("searches[{n}]"), message)]);
    let Value::Object(mut search) = search else { return Err(fault("must be an object".to_owned())) };
    let Some(Value::String(index)) = search.remove("index") else {
        return Err(fault("needs an index, by its id or slug".to_owned()));
    };
    let search = Search::deserialize(Value::Object(search)).map_err(|error| fault(error.to_string()))?;
    Ok(NamedSearch { index, search })
}

/// Typesense's answer, or its error, as ours.
fn shape(search: &Search, answer: typesense::SearchResult) -> Result<Found, Error> {
    let mut answer = match answer {
        Ok(answer) => answer,
        // Not made yet: nothing has been written to the index.
        Err(typesense::Error::Status { status: 404, message }) if message.starts_with("Not found") => json!({}),
        Err(error) => return Err(verdict::translate(error)),
    };
    let mut take = |name: &str| answer.get_mut(name).map(Value::take).unwrap_or_default();
    let list = |value: Value| if let Value::Array(list) = value { list } else { Vec::new() };
    Ok(Found {
        hits: list(take("hits")),
        found: take("found").as_u64().unwrap_or(0),
        page: u64::from(search.page.unwrap_or(1)),
        per_page: u64::from(search.per_page.unwrap_or(10)),
        facet_counts: list(take("facet_counts")),
        search_time_ms: take("search_time_ms").as_u64().unwrap_or(0),
    })
}
