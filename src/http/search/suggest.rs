//! Completions of what somebody types, out of the documents that they may find.

use std::collections::HashSet;

use axum::{Json as Answer, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, Fault, Names, Parameters, Path, Searcher, Spelling, State, run_one, values::MAX_QUERY};
use crate::{
    db::index::Index,
    domain::fields,
    http::{body::Json, responses::Failures},
};

const MAX_SUGGESTIONS: u32 = 20;
/// Characters up to which a value is suggested whole; of a longer one it is the words that match.
const WHOLE: usize = 80;
/// Documents looked at for each suggestion: several may hold the same text.
const DOCUMENTS: u32 = 5;
const MARK: (&str, &str) = ("<mark>", "</mark>");

/// What has been typed so far.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct SuggestBody {
    /// The last word may be unfinished.
    #[schema(min_length = 1, max_length = 500)]
    q: String,
    /// Fields whose texts are suggested, the most important first, 30 at most; left out: the index's string fields.
    fields: Option<Names>,
    /// In Typesense's syntax: only texts of documents that match.
    filter_by: Option<String>,
    /// 5 where left out.
    #[schema(minimum = 1, maximum = 20)]
    limit: Option<u32>,
}

/// Completions, the best first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Suggestions {
    suggestions: Vec<Suggestion>,
    search_time_ms: u64,
}

/// A text that goes on from what was typed.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct Suggestion {
    /// To search for.
    text: String,
    /// The text with what matches between `<mark>` and `</mark>`.
    highlighted: String,
    /// The field that it was found in.
    field: String,
}

/// Suggest completions
#[utoipa::path(post, path = "/v1/indexes/{index}/suggest", tag = "search",
    params(("index" = String, Path, description = "The index's id or slug")),
    request_body = SuggestBody,
    responses((status = 200, description = "Completions, the best first", body = Suggestions), Failures))]
pub(in crate::http) async fn suggest(
    Shared(state): Shared<State>,
    caller: Searcher,
    Path(index): Path<String>,
    Json(body): Json<SuggestBody>,
) -> Result<Answer<Suggestions>, Error> {
    let limit = body.check()?;
    let index = state.index(&caller.caller, &index).await?;
    let search = body.parameters(&index, limit)?.search(index)?;
    let found = run_one(&state, &caller, &search).await?;
    let hits: Vec<Hit> = match &found.hits {
        Some(hits) => serde_json::from_str(hits.get()).map_err(|error| Error::Internal(error.to_string()))?,
        None => vec![],
    };
    let suggestions = distinct(hits, limit as usize);
    Ok(Answer(Suggestions { suggestions, search_time_ms: found.search_time_ms }))
}

impl SuggestBody {
    /// Gives the limit, where nothing is wrong.
    fn check(&self) -> Result<u32, Error> {
        let limit = self.limit.unwrap_or(5);
        let mut faults = Vec::new();
        if self.q.trim().is_empty() || self.q.chars().count() > MAX_QUERY {
            faults.push(Fault::new("q", format!("1 to {MAX_QUERY} characters, not blanks alone")));
        }
        if !(1..=MAX_SUGGESTIONS).contains(&limit) {
            faults.push(Fault::new("limit", format!("1 to {MAX_SUGGESTIONS}")));
        }
        if faults.is_empty() { Ok(limit) } else { Err(Error::validation(faults)) }
    }

    fn parameters(&self, index: &Index, limit: u32) -> Result<Parameters, Error> {
        let named = self.fields.as_ref().map(Names::text).filter(|fields| !fields.is_empty());
        let fields = named.unwrap_or_else(|| fields::searchable(&index.fields).join(","));
        let mut parameters = Parameters::new(Spelling::Camel);
        parameters.set("query_by", &fields)?;
        for (name, value) in [
            // `*` alone would find everything and mark nothing.
            ("q", self.q.trim().trim_matches('*')),
            ("filter_by", self.filter_by.as_deref().unwrap_or_default()),
            ("include_fields", &fields),
            ("highlight_full_fields", &fields),
            // Every word that was typed must be there.
            ("drop_tokens_threshold", "0"),
            ("prefix", "true"),
            ("highlight_start_tag", MARK.0),
            ("highlight_end_tag", MARK.1),
            ("per_page", &(limit * DOCUMENTS).to_string()),
        ] {
            parameters.set(name, value)?;
        }
        Ok(parameters)
    }
}

#[derive(Deserialize)]
struct Hit {
    #[serde(default)]
    highlights: Vec<Highlight>,
}

/// One field of a hit: `value` of a text, `values` of a list of them.
#[derive(Deserialize)]
struct Highlight {
    field: String,
    value: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

/// The texts of hits, each once however it is written.
fn distinct(hits: Vec<Hit>, limit: usize) -> Vec<Suggestion> {
    let mut seen = HashSet::new();
    let texts = hits.into_iter().flat_map(|hit| hit.highlights).flat_map(|Highlight { field, value, values }| {
        value.into_iter().chain(values).map(move |marked| suggestion(&field, &marked)).collect::<Vec<_>>()
    });
    texts.flatten().filter(|found| seen.insert(found.text.to_lowercase())).take(limit).collect()
}

/// A value as a suggestion: whole where it is short, else from the first mark to the end of the last marked word.
fn suggestion(field: &str, marked: &str) -> Option<Suggestion> {
    let first = marked.find(MARK.0)?;
    let last = marked.rfind(MARK.1)? + MARK.1.len();
    let highlighted = match unmarked(marked).chars().count() <= WHOLE {
        true => marked.trim(),
        false => {
            let rest = &marked[last..];
            let word = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            // A text that holds the tags itself may end a mark before any begins.
            marked.get(first..last + word)?
        }
    };
    let text = unmarked(highlighted);
    let fits = text.chars().count() <= WHOLE;
    fits.then(|| Suggestion { text, highlighted: highlighted.to_owned(), field: field.to_owned() })
}

fn unmarked(text: &str) -> String {
    text.replace(MARK.0, "").replace(MARK.1, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_to_its_marks_unless_they_are_its_own() {
        let long = "x ".repeat(WHOLE);
        let found = suggestion("title", &format!("{long}the <mark>se</mark>a, {long}")).expect("a suggestion");
        assert_eq!((&*found.highlighted, &*found.text), ("<mark>se</mark>a", "sea"));
        assert_eq!(suggestion("title", &format!("</mark> {long}<mark>sea")), None);
        assert_eq!(suggestion("title", &format!("<mark>{long}</mark>")), None);
    }
}
