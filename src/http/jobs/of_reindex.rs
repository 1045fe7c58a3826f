//! A reindex as a job.

use std::time::Duration;

use uuid::Uuid;

use super::{Counts, JobView, is_visible};
use crate::{
    db::{
        job::Failure,
        reindex::listing::{self, Named},
    },
    http::{Error, State, caller::Caller, waiting::ended},
    reindex::{ReindexView, job},
};

/// The reindex of this id, at its end or as it stands when the time is up.
pub(super) async fn show(state: &State, caller: &Caller, id: Uuid, wait: Duration) -> Result<JobView, Error> {
    let found = listing::find(&state.pool, id).await?;
    let found = found.filter(|Named { reindex, .. }| is_visible(caller, reindex.organization_id, reindex.index_id));
    let found = found.ok_or_else(|| Error::not_found("job"))?;
    let has_ended = |named: &Named| named.reindex.has_ended();
    let look = || async { listing::find(&state.pool, id).await?.ok_or_else(|| Error::not_found("job")) };
    let found = ended(state, found, wait, has_ended, look).await?;
    let errors = job::failures(&state.pool, &found.reindex).await?;
    Ok(view(found, errors))
}

pub(super) fn view(named: Named, errors: Vec<Failure>) -> JobView {
    let Named { reindex, organization_slug, index_slug } = named;
    let job::Counts { total, pending, succeeded, dead } = job::counts(&reindex);
    JobView {
        job_id: reindex.id,
        organization: organization_slug,
        index: index_slug,
        status: job::status(&reindex),
        counts: Counts { total, pending, succeeded, retrying: 0, dead, superseded: 0 },
        errors,
        enqueued_at: reindex.enqueued_at,
        started_at: reindex.started_at,
        finished_at: reindex.finished_at,
        reindex: Some(ReindexView::from(&reindex)),
    }
}
