//! Where an index's documents go: the collection and its alias, made on first need.
//!
//! Writes name the collection, never the alias. After a restart Typesense 0.24 replays its log in several queues, chosen by the name
//! in each request: an import that names the alias can be replayed before the collection and the alias are made, and is lost.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sqlx::PgPool;
use uuid::Uuid;

use super::error::Error;
use crate::{
    db::{self, index::Index},
    domain::fields,
    typesense::{self, NewCollection},
};

/// The collections of indexes whose alias is known to be there.
#[derive(Default)]
pub(super) struct Targets(Mutex<HashMap<Uuid, String>>);

impl Targets {
    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The collection to write to; it and the alias are made where they are missing. Several workers may do so at once.
    pub(super) async fn ensure(
        &self,
        pool: &PgPool,
        typesense: &typesense::Client,
        index: &Index,
    ) -> Result<String, Error> {
        if let Some(collection) = self.known().get(&index.id) {
            return Ok(collection.clone());
        }
        // Not asked for but made: a node that replays its log answers questions from an older state.
        let collection = index.collection.clone().unwrap_or_else(|| format!("{}_v1", index.alias));
        let created = typesense
            .create_collection(&NewCollection {
                name: &collection,
                fields: fields::collection_fields(&index.fields, None),
                default_sorting_field: index.default_sorting_field.as_deref(),
                enable_nested_fields: true,
            })
            .await?;
        typesense.put_alias(&index.alias, &collection).await?;
        if created {
            tracing::info!(index_id = %index.id, collection, "made the collection");
        }
        db::index::set_collection(pool, index.id, &collection).await?;
        self.known().insert(index.id, collection.clone());
        Ok(collection)
    }

    /// The collection was not where it should be.
    pub(super) fn forget(&self, index_id: Uuid) {
        self.known().remove(&index_id);
    }
}
