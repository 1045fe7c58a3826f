//! Whether the collection of a sync job holds what its table does.

use axum::{Json as Answer, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    envelope::{Failures, Success, ok},
    sync_jobs::find,
};
use crate::{
    db::sync::run::Trigger,
    http::{
        Error, State,
        params::{Path, Query},
    },
    sync::{
        drift::{self, verify as compare},
        verify::Drift,
    },
};

/// Compare a table with its collection
///
/// Every row with its document, and every document with the rows. With `repair=true` a run is queued that mends what differs.
#[utoipa::path(post, path = "/typesense/sync-jobs/{job_id}/verify", tag = "table sync",
    security(("operator" = []), ("gateway" = [])),
    params(("job_id" = String, Path, description = "The job's id or name"), Repair),
    responses((status = 200, body = Success<DriftView>), Failures))]
pub(super) async fn verify(
    Path(job): Path<String>,
    Query(Repair { repair }): Query<Repair>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<DriftView>>, Error> {
    let job = find(&state, &job).await?;
    let drift = compare(&state.pool, state.sealer()?, &job).await?;
    let run_id = match repair.unwrap_or(false) && !drift.in_sync {
        true => drift::repair(&state.pool, &job, &drift, Trigger::Repair).await?,
        false => None,
    };
    let message = match (drift.in_sync, run_id) {
        (true, _) => "the collection holds what the table does",
        (false, Some(_)) => "the collection has drifted from the table; a run mends it",
        (false, None) => "the collection has drifted from the table",
    };
    Ok(ok(message, DriftView { job_id: job.id, collection_name: job.spec.collection_name, drift, run_id }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Repair {
    /// Whether to mend what differs.
    #[param(default = false)]
    repair: Option<bool>,
}

/// How a table and its collection differ.
#[derive(Serialize, ToSchema)]
#[schema(as = Drift)]
pub(super) struct DriftView {
    job_id: Uuid,
    collection_name: String,
    #[serde(flatten)]
    drift: Drift,
    /// The run that mends; null where none was queued. One that was under way already mends it, too.
    run_id: Option<Uuid>,
}
