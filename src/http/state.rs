//! What every handler shares.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    Error,
    caller::{Caller, KeyUse},
    search::Results,
};
use crate::{
    db::{self, index::Index, key::Key},
    domain::secret,
    ingest::{permits::Permits, rate::RateLimiter},
    typesense,
};

/// How long a key or an index is believed without asking the database: what a revocation may take to bite.
const TRUSTED_FOR: Duration = Duration::from_millis(500);

/// Bounds of the front end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of request bodies held at one time, all requests together.
    pub body_bytes_in_flight: usize,
    /// Rows that may wait in one index's outbox before writes are answered 503.
    pub backlog: i64,
}

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct State {
    pub pool: PgPool,
    pub typesense: typesense::Client,
    pub limits: Limits,
    pub(super) bodies: Arc<Semaphore>,
    pub(super) rate: Arc<RateLimiter>,
    pub(super) permits: Arc<Permits>,
    pub(super) uses: Arc<KeyUse>,
    pub(super) results: Results,
    operator_key: Option<[u8; 32]>,
    keys: Cache<[u8; 32], (Arc<Key>, bool)>,
    indexes: Cache<(Option<Uuid>, String), Arc<Index>>,
}

impl State {
    /// `operator_key` is the secret of `ATHENA_KEY_12`; without one no operator can call.
    pub fn new(pool: PgPool, typesense: typesense::Client, operator_key: Option<&str>, limits: Limits) -> Self {
        let cache = || Cache::builder().max_capacity(10_000).time_to_live(TRUSTED_FOR);
        Self {
            bodies: Arc::new(Semaphore::new(limits.body_bytes_in_flight / super::body::UNIT)),
            rate: Arc::new(RateLimiter::new(pool.clone())),
            permits: Arc::new(Permits::new(pool.clone())),
            uses: Arc::new(KeyUse::default()),
            results: Results::new(),
            operator_key: operator_key.map(secret::hash),
            keys: Cache::builder().max_capacity(10_000).time_to_live(TRUSTED_FOR).build(),
            indexes: cache().build(),
            pool,
            typesense,
            limits,
        }
    }

    /// Writes down, until `shutdown` and once more then, which keys have been used and what searches have spent: never in a request's
    /// path.
    pub async fn keep_books(&self, shutdown: tokio_util::sync::CancellationToken) {
        tokio::join!(self.uses.keep(&self.pool, shutdown.clone()), self.permits.keep(shutdown));
    }

    pub(super) fn is_operator(&self, key: &str) -> bool {
        use subtle::ConstantTimeEq;
        self.operator_key.is_some_and(|operator| operator.ct_eq(&secret::hash(key)).into())
    }

    /// The key of that secret, and whether it has expired.
    pub(super) async fn key(&self, raw: &str) -> Result<Option<(Arc<Key>, bool)>, Error> {
        let hash = secret::hash(raw);
        if let Some(known) = self.keys.get(&hash).await {
            return Ok(Some(known));
        }
        let Some((key, expired)) = db::key::authenticate(&self.pool, &hash).await? else { return Ok(None) };
        let found = (Arc::new(key), expired);
        self.keys.insert(hash, found.clone()).await;
        Ok(Some(found))
    }

    /// The index of that id or slug, if it is the caller's; another organization's is not found.
    pub(super) async fn index(&self, caller: &Caller, name: &str) -> Result<Arc<Index>, Error> {
        self.index_within(caller, caller.organization_id(), name).await
    }

    /// Forgets what is remembered of an index: it has changed.
    pub(super) async fn forget_index(&self, index: &Index) {
        for organization_id in [None, Some(index.organization_id)] {
            for name in [index.id.to_string(), index.slug.clone()] {
                self.indexes.invalidate(&(organization_id, name)).await;
            }
        }
    }

    /// As [`State::index`], looked for within an organization that is the caller's to name.
    pub(super) async fn index_within(
        &self,
        caller: &Caller,
        organization_id: Option<Uuid>,
        name: &str,
    ) -> Result<Arc<Index>, Error> {
        if name.contains('\0') {
            return Err(Error::index_not_found());
        }
        let cached = (organization_id, name.to_owned());
        let index = match self.indexes.get(&cached).await {
            Some(index) => index,
            None => {
                let mut found = db::index::resolve(&self.pool, cached.0, name).await?;
                if found.len() > 1 {
                    return Err(Error::conflict(
                        "several organizations have an index of this slug: give the index's id",
                    ));
                }
                let index = Arc::new(found.pop().ok_or_else(Error::index_not_found)?);
                self.indexes.insert(cached, index.clone()).await;
                index
            }
        };
        caller.may_use(&index)?;
        Ok(index)
    }
}
