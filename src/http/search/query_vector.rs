//! The vector of what is searched for.

use serde_json::Value;

use crate::{
    db::index::Index,
    domain::embedding::Embedding,
    embed::{self, Vector},
    http::{Error, State},
};

/// Seconds after which an absent model may be back, where it does not say so itself.
const BACK_IN: u32 = 5;

/// The vector to compare with those of an index's documents; `None` while none of them has one.
///
/// # Errors
/// An index without an embedding; vectors made by another model than the one that would make this one; a model that is away.
pub(super) async fn of_index(state: &State, index: &Index, q: &str) -> Result<Option<Vector>, Error> {
    let Some(embedding) = &index.embedding else {
        let detail = "mode: the documents of this index have no vectors: the operator can reindex it with an embedding";
        return Err(Error::invalid(detail));
    };
    let Some(fingerprint) = &index.fingerprint else { return Ok(None) };
    comparable(state, embedding, &fingerprint.0, q).await.map(Some)
}

/// The vector to compare with those of a sync job's documents, which were made with this fingerprint, if they have vectors.
///
/// # Errors
/// Documents without vectors, or with those of another model; a model that is away.
pub(in crate::http) async fn of_job(
    state: &State,
    embedding: &Embedding,
    fingerprint: Option<&Value>,
    q: &str,
) -> Result<Vector, Error> {
    let Some(fingerprint) = fingerprint else {
        return Err(Error::conflict(
            "these documents have no vectors yet: run the sync job; mode keyword works meanwhile",
        ));
    };
    comparable(state, embedding, fingerprint, q).await
}

async fn comparable(state: &State, embedding: &Embedding, fingerprint: &Value, q: &str) -> Result<Vector, Error> {
    let own = state.embedders.fingerprint(embedding).await.map_err(refused)?;
    // Neither side can be compared with the other's vectors, also where they are of the same length.
    if serde_json::to_value(own).ok().as_ref() != Some(fingerprint) {
        return Err(made_by_another_model());
    }
    state.embedders.query(embedding, q).await.map_err(refused)
}

/// Of an index whose vectors can't be compared with what the model makes now.
pub(super) fn made_by_another_model() -> Error {
    Error::conflict(
        "the vectors of these documents were made by another model than the one in use: they have to be made anew, by a reindex or a \
         run of the sync job; mode keyword works meanwhile",
    )
}

fn refused(error: embed::Error) -> Error {
    match error {
        embed::Error::Database(error) => error.into(),
        embed::Error::Away { message, retry_after } => {
            tracing::warn!(message, "the model for searches by meaning is away");
            let seconds = retry_after.and_then(|after| u32::try_from(after.as_secs()).ok()).unwrap_or(BACK_IN);
            Error::Unavailable {
                detail: "the model that tells the meaning of q is away: search with mode keyword meanwhile".to_owned(),
                retry_after: seconds.max(1),
            }
        }
    }
}
