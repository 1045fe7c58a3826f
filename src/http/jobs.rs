//! Jobs: what became of the documents of one accepted request.

use std::time::Duration;

use axum::{Json as Answer, extract::State as Shared};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Error, State,
    caller::Caller,
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Conflict, Invalid, NotFound, Refused},
};
use crate::db::{
    self,
    job::{Failure, Job, Listing, Status},
};

/// A key that only searches has no jobs.
const JOB_SCOPES: [&str; 3] = ["ingest", "connector_write", "admin"];
const MAX_WAIT_SECONDS: u64 = 30;
/// Pauses between looks at a job that is waited for.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// List jobs
///
/// `errors` is left empty here: ask for the job itself.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(JobFilter, PageQuery),
    responses((status = 200, body = Page<JobView>), Invalid, Refused, NotFound, Conflict))]
pub(super) async fn list(
    caller: Caller,
    Query(filter): Query<JobFilter>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<JobView>>, Error> {
    caller.require(&JOB_SCOPES)?;
    let index_id = match &filter.index {
        Some(name) => Some(state.index(&caller, name).await?.id),
        None => caller.index_id(),
    };
    let listing = Listing {
        organization_id: caller.organization_id(),
        index_id,
        status: filter.status,
        before: page.before()?,
        limit: page.limit()? + 1,
    };
    let rows = db::job::list(&state.pool, listing).await?;
    Ok(Answer(page.page(rows, |row| row.id, |row| JobView::new(row, Vec::new()))?))
}

/// Show a job, waiting for its end where asked to
#[utoipa::path(get, path = "/v1/jobs/{jobId}", tag = "jobs",
    params(("jobId" = Uuid, Path, description = "From the write's answer"), Wait),
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
    let job = db::job::find(&state.pool, id).await?.filter(|job| is_visible(job, &caller));
    let job = job.ok_or_else(|| Error::not_found("job"))?;
    let job = ended(&state.pool, job, Duration::from_secs(wait)).await?;
    let errors = db::job::failures(&state.pool, &job).await?;
    Ok(Answer(JobView::new(job, errors)))
}

fn is_visible(job: &Job, caller: &Caller) -> bool {
    caller.organization_id().is_none_or(|own| own == job.organization_id)
        && caller.index_id().is_none_or(|bound| bound == job.index_id)
}

/// The job at its end, or as it stands when the time is up.
async fn ended(pool: &PgPool, mut job: Job, wait: Duration) -> Result<Job, Error> {
    let deadline = Instant::now() + wait;
    let mut pause = FIRST_PAUSE;
    while !job.has_ended() && Instant::now() < deadline {
        tokio::time::sleep_until(deadline.min(Instant::now() + pause)).await;
        pause = LONGEST_PAUSE.min(pause * 3 / 2);
        job = db::job::find(pool, job.id).await?.ok_or_else(|| Error::not_found("job"))?;
    }
    Ok(job)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct JobFilter {
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

/// A job: one accepted request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(super) struct JobView {
    job_id: Uuid,
    /// The index's slug.
    index: String,
    status: Status,
    counts: Counts,
    /// The first failures, dead ones before those that wait for a retry; 100 at most.
    errors: Vec<Failure>,
    enqueued_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

/// Documents of a job by what became of them; all but `total` add up to it.
#[derive(Serialize, ToSchema)]
pub(super) struct Counts {
    total: i32,
    pending: i32,
    succeeded: i32,
    /// Failed, and waiting to be tried again.
    retrying: i32,
    /// Failed for good: each is a dead letter.
    dead: i32,
    /// Overtaken by a newer write of the same document.
    superseded: i32,
}

impl JobView {
    fn new(job: Job, errors: Vec<Failure>) -> Self {
        Self {
            job_id: job.id,
            status: job.status(),
            counts: Counts {
                total: job.total,
                pending: job.pending,
                succeeded: job.succeeded,
                retrying: job.retrying,
                dead: job.dead,
                superseded: job.superseded,
            },
            errors,
            enqueued_at: job.enqueued_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            index: job.index_slug,
        }
    }
}
