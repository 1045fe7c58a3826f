//! Search, confined to the caller's organization whatever the caller asks for.

mod cache;
mod fusion;
mod hybrid;
mod meaning;
mod mode;
mod parameters;
mod query_vector;
mod request;
mod run;
pub(super) mod suggest;
mod values;
mod verdict;

use axum::{
    Json as Answer,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use super::{Error, Fault, State, body::Json, params::Path};
use crate::typesense;

pub(super) use cache::Results;
pub(super) use meaning::{Failure, run as run_in};
pub(super) use mode::{Mode, Ranking};
pub(super) use parameters::{Parameters, Spelling};
pub(super) use query_vector::of_job as query_vector;
pub(super) use request::{Ask, Part, Request};
use run::run_all;
pub(super) use run::{MAX_SEARCHES, Search, Searcher, count, run_each, run_one};
pub(super) use verdict::translate as refused;

/// What to search for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Search)]
pub(super) struct SearchBody {
    /// `*` finds everything. At most 500 characters.
    #[serde(default = "everything")]
    q: String,
    /// Fields to search in, 30 at most; left out: the index's string fields.
    query_by: Option<Names>,
    /// How much each of `queryBy` counts, 0 to 127.
    query_by_weights: Option<Vec<u32>>,
    /// Whether the last word may be the beginning of a longer one; so it is where left out.
    prefix: Option<bool>,
    /// How many mistakes a word may have; 2 where left out.
    #[schema(maximum = 2)]
    num_typos: Option<u32>,
    /// In Typesense's syntax.
    filter_by: Option<String>,
    facet_by: Option<Names>,
    /// A facet and the beginning of its values: `genre:poe`.
    facet_query: Option<String>,
    /// 10 where left out.
    #[schema(maximum = 1000)]
    max_facet_values: Option<u32>,
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
    /// Fields of which a hit shows where they match.
    highlight_fields: Option<Names>,
    /// Those of them that are shown whole rather than as snippets.
    highlight_full_fields: Option<Names>,
    /// `<mark>` where left out.
    highlight_start_tag: Option<String>,
    /// `</mark>` where left out.
    highlight_end_tag: Option<String>,
    /// `keyword` where left out.
    mode: Option<Mode>,
    /// Of `hybrid`: how much meaning counts beside words, 0.5 where left out.
    #[schema(minimum = 0, maximum = 1)]
    alpha: Option<f64>,
}

fn everything() -> String {
    "*".to_owned()
}

impl SearchBody {
    fn parameters(&self) -> Result<Parameters, Error> {
        if self.per_page == Some(0) {
            return Err(Error::validation(vec![Fault::new("perPage", "from 1")]));
        }
        let count = |count: Option<u32>| count.map(|count| count.to_string()).unwrap_or_default();
        let weights = self.query_by_weights.iter().flatten().map(u32::to_string).collect::<Vec<_>>();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let list = |names: &Option<Names>| names.as_ref().map(Names::text).unwrap_or_default();
        let mut parameters = Parameters::new(Spelling::Camel);
        parameters.rank(Ranking::of(self.mode, self.alpha)?);
        if let Some(filter) = &self.filter_by
            && filter.is_empty()
        {
            return Err(Error::Invalid { code: "invalid_filter", detail: "filterBy: the filter is empty".to_owned() });
        }
        for (name, value) in [
            ("q", self.q.clone()),
            ("query_by", list(&self.query_by)),
            ("query_by_weights", weights.join(",")),
            ("prefix", self.prefix.map(|prefix| prefix.to_string()).unwrap_or_default()),
            ("num_typos", count(self.num_typos)),
            ("filter_by", text(&self.filter_by)),
            ("facet_by", list(&self.facet_by)),
            ("facet_query", text(&self.facet_query)),
            ("max_facet_values", count(self.max_facet_values)),
            ("sort_by", list(&self.sort_by)),
            ("page", count(self.page)),
            ("per_page", count(self.per_page)),
            ("include_fields", list(&self.include_fields)),
            ("exclude_fields", list(&self.exclude_fields)),
            ("highlight_fields", list(&self.highlight_fields)),
            ("highlight_full_fields", list(&self.highlight_full_fields)),
            ("highlight_start_tag", text(&self.highlight_start_tag)),
            ("highlight_end_tag", text(&self.highlight_end_tag)),
        ] {
            parameters.set(name, &value)?;
        }
        Ok(parameters)
    }
}

/// A list, as an array or as text with commas.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Names {
    List(Vec<String>),
    Text(String),
}

