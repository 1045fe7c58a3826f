//! Jobs: what became of the documents of each accepted request, and of each reindex.

mod job;
mod list;
mod tally;

use axum::{Router, routing::get};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use self::tally::Counts;
use super::Console;

const HERE: &str = "/console/jobs";
const API: &str = "/v1/jobs";

pub(super) fn routes() -> Router<Console> {
    Router::new().route(HERE, get(list::list)).route("/console/jobs/{id}", get(job::show))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    job_id: String,
    organization: String,
    index: String,
    status: String,
    counts: Counts,
    errors: Vec<Failure>,
    enqueued_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    reindex: Option<Reindex>,
}

/// A document that failed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    document_id: Option<String>,
    code: String,
    message: String,
    dead_letter_id: Option<String>,
    next_retry_at: Option<DateTime<Utc>>,
}

/// A job that is no write of a caller's, but makes a version of an index the live one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reindex {
    kind: String,
    version: i64,
    phase: String,
    cancel_requested: bool,
    progress: f64,
    refused: i64,
    max_refused: Option<i64>,
    error: Option<String>,
    requested_by: String,
}

impl Job {
    /// What kind of work it is, in a word or two.
    fn kind(&self) -> &str {
        match self.reindex.as_ref().map(|reindex| reindex.kind.as_str()) {
            None => "write",
            Some("in_place") => "change in place",
            Some(kind) => kind,
        }
    }
}
