//! Where an index's documents go: the collection and its alias, made on first need.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    db::{self, index::Index},
    domain::fields,
    typesense::{self, NewCollection},
};

/// Indexes whose alias is known to be there.
#[derive(Default)]
pub(super) struct Targets(Mutex<HashSet<Uuid>>);

/// Why there is nowhere to write to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Typesense(#[from] typesense::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Targets {
    fn known(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the collection and the alias where they are missing. Several workers may do so at once.
    pub(super) async fn ensure(
        &self,
        pool: &PgPool,
        typesense: &typesense::Client,
        index: &Index,
    ) -> Result<(), Error> {
        if self.known().contains(&index.id) {
            return Ok(());
        }
        let collection = match typesense.alias(&index.alias).await? {
            Some(collection) if typesense.collection(&collection).await?.is_some() => collection,
            // An alias that points at nothing: what it points at is made again.
            pointed_at => {
                let name = pointed_at.unwrap_or_else(|| format!("{}_v1", index.alias));
                let created = typesense
                    .create_collection(&NewCollection {
                        name: &name,
                        fields: fields::collection_fields(&index.fields),
                        default_sorting_field: index.default_sorting_field.as_deref(),
                        enable_nested_fields: true,
                    })
                    .await?;
                typesense.put_alias(&index.alias, &name).await?;
                if created {
                    tracing::info!(index_id = %index.id, collection = name, "made the collection");
                }
                name
            }
        };
        db::index::set_collection(pool, index.id, &collection).await?;
        self.known().insert(index.id);
        Ok(())
    }

    /// The collection was not where it should be.
    pub(super) fn forget(&self, index_id: Uuid) {
        self.known().remove(&index_id);
    }
}
