//! Sync jobs: a table, the collection that follows it, and how fresh that is.

use axum::{
    Json as Answer,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::envelope::{Failures, Success, ok};
use crate::{
    db::{
        self,
        sync::job::{Job, Status},
    },
    domain::sync_job::Spec,
    http::{
        Error, Fault, State,
        body::Json,
        page::{Page, PageQuery},
        params::{Path, Query},
    },
    sync::check::{Refusal, check},
};

/// List sync jobs
#[utoipa::path(get, path = "/typesense/sync-jobs", tag = "table sync", security(("operator" = []), ("gateway" = [])),
    params(PageQuery), responses((status = 200, body = Success<Page<SyncJobView>>), Failures))]
pub(super) async fn list(
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<Page<SyncJobView>>>, Error> {
    let rows = db::sync::job::list(&state.pool, page.before()?, page.limit()? + 1).await?;
    Ok(ok("sync jobs, newest first", page.page(rows, |row| row.id, SyncJobView::from)?))
}

/// Make a sync job
///
/// Everything is checked against the table as it is; what can't be is answered with what to change. Its schedule counts from
/// now; `/run` runs it at once.
#[utoipa::path(post, path = "/typesense/sync-jobs", tag = "table sync", security(("operator" = []), ("gateway" = [])),
    request_body = Spec, responses((status = 201, body = Success<SyncJobView>), Failures))]
pub(super) async fn create(Shared(state): Shared<State>, Json(spec): Json<Spec>) -> Result<Response, Error> {
    check(&state.pool, state.sealer()?, &spec, None).await?;
    let made = db::sync::job::insert(&state.pool, &spec).await.map_err(explain)?;
    let made = made.ok_or_else(|| Error::conflict("the client was deleted meanwhile"))?;
    let location = format!("/typesense/sync-jobs/{}", made.id);
    let answer = ok("the sync job is stored", SyncJobView::from(made));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], answer).into_response())
}

/// Show a sync job
#[utoipa::path(get, path = "/typesense/sync-jobs/{job_id}", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(("job_id" = String, Path, description = "The job's id or name")),
    responses((status = 200, body = Success<SyncJobView>), Failures))]
pub(super) async fn show(
    Path(job): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<SyncJobView>>, Error> {
    Ok(ok("a sync job", find(&state, &job).await?.into()))
}

/// Change a sync job
///
/// What is left out stays as it is. Where the change asks for another collection, the next run builds it beside the one that is searched.
#[utoipa::path(patch, path = "/typesense/sync-jobs/{job_id}", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(("job_id" = String, Path, description = "The job's id or name")),
    request_body(content = Object, description = "Any of the properties of a SyncJobSpec"),
    responses((status = 200, body = Success<SyncJobView>), Failures))]
pub(super) async fn update(
    Path(job): Path<String>,
    Shared(state): Shared<State>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Answer<Success<SyncJobView>>, Error> {
    let before = find(&state, &job).await?;
    let spec = before.spec.with(changes).map_err(|error| Error::invalid(error.to_string()))?;
    // To be switched off, a job need not be well.
    if spec.enabled || !before.spec.differs_in_enabled_alone(&spec) {
        check(&state.pool, state.sealer()?, &spec, Some(before.id)).await?;
    }
    let changed = db::sync::job::update(&state.pool, before.id, &spec).await.map_err(explain)?;
    Ok(ok("the sync job is changed", changed.ok_or_else(not_found)?.into()))
}

/// Delete a sync job
///
/// With its history and its dead letters. The collection stays in Typesense as it is.
#[utoipa::path(delete, path = "/typesense/sync-jobs/{job_id}", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(("job_id" = String, Path, description = "The job's id or name")),
    responses((status = 200, description = "The job as it was", body = Success<SyncJobView>), Failures))]
pub(super) async fn delete(
    Path(job): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<SyncJobView>>, Error> {
    let job = find(&state, &job).await?;
    if !db::sync::job::delete(&state.pool, job.id).await? {
        return Err(not_found());
    }
    Ok(ok("the sync job is deleted; its collection is not", job.into()))
}

/// Say how fresh each sync job is
#[utoipa::path(get, path = "/typesense/sync-job-status", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(PageQuery),
    responses((status = 200, body = Success<Page<Status>>), Failures))]
pub(super) async fn statuses(
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<Page<Status>>>, Error> {
    let rows = db::sync::job::statuses(&state.pool, page.before()?, page.limit()? + 1).await?;
    Ok(ok("sync jobs, newest first", page.page(rows, |row| row.id, |row| row)?))
}

/// Say how fresh a sync job is
#[utoipa::path(get, path = "/typesense/sync-jobs/{job_id}/status", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(("job_id" = String, Path, description = "The job's id or name")),
    responses((status = 200, body = Success<Status>), Failures))]
pub(super) async fn status(
    Path(job): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<Status>>, Error> {
    let job = find(&state, &job).await?;
    let status = db::sync::job::status(&state.pool, job.id).await?.ok_or_else(not_found)?;
    Ok(ok("how fresh the sync job is", status))
}

/// The job of that id or name.
pub(super) async fn find(state: &State, name: &str) -> Result<Job, Error> {
    db::sync::job::resolve(&state.pool, name).await?.ok_or_else(not_found)
}

pub(super) fn not_found() -> Error {
    Error::not_found("sync job")
}

fn explain(error: sqlx::Error) -> Error {
    match db::broken_constraint(&error) {
        Some("typesense_sync_jobs_name_key") => Error::conflict("there is a sync job of this name"),
        Some("typesense_sync_jobs_collection_key") => {
            Error::conflict("another job writes into this collection: give this one a collection of its own")
        }
        Some("typesense_sync_jobs_profile_fkey") => Error::conflict("the backend was deleted meanwhile"),
        _ => error.into(),
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Faults(faults) => {
                Self::validation(faults.into_iter().map(|fault| Fault::new(&fault.field, fault.message)).collect())
            }
            Refusal::Sealed(error) => Self::Unavailable { detail: error.to_string(), retry_after: 60 },
            Refusal::Database(error) => error.into(),
        }
    }
}

/// A sync job with the properties of a SyncJobSpec, and how its last run went.
#[derive(Serialize, ToSchema)]
#[schema(as = SyncJob)]
pub(super) struct SyncJobView {
    id: Uuid,
    // Not by its schema, which allows no properties beside its own.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    spec: Spec,
    last_synced_at: Option<DateTime<Utc>>,
    next_sync_at: Option<DateTime<Utc>>,
    /// `success`, `failed` or `cancelled`.
    last_sync_status: Option<String>,
    last_sync_error: Option<String>,
    last_source_row_count: Option<i64>,
    last_imported_count: Option<i64>,
    last_deleted_count: Option<i64>,
    last_failed_count: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Job> for SyncJobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            spec: job.spec,
            last_synced_at: job.last_synced_at,
            next_sync_at: job.next_sync_at,
            last_sync_status: job.last_sync_status,
            last_sync_error: job.last_sync_error,
            last_source_row_count: job.last_source_row_count,
            last_imported_count: job.last_imported_count,
            last_deleted_count: job.last_deleted_count,
            last_failed_count: job.last_failed_count,
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }
}
