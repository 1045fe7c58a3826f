//! What was found, in one shape whichever door was asked.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    marks,
    target::{Kind, Target},
};
use crate::console::{Console, api::Refusal, session::Session};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    #[serde(default)]
    pub(super) hits: Vec<Hit>,
    pub(super) found: u64,
    #[serde(default, alias = "facet_counts")]
    pub(super) facet_counts: Vec<Facet>,
    #[serde(default, alias = "search_time_ms")]
    pub(super) search_time_ms: u64,
}

#[derive(Deserialize)]
pub(super) struct Hit {
    pub(super) document: Value,
    #[serde(default)]
    highlights: Vec<Highlight>,
    pub(super) vector_distance: Option<f64>,
    pub(super) fusion: Option<Fusion>,
}

/// How a hit was ranked by its words and its meaning together.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fusion {
    pub(super) score: f64,
    #[serde(alias = "keyword_rank")]
    pub(super) keyword_rank: Option<u64>,
    #[serde(alias = "vector_rank")]
    pub(super) vector_rank: Option<u64>,
}

#[derive(Deserialize)]
struct Highlight {
    field: String,
    snippet: Option<String>,
    #[serde(default)]
    snippets: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Facet {
    pub(super) field_name: String,
    pub(super) counts: Vec<FacetCount>,
}

#[derive(Deserialize)]
pub(super) struct FacetCount {
    pub(super) value: String,
    pub(super) count: i64,
}

/// Has the API search.
pub(super) async fn ask(
    console: &Console,
    session: &Session,
    target: &Target,
    mut body: Value,
) -> Result<Found, Refusal> {
    #[derive(Deserialize)]
    struct OfTable {
        result: Found,
    }
    let (start, end) = match target.kind() {
        Kind::Index => ("highlightStartTag", "highlightEndTag"),
        Kind::SyncJob => ("highlight_start_tag", "highlight_end_tag"),
    };
    body[start] = json!(marks::START);
    body[end] = json!(marks::END);
    match target.kind() {
        Kind::Index => console.api.post(session, &target.path(), &body).await,
        Kind::SyncJob => console.api.post::<OfTable>(session, &target.path(), &body).await.map(|of| of.result),
    }
}

impl Hit {
    pub(super) fn id(&self) -> &str {
        self.document["id"].as_str().unwrap_or_default()
    }

    /// Fields that match, each with a piece of its text.
    pub(super) fn matches(&self) -> impl Iterator<Item = (&str, &str)> {
        self.highlights.iter().flat_map(|highlight| {
            let texts = highlight.snippet.iter().chain(&highlight.snippets);
            texts.map(|text| (highlight.field.as_str(), text.as_str()))
        })
    }
}
