//! A reindex as a job.

use std::time::Duration;

use uuid::Uuid;

use super::{Counts, JobView, ended, is_visible};
use crate::{
    db::{self, reindex::Reindex},
    http::{Error, State, caller::Caller},
    reindex::{ReindexView, job},
};

/// The reindex of this id, at its end or as it stands when the time is up.
pub(super) async fn show(state: &State, caller: &Caller, id: Uuid, wait: Duration) -> Result<JobView, Error> {
    let found = db::reindex::find(&state.pool, id).await?;
    let found = found.filter(|reindex| is_visible(caller, reindex.organization_id, reindex.index_id));
    let found = found.ok_or_else(|| Error::not_found("job"))?;
    let reindex = ended(found, wait, Reindex::has_ended, || db::reindex::find(&state.pool, id)).await?;
    let index = db::index::find(&state.pool, reindex.index_id).await?.ok_or_else(Error::index_not_found)?;
    let errors = job::failures(&state.pool, &reindex).await?;
    let job::Counts { total, pending, succeeded, dead } = job::counts(&reindex);
    Ok(JobView {
        job_id: reindex.id,
        index: index.slug,
        status: job::status(&reindex),
        counts: Counts { total, pending, succeeded, retrying: 0, dead, superseded: 0 },
        errors,
        enqueued_at: reindex.enqueued_at,
        started_at: reindex.started_at,
        finished_at: reindex.finished_at,
        reindex: Some(ReindexView::from(&reindex)),
    })
}