impl Names {
    fn text(&self) -> String {
        match self {
            Self::List(names) => names.join(","),
            Self::Text(names) => names.clone(),
        }
    }
}

/// One search among several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamedSearch {
    /// The index's id or slug.
    index: String,
    #[serde(flatten)]
    search: SearchBody,
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
pub(super) struct Found<'a> {
    /// Each `{document, highlights, …}`; found by `vector`, with its `vector_distance`, 0 to 2; found by `hybrid`, with `fusion`:
    /// `{score, keywordRank, vectorRank, vectorDistance}`, null where one of the two did not find it.
    #[schema(value_type = Vec<Object>)]
    hits: Text<'a>,
    /// How many documents match, on all pages; by `vector` and `hybrid` those that are ranked, on all pages.
    found: u64,
    page: u32,
    per_page: u32,
    #[schema(value_type = Vec<Object>)]
    facet_counts: Text<'a>,
    search_time_ms: u64,
}

/// A list as Typesense wrote it; empty where it wrote none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a>(pub(super) Option<&'a RawValue>);

impl Serialize for Text<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(text) => text.serialize(serializer),
            None => serializer.collect_seq::<[(); 0]>([]),
        }
    }
}

impl<'a> Found<'a> {
    fn of(search: &Search, found: &'a typesense::Found) -> Self {
        Self {
            hits: Text(found.hits.as_deref()),
            found: found.found,
            page: search.ask.page,
            per_page: search.ask.per_page,
            facet_counts: Text(found.facet_counts.as_deref()),
            search_time_ms: found.search_time_ms,
        }
    }
}

/// One answer for each search.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MultiFound<'a> {
    results: Vec<Found<'a>>,
}

/// Search an index
#[utoipa::path(post, path = "/v1/indexes/{index}/search", tag = "search",
    params(("index" = String, Path, description = "The index's id or slug")),
    request_body = SearchBody,
    responses((status = 200, description = "What was found", body = Found), super::responses::Failures))]
pub(super) async fn search(
    Shared(state): Shared<State>,
    caller: Searcher,
    Path(index): Path<String>,
    Json(search): Json<SearchBody>,
) -> Result<Response, Error> {
    let index = state.index(&caller.caller, &index).await?;
    let search = search.parameters()?.search(index)?;
    let found = run_one(&state, &caller, &search).await?;
    Ok(Answer(Found::of(&search, &found)).into_response())
}

/// Search several indexes at once
#[utoipa::path(post, path = "/v1/multi-search", tag = "search", request_body = MultiSearch,
    responses((status = 200, description = "One answer for each search, in order", body = MultiFound),
              super::responses::Failures))]
pub(super) async fn multi_search(
    Shared(state): Shared<State>,
    caller: Searcher,
    Json(MultiSearch { searches }): Json<MultiSearch>,
) -> Result<Response, Error> {
    if !(1..=MAX_SEARCHES).contains(&searches.len()) {
        return Err(Error::validation(vec![Fault::new("searches", format!("1 to {MAX_SEARCHES} searches"))]));
    }
    let mut ready = Vec::with_capacity(searches.len());
    for (n, search) in searches.into_iter().enumerate() {
        let NamedSearch { index, search } = read_named(n, search)?;
        ready.push(search.parameters()?.search(state.index(&caller.caller, &index).await?)?);
    }
    let found = run_all(&state, &caller, &ready).await?;
    let results = ready.iter().zip(&found).map(|(search, found)| Found::of(search, found)).collect();
    Ok(Answer(MultiFound { results }).into_response())
}

/// `flatten` and `deny_unknown_fields` don't go together, so the index's name is taken out by hand.
fn read_named(n: usize, search: Value) -> Result<NamedSearch, Error> {
    let fault = |message: String| Error::validation(vec![Fault::new(&format!("searches[{n}]"), message)]);
    let Value::Object(mut search) = search else { return Err(fault("must be an object".to_owned())) };
    let Some(Value::String(index)) = search.remove("index") else {
        return Err(fault("needs an index, by its id or slug".to_owned()));
    };
    let search = SearchBody::deserialize(Value::Object(search)).map_err(|error| fault(error.to_string()))?;
    Ok(NamedSearch { index, search })
}
