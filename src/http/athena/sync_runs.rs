//! Runs of sync jobs: asked for, watched, ended early.

use std::time::Duration;

use axum::{
    Json as Answer,
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    envelope::{Failures, Success, ok},
    sync_jobs::find,
};
use crate::{
    db::sync::{
        job::Job,
        run::{self, Run, Status, Trigger},
        state,
    },
    domain::sync_job::Mode,
    http::{
        Error, State,
        page::{Page, PageQuery},
        params::{Path, Query},
        waiting,
    },
    sync::request,
};

/// How long the end of a run is waited for; then the answer is that it goes on.
const WAITED_FOR: Duration = Duration::from_secs(600);
/// How long an answer waits for a cancelled run to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// Run a sync job now
///
/// Answers 202 once the run is queued; with `wait=true` 200 once it has ended, however it did. With `full=true` a new collection is built
/// beside the one that is searched, and takes its place, as the strategy `full` does with each run.
#[utoipa::path(post, path = "/typesense/sync-jobs/{job_id}/run", tag = "table sync",
    security(("operator" = []), ("gateway" = [])),
    params(("job_id" = String, Path, description = "The job's id or name"), Full, Wait),
    responses((status = 200, description = "The run has ended", body = Success<RunView>),
        (status = 202, description = "The run is queued", body = Success<Queued>), Failures))]
pub(super) async fn run(
    Path(job): Path<String>,
    Query(Full { full }): Query<Full>,
    Query(Wait { wait }): Query<Wait>,
    Shared(state): Shared<State>,
) -> Result<Response, Error> {
    let job = find(&state, &job).await?;
    let builds_anew = full.unwrap_or(false);
    if builds_anew && let Some(bar) = request::bar_to_building_anew(&state.pool, &job).await? {
        return Err(Error::conflict(bar));
    }
    queue(&state, &job, Trigger::Api, builds_anew, wait.unwrap_or(false)).await
}

/// Put the collection before the current one back
///
/// Of a job that has built a new collection and kept the old one. Its schedule is switched off, or the next run would undo it.
#[utoipa::path(post, path = "/typesense/sync-jobs/{job_id}/rollback", tag = "table sync",
    security(("operator" = []), ("gateway" = [])),
    params(("job_id" = String, Path, description = "The job's id or name"), Wait),
    responses((status = 200, description = "It has ended", body = Success<RunView>),
        (status = 202, description = "It is queued", body = Success<Queued>), Failures))]
pub(super) async fn roll_back(
    Path(job): Path<String>,
    Query(Wait { wait }): Query<Wait>,
    Shared(state): Shared<State>,
) -> Result<Response, Error> {
    let job = find(&state, &job).await?;
    if job.spec.mode == Mode::Live {
        return Err(Error::conflict("a live job follows its table: give it the mode scheduled first"));
    }
    let known = state::find(&state.pool, job.id).await?;
    if known.is_none_or(|known| known.previous_collection.is_none()) {
        return Err(Error::conflict("there is no collection before the current one: nothing to roll back to"));
    }
    queue(&state, &job, Trigger::Rollback, false, wait.unwrap_or(false)).await
}

async fn queue(state: &State, job: &Job, trigger: Trigger, builds_anew: bool, wait: bool) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let Some(queued) = request::queue(&mut tx, job.id, trigger).await? else {
        return Err(match run::active(&state.pool, job.id).await? {
            Some(active) => Error::Conflict {
                code: "already_running",
                detail: format!("the run {} of this job has not ended: wait for it, or cancel it", active.id),
            },
            None => Error::conflict("the job is disabled: enable it first"),
        });
    };
    if builds_anew {
        run::build_anew(&mut tx, queued.id).await?;
    }
    tx.commit().await?;
    let run = if wait { ended(state, queued, WAITED_FOR).await? } else { queued };
    Ok(match run.status.has_ended() {
        true => ok("the run has ended", RunView::from(run)).into_response(),
        false => (StatusCode::ACCEPTED, ok("the run is queued", Queued::from(&run))).into_response(),
    })
}

/// End the run of a sync job early
///
/// What it has written by then stays. Answers once it has stopped, within a second or so.
#[utoipa::path(post, path = "/typesense/sync-jobs/{job_id}/cancel", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(("job_id" = String, Path, description = "The job's id or name")),
    responses((status = 200, body = Success<Queued>), Failures))]
pub(super) async fn cancel(
    Path(job): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<Queued>>, Error> {
    let job = find(&state, &job).await?;
    let run = run::cancel(&state.pool, job.id).await?;
    let run = run.ok_or_else(|| Error::conflict("no run of this job is under way"))?;
    let run = ended(&state, run, STOPS_WITHIN).await?;
    let message = if run.status.has_ended() { "the run has ended" } else { "the run is about to end" };
    Ok(ok(message, Queued::from(&run)))
}

/// List the runs of a sync job
#[utoipa::path(get, path = "/typesense/sync-jobs/{job_id}/runs", tag = "table sync",
    security(("operator" = []), ("gateway" = [])),
    params(("job_id" = String, Path, description = "The job's id or name"), PageQuery),
    responses((status = 200, body = Success<Page<RunView>>), Failures))]
pub(super) async fn list(
    Path(job): Path<String>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<Page<RunView>>>, Error> {
    let job = find(&state, &job).await?;
    let rows = run::list(&state.pool, job.id, page.before()?, page.limit()? + 1).await?;
    Ok(ok("runs, newest first", page.page(rows, |row| row.id, RunView::from)?))
}

/// Show a run of a sync job
#[utoipa::path(get, path = "/typesense/sync-jobs/{job_id}/runs/{run_id}", tag = "table sync",
    security(("operator" = []), ("gateway" = [])),
    params(("job_id" = String, Path, description = "The job's id or name"), ("run_id" = Uuid, Path, description = "The run's id")),
    responses((status = 200, body = Success<RunView>), Failures))]
pub(super) async fn show(
    Path((job, run)): Path<(String, Uuid)>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<RunView>>, Error> {
    let job = find(&state, &job).await?;
    let run = run::find(&state.pool, run).await?.filter(|run| run.job_id == job.id);
    Ok(ok("a run", run.ok_or_else(|| Error::not_found("run"))?.into()))
}

/// The run at its end, or as it stands: see [`waiting::ended`].
async fn ended(state: &State, run: Run, wait: Duration) -> Result<Run, Error> {
    let id = run.id;
    let look = || async { run::find(&state.pool, id).await?.ok_or_else(|| Error::not_found("run")) };
    waiting::ended(state, run, wait, |run| run.status.has_ended(), look).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Full {
    /// Whether to build a new collection.
    #[param(default = false)]
    full: Option<bool>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wait {
    /// Whether to answer when the run has ended.
    #[param(default = false)]
    wait: Option<bool>,
}

/// A run that has been asked for, or asked to end.
#[derive(Serialize, ToSchema)]
#[schema(as = QueuedSyncRun)]
pub(super) struct Queued {
    job_id: Uuid,
    run_id: Uuid,
    status: Status,
}

impl From<&Run> for Queued {
    fn from(run: &Run) -> Self {
        Self { job_id: run.job_id, run_id: run.id, status: run.status }
    }
}

/// A run.
#[derive(Serialize, ToSchema)]
#[schema(as = SyncRunView)]
pub(super) struct RunView {
    /// The same as `id`.
    run_id: Uuid,
    #[serde(flatten)]
    run: Run,
    /// At its present pace; null where that can't be told.
    eta_seconds: Option<f64>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self { run_id: run.id, eta_seconds: run.eta_seconds(), run }
    }
}
