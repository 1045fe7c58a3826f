//! A reindex as a job: what became of the documents of the index.

use std::time::Duration;

use super::{Counts, JobView, MAX_ERRORS, ended, is_visible};
use crate::{
    db::{
        self,
        job::Failure,
        reindex::{Reindex, Status},
    },
    http::{Error, State, caller::Caller},
    reindex::{ReindexView, job_status},
};

/// The reindex of this id, at its end or as it stands when the time is up.
pub(super) async fn show(state: &State, caller: &Caller, id: uuid::Uuid, wait: Duration) -> Result<JobView, Error> {
    let found = db::reindex::find(&state.pool, id).await?;
    let found = found.filter(|reindex| is_visible(caller, reindex.organization_id, reindex.index_id));
    let found = found.ok_or_else(|| Error::not_found("job"))?;
    let reindex = ended(found, wait, Reindex::has_ended, || db::reindex::find(&state.pool, id)).await?;
    let index = db::index::find(&state.pool, reindex.index_id).await?.ok_or_else(Error::index_not_found)?;
    let errors = failures(state, &reindex).await?;
    Ok(JobView {
        job_id: reindex.id,
        index: index.slug,
        status: job_status(&reindex),
        counts: counts(&reindex),
        errors,
        enqueued_at: reindex.enqueued_at,
        started_at: reindex.started_at,
        finished_at: reindex.finished_at,
        reindex: Some(ReindexView::from(&reindex)),
    })
}

/// The total is known for certain at the end alone.
fn counts(reindex: &Reindex) -> Counts {
    let total = if reindex.status == Status::Succeeded { reindex.done } else { reindex.total.max(reindex.done) };
    let dead = reindex.refused.min(reindex.done);
    Counts { total, pending: total - reindex.done, succeeded: reindex.done - dead, retrying: 0, dead, superseded: 0 }
}

/// Why it failed, and the first documents that are refused: dead letters, once their version is live.
async fn failures(state: &State, reindex: &Reindex) -> Result<Vec<Failure>, Error> {
    let mut failures = Vec::new();
    if matches!(reindex.status, Status::Failed | Status::Cancelled) {
        let (code, reason) = match reindex.status {
            Status::Cancelled => ("reindex_cancelled", "somebody has asked for its end"),
            _ => ("reindex_failed", "nobody noted why"),
        };
        let message = reindex.error.clone().unwrap_or_else(|| reason.to_owned());
        failures.push(failure(None, code.to_owned(), message));
    }
    if reindex.status == Status::Succeeded {
        failures.extend(db::job::failures(&state.pool, reindex.id, reindex.index_id).await?);
    } else {
        let version = (reindex.index_id, reindex.number);
        let refused = db::reindex::refusal::list(&state.pool, version, "", MAX_ERRORS).await?;
        failures.extend(refused.into_iter().map(|one| failure(Some(one.document_id), one.code, one.message)));
    }
    Ok(failures)
}

fn failure(document_id: Option<String>, code: String, message: String) -> Failure {
    Failure { document_id, code, message, dead_letter_id: None, next_retry_at: None }
}
