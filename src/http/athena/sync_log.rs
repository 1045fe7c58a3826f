//! What was logged of sync jobs and their runs.

use axum::{Json as Answer, extract::State as Shared};
use uuid::Uuid;

use super::{
    envelope::{Failures, Success, ok},
    sync_jobs::find,
};
use crate::{
    db::{log_line::LogLine, sync::run},
    http::{
        Error, State, log_lines,
        page::{Page, PageQuery},
        params::{Path, Query},
    },
};

/// Show what was logged of a run of a sync job
///
/// A page is in the order of time and begins with the last lines; `nextCursor` leads to those before.
#[utoipa::path(get, path = "/typesense/sync-jobs/{job_id}/runs/{run_id}/log", tag = "table sync",
    security(("operator" = []), ("gateway" = [])),
    params(("job_id" = String, Path, description = "The job's id or name"), ("run_id" = Uuid, Path, description = "The run's id"),
        PageQuery),
    responses((status = 200, body = Success<Page<LogLine>>), Failures))]
pub(super) async fn of_run(
    Path((job, run)): Path<(String, Uuid)>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<Page<LogLine>>>, Error> {
    let job = find(&state, &job).await?;
    let run = run::find(&state.pool, run).await?.filter(|run| run.job_id == job.id);
    let run = run.ok_or_else(|| Error::not_found("run"))?;
    Ok(ok("log lines of a run, newest last", log_lines::page(&state, run.id, &page).await?))
}

/// Show what was logged of a sync job
///
/// Of the job itself: that it follows its table, or can't. Each run has a log of its own.
#[utoipa::path(get, path = "/typesense/sync-jobs/{job_id}/log", tag = "table sync",
    security(("operator" = []), ("gateway" = [])),
    params(("job_id" = String, Path, description = "The job's id or name"), PageQuery),
    responses((status = 200, body = Success<Page<LogLine>>), Failures))]
pub(super) async fn of_job(
    Path(job): Path<String>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<Page<LogLine>>>, Error> {
    let job = find(&state, &job).await?;
    Ok(ok("log lines of a sync job, newest last", log_lines::page(&state, job.id, &page).await?))
}
