//! A reindex in the words for jobs: what became of the documents of the index.

use sqlx::PgPool;

use crate::db::{
    self,
    job::{self, Failure},
    reindex::{Reindex, Status},
};

/// Failures that are told.
const MAX_FAILURES: i64 = 100;

/// Where it stands: one whose schema has refused documents is `partial`.
pub fn status(reindex: &Reindex) -> job::Status {
    match reindex.status {
        Status::Queued => job::Status::Queued,
        Status::Running => job::Status::Running,
        Status::Succeeded if reindex.refused > 0 => job::Status::Partial,
        Status::Succeeded => job::Status::Succeeded,
        Status::Failed | Status::Cancelled => job::Status::Failed,
    }
}

/// Documents by what became of them; all but `total` add up to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    pub total: i64,
    pub pending: i64,
    pub succeeded: i64,
    pub dead: i64,
}

/// Its documents. The total is known for certain at the end alone.
pub fn counts(reindex: &Reindex) -> Counts {
    let total = if reindex.status == Status::Succeeded { reindex.done } else { reindex.total.max(reindex.done) };
    let dead = reindex.refused.min(reindex.done);
    Counts { total, pending: total - reindex.done, succeeded: reindex.done - dead, dead }
}

/// Why it failed, and the first documents that are refused: dead letters, once their version is live.
pub async fn failures(pool: &PgPool, reindex: &Reindex) -> Result<Vec<Failure>, sqlx::Error> {
    let mut failures: Vec<Failure> = reason(reindex).into_iter().collect();
    if reindex.status == Status::Succeeded {
        failures.extend(job::failures(pool, reindex.id, reindex.index_id).await?);
    } else {
        let version = (reindex.index_id, reindex.number);
        let refused = db::reindex::refusal::list(pool, version, "", MAX_FAILURES).await?;
        failures.extend(refused.into_iter().map(|one| failure(Some(one.document_id), one.code, one.message)));
    }
    Ok(failures)
}

fn reason(reindex: &Reindex) -> Option<Failure> {
    let (code, otherwise) = match reindex.status {
        Status::Failed => ("reindex_failed", "nobody noted why"),
        Status::Cancelled => ("reindex_cancelled", "somebody has asked for its end"),
        Status::Queued | Status::Running | Status::Succeeded => return None,
    };
    let message = reindex.error.as_deref().unwrap_or(otherwise);
    Some(failure(None, code.to_owned(), message.to_owned()))
}

fn failure(document_id: Option<String>, code: String, message: String) -> Failure {
    Failure { document_id, code, message, dead_letter_id: None, next_retry_at: None }
}
