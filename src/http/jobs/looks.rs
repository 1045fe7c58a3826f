//! A closer look at one job: what of it waits, and what was said of it.

use axum::{Json as Answer, extract::State as Shared};
use uuid::Uuid;

use super::is_visible;
use crate::{
    db::{
        self,
        job::{Job, rows::Row},
        log_line::LogLine,
    },
    http::{
        Error, State,
        caller::Operator,
        keeper::Keeper,
        log_lines,
        page::{Page, PageQuery},
        params::{Path, Query},
        responses::{Invalid, NotFound, Refused},
    },
};

/// List what of a job still waits
///
/// Those that have failed first, then those that were never tried; none of a reindex, which has no rows. A page ends where the look
/// has read 5,000 rows of the index's outbox, whoever's they are: it may be empty and yet have a `nextCursor`.
#[utoipa::path(get, path = "/v1/jobs/{jobId}/rows", tag = "jobs",
    params(("jobId" = Uuid, Path, description = "From the answer to the write"), PageQuery),
    responses((status = 200, body = Page<Row>), Invalid, Refused, NotFound))]
pub(in crate::http) async fn rows(
    keeper: Keeper,
    Path(id): Path<Uuid>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<Row>>, Error> {
    let (from, limit) = (page.before()?, page.limit()?);
    let (organization_id, index_id, job) = owner(&state, id).await?;
    if !is_visible(&keeper.caller, organization_id, index_id) {
        return Err(Error::not_found("job"));
    }
    let Some(job) = job else { return Ok(Answer(Page::whole(vec![]))) };
    let (items, next) = db::job::rows::rows(&state.pool, &job, from, limit).await?;
    Ok(Answer(Page { items, next_cursor: next.map(|place| place.to_string()) }))
}

/// Show what was logged of a job
///
/// Also of a reindex. A page is in the order of time and begins with the last lines; `nextCursor` leads to those before.
#[utoipa::path(get, path = "/v1/jobs/{jobId}/log", tag = "jobs", security(("operator" = [])),
    params(("jobId" = Uuid, Path, description = "From the answer to the write or the reindex"), PageQuery),
    responses((status = 200, body = Page<LogLine>), Invalid, Refused, NotFound))]
pub(in crate::http) async fn log(
    _: Operator,
    Path(id): Path<Uuid>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<LogLine>>, Error> {
    owner(&state, id).await?;
    Ok(Answer(log_lines::page(&state, id, &page).await?))
}

/// Whose a job is, with itself where it is no reindex.
async fn owner(state: &State, id: Uuid) -> Result<(Uuid, Uuid, Option<Job>), Error> {
    if let Some(job) = db::job::find(&state.pool, id).await? {
        return Ok((job.organization_id, job.index_id, Some(job)));
    }
    let reindex = db::reindex::find(&state.pool, id).await?.ok_or_else(|| Error::not_found("job"))?;
    Ok((reindex.organization_id, reindex.index_id, None))
}
