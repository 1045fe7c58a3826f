//! Reindexes and versions as the API and the command line tell of them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    db::{
        reindex::{Kind, Phase, Reindex, Status},
        version::{State, Version},
    },
    domain::embedding::Embedding,
};

/// How a version becomes the live one, or has become it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reindex)]
pub struct ReindexView {
    pub job_id: Uuid,
    pub kind: Kind,
    /// The version that is to be live.
    pub version: i32,
    pub status: Status,
    pub phase: Phase,
    /// Somebody has asked for its end.
    pub cancel_requested: bool,
    /// Documents to be written, about.
    pub total: i64,
    /// Documents that were written, deleted or refused.
    pub done: i64,
    /// Documents that the version's collection does not take.
    pub refused: i64,
    /// How many may be refused before it is given up; null: any number.
    pub max_refused: Option<i64>,
    /// From 0 to 1.
    pub progress: f64,
    /// At its present pace; null where that can't be told.
    pub eta_seconds: Option<f64>,
    /// Why it failed, or what it waits for.
    pub error: Option<String>,
    pub requested_by: String,
    pub enqueued_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<&Reindex> for ReindexView {
    fn from(reindex: &Reindex) -> Self {
        Self {
            job_id: reindex.id,
            kind: reindex.kind,
            version: reindex.number,
            status: reindex.status,
            phase: reindex.phase,
            cancel_requested: reindex.cancel_requested,
            total: reindex.total,
            done: reindex.done,
            refused: reindex.refused,
            max_refused: reindex.max_refused,
            progress: reindex.progress(),
            eta_seconds: reindex.eta_seconds(),
            error: reindex.error.clone(),
            requested_by: reindex.requested_by.clone(),
            enqueued_at: reindex.enqueued_at,
            started_at: reindex.started_at,
            finished_at: reindex.finished_at,
        }
    }
}

/// A version of an index: a schema with a collection of its own.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IndexVersion)]
pub struct VersionView {
    pub number: i32,
    pub state: State,
    /// The collection in Typesense.
    pub collection: String,
    /// In Typesense's own words.
    #[schema(value_type = Vec<Object>)]
    pub fields: Vec<Value>,
    pub default_sorting_field: Option<String>,
    pub embedding: Option<Embedding>,
    /// What its vectors were made by; null: it has none yet.
    #[schema(value_type = Option<Object>)]
    pub fingerprint: Option<Value>,
    pub created_at: DateTime<Utc>,
    pub live_at: Option<DateTime<Utc>>,
    pub retired_at: Option<DateTime<Utc>>,
    /// The last one that was to make it live or to change it; null where there was none.
    pub reindex: Option<ReindexView>,
}

impl VersionView {
    /// A version, and what was asked for it last: `reindexes` holds at most one of each version.
    pub fn new(version: Version, reindexes: &[Reindex]) -> Self {
        Self {
            reindex: reindexes.iter().find(|reindex| reindex.number == version.number).map(ReindexView::from),
            number: version.number,
            state: version.state,
            collection: version.collection,
            fields: version.fields.0,
            default_sorting_field: version.default_sorting_field,
            embedding: version.embedding.map(|embedding| embedding.0),
            fingerprint: version.fingerprint.map(|fingerprint| fingerprint.0),
            created_at: version.created_at,
            live_at: version.live_at,
            retired_at: version.retired_at,
        }
    }
}
