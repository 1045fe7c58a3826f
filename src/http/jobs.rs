//! Jobs: what became of the documents of one accepted request, or of a reindex.

pub(super) mod looks;
mod of_reindex;

use std::{cmp::Reverse, time::Duration};

use axum::{Json as Answer, extract::State as Shared};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Error, State,
    caller::Caller,
    organizations,
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Conflict, Invalid, NotFound, Refused},
    waiting::ended,
};
use crate::{
    db::{
        self,
        job::{Failure, Job, Listing, Status},
    },
    reindex::ReindexView,
};

/// A key that only searches has no jobs.
const JOB_SCOPES: [&str; 3] = ["ingest", "connector_write", "admin"];
const MAX_WAIT_SECONDS: u64 = 30;

/// List jobs
///
/// Those of writes and reindexes together. `errors` is left empty here: ask for the job itself.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(JobFilter, PageQuery),
    responses((status = 200, body = Page<JobView>), Invalid, Refused, NotFound, Conflict))]
pub(super) async fn list(
    caller: Caller,
    Query(filter): Query<JobFilter>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<JobView>>, Error> {
    caller.require(&JOB_SCOPES)?;
    let organization_id = match &filter.organization {
        Some(name) => Some(organizations::find(&state, name).await?.id),
        None => caller.organization_id(),
    };
    if caller.organization_id().is_some_and(|own| organization_id != Some(own)) {
        return Err(Error::not_found("organization"));
    }
    let index_id = match &filter.index {
        Some(name) => Some(state.index_within(&caller, organization_id, name).await?.id),
        None => caller.index_id(),
    };
    let listing =
        Listing { organization_id, index_id, status: filter.status, before: page.before()?, limit: page.limit()? + 1 };
    let writes = db::job::list(&state.pool, listing).await?.into_iter().map(|job| JobView::new(job, Vec::new()));
    let reindexes = db::reindex::listing::list(&state.pool, listing).await?;
    let mut jobs: Vec<_> =
        writes.chain(reindexes.into_iter().map(|named| of_reindex::view(named, Vec::new()))).collect();
    // Ids grow with time.
    jobs.sort_unstable_by_key(|job| Reverse(job.job_id));
    Ok(Answer(page.page(jobs, |job| job.job_id, |job| job)?))
}

/// Show a job, waiting for its end where asked to
///
/// Where very many wait already, the answer is the job as it stands.
#[utoipa::path(get, path = "/v1/jobs/{jobId}", tag = "jobs",
    params(("jobId" = Uuid, Path, description = "From the answer to the write or the reindex"), Wait),
    responses((status = 200, body = JobView), Invalid, Refused, NotFound))]
pub(super) async fn show(
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(Wait { wait }): Query<Wait>,
    Shared(state): Shared<State>,
) -> Result<Answer<JobView>, Error> {
    caller.require(&JOB_SCOPES)?;
    let wait = wait.unwrap_or(0);
    if wait > MAX_WAIT_SECONDS {
        return Err(Error::invalid(format!("wait: 0 to {MAX_WAIT_SECONDS} seconds")));
    }
    let wait = Duration::from_secs(wait);
    let Some(job) = db::job::find(&state.pool, id).await? else {
        return of_reindex::show(&state, &caller, id, wait).await.map(Answer);
    };
    if !is_visible(&caller, job.organization_id, job.index_id) {
        return Err(Error::not_found("job"));
    }
    let look = || async { db::job::find(&state.pool, id).await?.ok_or_else(|| Error::not_found("job")) };
    let job = ended(&state, job, wait, Job::has_ended, look).await?;
    let failed = job.dead + job.retrying > 0;
    let errors = if failed { db::job::failures(&state.pool, id, job.index_id).await? } else { Vec::new() };
    Ok(Answer(JobView::new(job, errors)))
}

fn is_visible(caller: &Caller, organization_id: Uuid, index_id: Uuid) -> bool {
    caller.organization_id().is_none_or(|own| own == organization_id)
        && caller.index_id().is_none_or(|bound| bound == index_id)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct JobFilter {
    /// An organization's id or slug.
    organization: Option<String>,
    /// An index's id or slug.
    index: Option<String>,
    status: Option<Status>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wait {
    /// Seconds to wait for the job to end.
    #[param(maximum = 30, default = 0)]
    wait: Option<u64>,
}

/// A job: one accepted request, or one reindex.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(super) struct JobView {
    job_id: Uuid,
    /// The organization's slug.
    organization: String,
    /// The index's slug.
    index: String,
    status: Status,
    counts: Counts,
    /// The first failures, dead ones before those that wait for a retry; about 100 at most. Of a failed reindex the reason comes first.
    errors: Vec<Failure>,
    enqueued_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// How far it is; null unless the job is a reindex or a rollback.
    reindex: Option<ReindexView>,
}

/// Documents of a job by what became of them; all but `total` add up to it.
#[derive(Serialize, ToSchema)]
pub(super) struct Counts {
    total: i64,
    pending: i64,
    succeeded: i64,
    /// Failed, and waiting to be tried again.
    retrying: i64,
    /// Failed for good: each is a dead letter.
    dead: i64,
    /// Overtaken by a newer write of the same document.
    superseded: i64,
}

impl JobView {
    fn new(job: Job, errors: Vec<Failure>) -> Self {
        Self {
            job_id: job.id,
            status: job.status(),
            counts: Counts {
                total: job.total.into(),
                pending: job.pending.into(),
                succeeded: job.succeeded.into(),
                retrying: job.retrying.into(),
                dead: job.dead.into(),
                superseded: job.superseded.into(),
            },
            errors,
            enqueued_at: job.enqueued_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            reindex: None,
            organization: job.organization_slug,
            index: job.index_slug,
        }
    }
}
