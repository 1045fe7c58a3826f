//! Where an index's documents go: the live version's collection and its alias, made on first need.
//!
//! Writes name the collection, never the alias. After a restart Typesense 0.24 replays its log in several queues, chosen by the name
//! in each request: an import that names the alias can be replayed before the collection and the alias are made, and is lost.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use uuid::Uuid;

use super::{Worker, embedding::Embeds};
use crate::{
    db::{self, index::Index, version::Version},
    domain::{
        embedding::{Embedding, Outage},
        fields,
    },
    embed,
    typesense::{self, NewCollection},
};

/// Why there is no place for documents now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTarget {
    #[error(transparent)]
    Typesense(#[from] typesense::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// There are no vectors now, and documents wait for them.
    #[error("{0}")]
    NoVectors(String),
}

impl From<embed::Error> for NoTarget {
    fn from(error: embed::Error) -> Self {
        match error {
            embed::Error::Database(error) => Self::Database(error),
            embed::Error::Away { message, .. } => Self::NoVectors(message),
        }
    }
}

/// Where documents go, and what they take along.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) collection: String,
    pub(super) embeds: Option<Embeds>,
}

/// The live versions whose collection and alias are known to be there.
#[derive(Default)]
pub(super) struct Targets(Mutex<HashMap<Uuid, (i32, Target)>>);

impl Targets {
    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, (i32, Target)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The collection was not where it should be, or its vectors have to be looked at again.
    pub(super) fn forget(&self, index_id: Uuid) {
        self.known().remove(&index_id);
    }
}

impl Worker {
    /// Where an index's documents go; the collection and the alias are made where they are missing. Several workers may do so at once,
    /// each of them holding one of the index's lanes: no other version becomes the live one meanwhile.
    pub(super) async fn target(&self, index: &Index) -> Result<Target, NoTarget> {
        if let Some((version, target)) = self.targets.known().get(&index.id)
            && *version == index.version
        {
            return Ok(target.clone());
        }
        let version = db::version::find(&self.pool, index.id, index.version).await?.ok_or(sqlx::Error::RowNotFound)?;
        let target = self.make_collection(&version).await?;
        self.typesense.put_alias(&index.alias, &target.collection).await?;
        db::index::set_collection(&self.pool, index.id, &target.collection).await?;
        // What is missing may be there the next time.
        if target.embeds.as_ref().is_none_or(|embeds| embeds.without.is_none()) {
            self.targets.known().insert(index.id, (index.version, target.clone()));
        }
        Ok(target)
    }

    /// Makes a version's collection where it is missing.
    pub(super) async fn make_collection(&self, version: &Version) -> Result<Target, NoTarget> {
        let (dimensions, embeds) = self.embeds(version).await?.unzip();
        // Not asked for but made: a node that replays its log answers questions from an older state.
        let created = self
            .typesense
            .create_collection(&NewCollection {
                name: &version.collection,
                fields: fields::collection_fields(&version.fields, dimensions),
                default_sorting_field: version.default_sorting_field.as_deref(),
                enable_nested_fields: true,
            })
            .await?;
        if created {
            tracing::info!(index_id = %version.index_id, collection = version.collection, "made the collection");
        }
        Ok(Target { collection: version.collection.clone(), embeds })
    }

    /// What a version's documents are embedded from, and how many dimensions its vectors have; `None` where it has none.
    pub(super) async fn embeds(&self, version: &Version) -> Result<Option<(usize, Embeds)>, NoTarget> {
        let Some(embedding) = &version.embedding else { return Ok(None) };
        let (dimensions, without) = self.judge_vectors(version, embedding).await?;
        Ok(Some((dimensions, Embeds { embedding: embedding.0.clone(), without })))
    }

    /// How many dimensions a version's vectors have, and why none can be put beside them now, if so. Vectors of two models can't be
    /// compared: another model than the version's asks for a reindex.
    async fn judge_vectors(
        &self,
        version: &Version,
        embedding: &Embedding,
    ) -> Result<(usize, Option<String>), NoTarget> {
        let now = self.embedders.fingerprint(embedding).await.map_err(NoTarget::from);
        let now = match now {
            Ok(now) => Ok(serde_json::to_value(now).unwrap_or_default()),
            Err(NoTarget::NoVectors(reason)) => Err(reason),
            Err(error) => return Err(error),
        };
        let kept = match (&version.fingerprint, &now) {
            (Some(kept), _) => kept.0.clone(),
            (None, Ok(now)) => db::version::settle_fingerprint(&self.pool, version.index_id, version.number, now)
                .await?
                .ok_or(sqlx::Error::RowNotFound)?,
            (None, Err(reason)) => return Err(NoTarget::NoVectors(reason.clone())),
        };
        let dimensions = kept.get("dimensions").and_then(Value::as_u64).unwrap_or_default() as usize;
        let without = match now {
            Ok(now) if now == kept => None,
            Ok(_) => Some(format!(
                "{} is not the model any more that {} has its vectors from: reindex it",
                embedding.model, version.collection
            )),
            Err(reason) => Some(reason),
        };
        match without {
            Some(reason) if embedding.outage == Outage::Wait => Err(NoTarget::NoVectors(reason)),
            without => Ok((dimensions, without)),
        }
    }
}
