//! How dead letters, and what became of them, are shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::dead_letter::{Act, DeadLetter, Operation};

/// A write that failed for good, or a row of a sync job that its collection does not take.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub(in crate::http) struct DeadLetterView {
    id: Uuid,
    /// The organization's slug; null for a row of a sync job.
    organization: Option<String>,
    /// The index's slug; null for a row of a sync job.
    index: Option<String>,
    /// The sync job's name; null for a write of an index.
    sync_job: Option<String>,
    sync_job_id: Option<Uuid>,
    /// Null for a delete by filter.
    document_id: Option<String>,
    /// The job of the request; null where there was none.
    job_id: Option<Uuid>,
    operation: Operation,
    /// Its place in the order of all writes; kept by a retry.
    version: i64,
    /// Null where there is none to write.
    #[schema(value_type = Option<Object>)]
    document: Option<Box<RawValue>>,
    /// Of a delete by filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    error: DeadLetterError,
    attempts: i32,
    first_failed_at: DateTime<Utc>,
    last_failed_at: DateTime<Utc>,
    /// What was done to this write before, newest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    acts: Option<Vec<Act>>,
}

/// Why it failed.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct DeadLetterError {
    code: String,
    message: String,
    /// The same for the same fault of other documents.
    signature: String,
}

impl DeadLetterView {
    /// With what was done before.
    pub(super) fn with(self, acts: Vec<Act>) -> Self {
        Self { acts: Some(acts), ..self }
    }
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let is_filter = matches!(letter.operation, Operation::DeleteByFilter | Operation::DeleteIfMatches);
        let (filter, document) = if is_filter { (letter.body, None) } else { (None, letter.body) };
        Self {
            id: letter.id,
            organization: letter.organization_slug,
            index: letter.index_slug,
            sync_job: letter.sync_job_name,
            sync_job_id: letter.sync_job_id,
            document_id: letter.document_id,
            job_id: letter.job_id,
            operation: letter.operation,
            version: letter.version,
            document: document.and_then(|json| RawValue::from_string(json).ok()),
            filter,
            error: DeadLetterError {
                code: letter.error_code,
                message: letter.error_message,
                signature: letter.error_signature,
            },
            attempts: letter.attempts,
            first_failed_at: letter.first_failed_at,
            last_failed_at: letter.last_failed_at,
            acts: None,
        }
    }
}

/// What became of a retry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RetryAnswer {
    pub(super) matched: i64,
    /// Back in line.
    pub(super) retried: i64,
    /// Of these, rows of sync jobs that no run was begun for, since one is under way or the job is disabled: that one takes them, or the
    /// next.
    pub(super) deferred: i64,
    /// Ended: a newer write of the same document stands.
    pub(super) superseded: i64,
    pub(super) dry_run: bool,
}

impl RetryAnswer {
    /// One letter, back in line.
    pub(super) fn of_one() -> Self {
        Self { matched: 1, retried: 1, deferred: 0, superseded: 0, dry_run: false }
    }
}

/// What became of a discard.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DiscardAnswer {
    pub(super) matched: i64,
    pub(super) discarded: i64,
    pub(super) dry_run: bool,
}
