//! What a front end remembers of keys and indexes, so that it need not ask for each request.

use std::{hash::Hash, sync::Arc, time::Duration};

use moka::{future::Cache, policy::EvictionPolicy};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Error,
    freshness::{Epoch, Freshness},
};
use crate::db::{
    self,
    clock::Clock,
    gateway_key::GatewayKey,
    index::Index,
    key::{By, Key},
};

/// After how long something is asked for anew, though nothing has changed.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// How many of each.
const REMEMBERED: u64 = 10_000;

/// A living key, and the clock by which it may have expired.
type Living<K> = (Arc<K>, Clock);

/// Keys and indexes, each as it stood in the present epoch. Of requests that want the same one at the same time, one asks. What is
/// not there is not remembered: what is made is there at once, and names that are made up take no room from those that are real.
pub(super) struct Known {
    pool: PgPool,
    freshness: Freshness,
    keys: Cache<(Epoch, By), Living<Key>>,
    gateway_keys: Cache<(Epoch, [u8; 32]), Living<GatewayKey>>,
    indexes: Cache<(Epoch, Option<Uuid>, String), Resolved>,
}

/// What a name stands for.
#[derive(Clone)]
enum Resolved {
    One(Arc<Index>),
    Several,
}

impl Known {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, freshness: Freshness::new(), keys: cache(), gateway_keys: cache(), indexes: cache() }
    }

    /// Hears of changes until `shutdown`.
    pub(super) async fn keep_fresh(&self, shutdown: CancellationToken) {
        self.freshness.keep(&self.pool, shutdown).await;
    }

    pub(super) fn forget(&self) {
        self.freshness.forget();
    }

    /// The key, unless it is revoked.
    pub(super) async fn key(&self, by: By) -> Result<Option<Living<Key>>, Error> {
        let ask = async { db::key::authenticate(&self.pool, by).await?.map(living).ok_or(sqlx::Error::RowNotFound) };
        if_there(self.keys.try_get_with((self.freshness.epoch(), by), ask).await)
    }

    /// As [`Known::key`], of a gateway key with this secret's hash.
    pub(super) async fn gateway_key(&self, hash: [u8; 32]) -> Result<Option<Living<GatewayKey>>, Error> {
        let ask = async {
            let found = db::gateway_key::authenticate(&self.pool, &hash).await?;
            found.map(living).ok_or(sqlx::Error::RowNotFound)
        };
        if_there(self.gateway_keys.try_get_with((self.freshness.epoch(), hash), ask).await)
    }

    /// The index of that id or slug, within an organization where one is given.
    pub(super) async fn index(&self, organization_id: Option<Uuid>, name: &str) -> Result<Arc<Index>, Error> {
        let ask = async {
            let mut found = db::index::resolve(&self.pool, organization_id, name).await?;
            match (found.pop(), found.pop()) {
                (None, _) => Err(sqlx::Error::RowNotFound),
                (Some(index), None) => Ok(Resolved::One(Arc::new(index))),
                (Some(_), Some(_)) => Ok(Resolved::Several),
            }
        };
        let wanted = (self.freshness.epoch(), organization_id, name.to_owned());
        match if_there(self.indexes.try_get_with(wanted, ask).await)? {
            Some(Resolved::One(index)) => Ok(index),
            Some(Resolved::Several) => {
                Err(Error::conflict("several organizations have an index of this slug: give the index's id"))
            }
            None => Err(Error::index_not_found()),
        }
    }
}

fn living<K>((key, clock): (K, Clock)) -> Living<K> {
    (Arc::new(key), clock)
}

/// That nothing was found is an error to the cache alone, which keeps no errors.
fn if_there<T>(asked: Result<T, Arc<sqlx::Error>>) -> Result<Option<T>, Error> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(*error, sqlx::Error::RowNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is of a past epoch is never asked for again, and goes first.
fn cache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
    Cache::builder()
        .max_capacity(REMEMBERED)
        .eviction_policy(EvictionPolicy::lru())
        .time_to_live(REMEMBERED_FOR)
        .build()
}
