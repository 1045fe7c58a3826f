//! Drift of an index: whether the collection that is searched holds what Tidewell's record says, and mending it where it does not.

mod compare;
mod repair;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use self::compare::Comparison;
pub use self::repair::reproject;
use crate::{
    db::{self, index_check::Counts},
    typesense::{self, Client},
};

/// How often a comparison begins anew because another version of the index went live in its middle.
const BEGINNINGS: usize = 3;

/// Why an index could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Typesense(#[from] typesense::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the index is gone")]
    Gone,
    /// What was found is of a collection that is not searched any more.
    #[error("other versions of the index went live while it was compared: try again")]
    Unsettled,
}

/// How an index and its collection differ.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IndexDrift)]
pub struct Drift {
    /// The index's slug.
    pub index: String,
    /// What was compared; null: nothing has been written yet.
    pub collection: Option<String>,
    #[serde(flatten)]
    pub found: Found,
    pub checked_at: DateTime<Utc>,
}

/// What a comparison has found.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IndexDriftFound)]
pub struct Found {
    /// Documents that the index should hold.
    pub documents: u64,
    /// Documents that the collection has not.
    pub missing: u64,
    /// Documents that the collection should not hold.
    pub extra: u64,
    /// Documents of another version than the record's.
    pub stale: u64,
    /// Documents that differ and of which a write is under way: not judged.
    pub pending: u64,
    /// Documents that are being written or deleted again, because a repair was asked for.
    pub repaired: u64,
    pub samples: Samples,
}

/// Ids, ten of each kind at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = IndexDriftSamples)]
pub struct Samples {
    pub missing: Vec<String>,
    pub extra: Vec<String>,
    pub stale: Vec<String>,
}

impl Found {
    /// Documents that differ.
    pub fn drifted(&self) -> u64 {
        self.missing + self.extra + self.stale
    }
}

/// Compares the record of an index with its collection and writes the result down. With `repair`, everything that differs is queued to
/// be written or deleted again, in its lane; who waits for the backlog to empty sees it mended.
pub async fn verify(pool: &PgPool, typesense: &Client, index_id: Uuid, repair: bool) -> Result<Drift, Error> {
    for _ in 0..BEGINNINGS {
        let index = db::index::find(pool, index_id).await?.ok_or(Error::Gone)?;
        let found = match &index.collection {
            Some(collection) => Comparison::new(pool, typesense, index_id, collection, repair).run().await?,
            None => Found::default(),
        };
        let now = db::index::find(pool, index_id).await?.ok_or(Error::Gone)?;
        if (index.version, &index.collection) != (now.version, &now.collection) {
            continue;
        }
        let counts = Counts {
            documents: found.documents,
            missing: found.missing,
            extra: found.extra,
            stale: found.stale,
            repaired: found.repaired,
        };
        let checked_at = db::index_check::record(pool, index_id, counts).await?;
        return Ok(Drift { index: index.slug, collection: index.collection, found, checked_at });
    }
    Err(Error::Unsettled)
}
