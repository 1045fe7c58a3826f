//! Indexes: how fresh each is, what it is made of, and its versions.

mod acts;
mod list;
mod new;
mod reindex;
mod schema;
mod show;
mod version;
mod versions;

use axum::{
    Router,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Console,
    api::{Refusal, segment},
    session::Session,
};

pub(super) const HERE: &str = "/console/indexes";

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route(HERE, get(list::show))
        .route("/console/indexes/new", get(new::form).post(new::create))
        .route("/console/indexes/{id}", get(show::show))
        .route("/console/indexes/{id}/settings", post(acts::update))
        .route("/console/indexes/{id}/verify", post(acts::verify))
        .route("/console/indexes/{id}/reindex", get(reindex::form).post(reindex::begin))
        .route("/console/indexes/{id}/rebuild", post(acts::rebuild))
        .route("/console/indexes/{id}/rollback", post(acts::roll_back))
        .route("/console/indexes/{id}/cancel", post(acts::cancel))
        .route("/console/indexes/{id}/versions/{number}", get(version::show))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    id: String,
    organization_id: String,
    slug: String,
    fields: Vec<Value>,
    default_sorting_field: Option<String>,
    embedding: Option<Embedding>,
    alias: String,
    collection: Option<String>,
    max_attempts: i32,
    cache_seconds: i32,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Embedding {
    from: Vec<String>,
    model: String,
    outage: String,
    #[serde(default)]
    prefixes: Prefixes,
}

#[derive(Default, Deserialize)]
struct Prefixes {
    document: String,
    query: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    number: i32,
    state: String,
    collection: String,
    fields: Vec<Value>,
    default_sorting_field: Option<String>,
    embedding: Option<Embedding>,
    created_at: DateTime<Utc>,
    live_at: Option<DateTime<Utc>>,
    reindex: Option<Reindex>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reindex {
    job_id: String,
    kind: String,
    version: i32,
    status: String,
    phase: String,
    cancel_requested: bool,
    total: i64,
    done: i64,
    refused: i64,
    progress: f64,
    eta_seconds: Option<f64>,
    error: Option<String>,
    requested_by: String,
}

impl Reindex {
    fn is_under_way(&self) -> bool {
        matches!(&*self.status, "queued" | "running")
    }
}

impl Index {
    fn path(&self) -> String {
        path(&self.id)
    }
}

fn path(id: &str) -> String {
    format!("{HERE}/{}", segment(id))
}

async fn find(console: &Console, session: &Session, id: &str) -> Result<Index, Refusal> {
    console.api.get(session, &format!("/v1/indexes/{}", segment(id))).await
}
