//! Whether an index's collection holds what was written, and mending it where it does not.

use axum::{Json as Answer, extract::State as Shared};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Error, State,
    body::Json,
    index_verbs::Named,
    keeper::Keeper,
    responses::{Conflict, Invalid, NotFound, Refused, TooLarge, Unprocessable},
};
use crate::drift::{self, Drift};

/// Compare an index with its collection
///
/// Every document that was written with what can be searched, and the other way round. Writes may go on: a document of which one is under
/// way is not judged. With `repair`, whatever differs is queued to be written or deleted again. Takes up to a minute for a million
/// documents.
#[utoipa::path(post, path = "/v1/indexes/{index}:verify", tag = "indexes",
    params(("index" = String, Path, description = "The index's id or slug")), request_body = Verify,
    responses((status = 200, body = Drift), Invalid, Refused, NotFound, Conflict, TooLarge, Unprocessable))]
pub(super) async fn verify(
    keeper: Keeper,
    Named(index): Named,
    Shared(state): Shared<State>,
    Json(Verify { repair }): Json<Verify>,
) -> Result<Answer<Drift>, Error> {
    let index = state.index(&keeper.caller, &index).await?;
    Ok(Answer(drift::verify(&state.pool, &state.typesense, index.id, repair).await?))
}

/// What to do about what differs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    /// Whether to mend it.
    #[serde(default)]
    repair: bool,
}
