//! What a sync job would make of its table, before it is made.

use axum::{Json as Answer, extract::State as Shared};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    envelope::{Failures, Success, ok},
    sync_jobs::find,
};
use crate::{
    domain::sync_job::Spec,
    embed,
    http::{Error, State, body::Json, params::Query},
    sync::preview::{self, Preview},
};

/// Preview a sync job
///
/// Takes what makes a job, judges it likewise, and gives the first documents and the collection that it would write. Nothing is written.
#[utoipa::path(post, path = "/typesense/sync-jobs/preview", tag = "table sync", security(("operator" = []), ("gateway" = [])),
    params(Replaced), request_body = Spec, responses((status = 200, body = Success<Preview>), Failures))]
pub(super) async fn preview(
    Query(Replaced { job }): Query<Replaced>,
    Shared(state): Shared<State>,
    Json(spec): Json<Spec>,
) -> Result<Answer<Success<Preview>>, Error> {
    let except = match job {
        Some(job) => Some(find(&state, &job).await?.id),
        None => None,
    };
    let preview = preview::preview(&state.pool, state.sealer()?, &state.embedders, &spec, except).await?;
    Ok(ok("what the sync job would write", preview))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Replaced {
    /// The id or name of the job that is to be changed to this.
    job: Option<String>,
}

impl From<preview::Error> for Error {
    fn from(error: preview::Error) -> Self {
        match error {
            preview::Error::Refusal(refusal) => refusal.into(),
            preview::Error::Model(embed::Error::Database(error)) => error.into(),
            preview::Error::Model(embed::Error::Away { message, retry_after }) => {
                let seconds =
                    retry_after.and_then(|after| u32::try_from(after.as_secs()).ok()).unwrap_or(MODEL_IS_BACK_IN);
                Self::Unavailable { detail: message, retry_after: seconds.max(1) }
            }
        }
    }
}

/// Seconds, where the model does not say.
const MODEL_IS_BACK_IN: u32 = 5;
