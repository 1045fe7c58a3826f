//! Another schema for an index, the former one put back, and how either goes. For the operator, and for a tenant key with `admin`.

use axum::{
    Json as Answer,
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Error, Fault, State,
    body::JsonOrNothing,
    caller::Spent,
    documents::location,
    index_verbs::Named,
    keeper::Keeper,
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Conflict, Failures, Invalid, NotFound, Refused},
};
use crate::{
    db::{
        self,
        index::Index,
        reindex::{Reindex, refusal::Refusal},
        version,
    },
    reindex::{
        ReindexView, VersionView, Wish,
        request::{self, Refusal as NotQueued},
    },
};

/// Build a new version of an index
///
/// Its collection is filled from the record beside the live one, kept up with what is written meanwhile, and put in its place at once:
/// searches never see half of it. Fields that are only added, all of them optional, are added to the live version instead. A new
/// version costs a unit a document. Without a body the index is built anew as it is.
#[utoipa::path(post, path = "/v1/indexes/{index}:reindex", tag = "indexes",
    params(("index" = String, Path, description = "The index's id or slug")),
    request_body = Wish, responses((status = 202, body = Queued), Failures))]
pub(super) async fn reindex(
    keeper: Keeper,
    Named(index): Named,
    Shared(state): Shared<State>,
    spent: Spent,
    JsonOrNothing(wish): JsonOrNothing<Wish>,
) -> Result<Response, Error> {
    let index = state.index(&keeper.caller, &index).await?;
    let (queued, month) = request::reindex(&state.pool, index.id, wish, keeper.actor()).await?;
    if let Some(month) = month {
        spent.note(month);
    }
    Ok(answer(&index, &queued))
}

/// Put a former version of an index back
///
/// What was written since it was live is written into it first. Documents that it does not take become dead letters.
#[utoipa::path(post, path = "/v1/indexes/{index}:rollback", tag = "indexes",
    params(("index" = String, Path, description = "The index's id or slug")),
    request_body = RollbackBody, responses((status = 202, body = Queued), Failures))]
pub(super) async fn roll_back(
    keeper: Keeper,
    Named(index): Named,
    Shared(state): Shared<State>,
    JsonOrNothing(RollbackBody { version }): JsonOrNothing<RollbackBody>,
) -> Result<Response, Error> {
    let index = state.index(&keeper.caller, &index).await?;
    let queued = request::roll_back(&state.pool, index.id, version, keeper.actor()).await?;
    Ok(answer(&index, &queued))
}

/// End the reindex or the rollback of an index early
///
/// The live version stays what it is. A worker ends it, so the answer may come before its end.
#[utoipa::path(post, path = "/v1/indexes/{index}:cancelReindex", tag = "indexes",
    params(("index" = String, Path, description = "The index's id or slug")),
    responses((status = 202, body = Queued), Invalid, Refused, NotFound, Conflict))]
pub(super) async fn cancel(
    keeper: Keeper,
    Named(index): Named,
    Shared(state): Shared<State>,
) -> Result<Response, Error> {
    let index = state.index(&keeper.caller, &index).await?;
    let cancelled = request::cancel(&state.pool, index.id).await?;
    let cancelled = cancelled.ok_or_else(|| Error::conflict("nothing is under way on this index"))?;
    Ok(answer(&index, &cancelled))
}

/// List the versions of an index
#[utoipa::path(get, path = "/v1/indexes/{index}/versions", tag = "indexes",
    params(("index" = String, Path, description = "The index's id or slug"), PageQuery),
    responses((status = 200, body = Page<VersionView>), Invalid, Refused, NotFound, Conflict))]
pub(super) async fn versions(
    keeper: Keeper,
    Path(index): Path<String>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<VersionView>>, Error> {
    let index = state.index(&keeper.caller, &index).await?;
    let rows = version::list(&state.pool, index.id, page.before()?, page.limit()? + 1).await?;
    let numbers: Vec<i32> = rows.iter().map(|version| version.number).collect();
    let reindexes = db::reindex::of_versions(&state.pool, index.id, &numbers).await?;
    Ok(Answer(page.page(rows, |row| row.number, |row| VersionView::new(row, &reindexes))?))
}

/// List the documents that a version's collection does not take, by their ids
///
/// Those of a version that is being put in place, or never was. Those of a version that has become the live one are dead letters.
#[utoipa::path(get, path = "/v1/indexes/{index}/versions/{number}/refusals", tag = "indexes",
    params(("index" = String, Path, description = "The index's id or slug"),
           ("number" = i32, Path, description = "The version's number"), PageQuery),
    responses((status = 200, body = Page<Refusal>), Invalid, Refused, NotFound, Conflict))]
pub(super) async fn refusals(
    keeper: Keeper,
    Path((index, number)): Path<(String, i32)>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<Refusal>>, Error> {
    let index = state.index(&keeper.caller, &index).await?;
    let found = version::find(&state.pool, index.id, number).await?;
    found.ok_or_else(|| Error::not_found("version"))?;
    let after = page.cursor.as_deref().unwrap_or_default();
    let rows = db::reindex::refusal::list(&state.pool, (index.id, number), after, page.limit()? + 1).await?;
    Ok(Answer(page.page(rows, |row| row.document_id.clone(), |row| row)?))
}

fn answer(index: &Index, reindex: &Reindex) -> Response {
    let queued = Queued { index: index.slug.clone(), reindex: ReindexView::from(reindex) };
    (StatusCode::ACCEPTED, [location(reindex.id)], Answer(queued)).into_response()
}

impl From<NotQueued> for Error {
    fn from(refusal: NotQueued) -> Self {
        match refusal {
            NotQueued::NoIndex => Self::index_not_found(),
            NotQueued::Faults(faults) => {
                Self::validation(faults.iter().map(|fault| Fault::new(&fault.place, &fault.message)).collect())
            }
            NotQueued::UnderWay(_) => Self::Conflict { code: "already_running", detail: refusal.to_string() },
            NotQueued::NoneBefore | NotQueued::NotKept(..) => Self::conflict(refusal.to_string()),
            NotQueued::Quota(month) => Self::QuotaExceeded(month),
            NotQueued::Database(error) => error.into(),
        }
    }
}

/// Which version is put back.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Rollback)]
pub(super) struct RollbackBody {
    /// The one that was live before where left out.
    #[schema(minimum = 1)]
    version: Option<i32>,
}

/// A reindex or a rollback that is under way; `Location` is the job to ask for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = QueuedReindex)]
pub(super) struct Queued {
    /// The index's slug.
    index: String,
    #[serde(flatten)]
    reindex: ReindexView,
}
