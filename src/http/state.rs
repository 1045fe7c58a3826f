//! What every handler shares.

use std::{sync::Arc, time::Duration};

use ::metrics::gauge;
use chrono::{DateTime, Utc};
use moka::future::Cache;
use sqlx::PgPool;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Error, caller::Caller, health::Seen, key_use::KeyUse, known::Known, search::Results};
use crate::{
    backend,
    db::{index::Index, profile::Profile},
    domain::{backend::PlainHttp, scoped_token::Signer, seal::Sealer, secret},
    embed::Embedders,
    ingest::{permits::Permits, rate::RateLimiter},
    metrics, typesense,
};

/// Backends whose clients are kept for searching.
const MAX_SEARCH_CLIENTS: u64 = 100;

/// Bounds of the front end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of request bodies held at one time, all requests together.
    pub body_bytes_in_flight: usize,
    /// Rows that may wait in one index's outbox before writes are answered 503.
    pub backlog: i64,
    /// Answers that may wait for the end of something, at one time.
    pub waits: usize,
    /// How long a body may stand still while it is read.
    pub stall: Duration,
}

/// What the front end knows callers by.
#[derive(Clone, Copy, Default)]
pub struct Secrets<'a> {
    /// `ATHENA_KEY_12`; without it no operator can call.
    pub operator_key: Option<&'a str>,
    /// `TIDEWELL_SECRET`; without it there are no scoped tokens, and no backends and clients of table syncs.
    pub master: Option<&'a str>,
    /// `TIDEWELL_PREVIOUS_SECRET`.
    pub previous_master: Option<&'a str>,
}

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct State {
    pub pool: PgPool,
    pub typesense: typesense::Client,
    /// For searches by meaning.
    pub(super) embedders: Arc<Embedders>,
    pub limits: Limits,
    pub(super) bodies: Arc<Semaphore>,
    pub(super) waits: Arc<Semaphore>,
    pub(super) seen: Seen,
    pub(super) rate: Arc<RateLimiter>,
    pub(super) permits: Arc<Permits>,
    pub(super) uses: Arc<KeyUse>,
    pub(super) results: Results,
    pub(super) known: Arc<Known>,
    pub(super) signer: Option<Signer>,
    pub(super) plain_http: PlainHttp,
    sealer: Option<Sealer>,
    search_clients: Cache<(Uuid, DateTime<Utc>), typesense::Client>,
    operator_key: Option<[u8; 32]>,
    /// Cancelled once this front end is about to stop.
    pub(super) retiring: CancellationToken,
}

impl State {
    /// `plain_http` says which backends of table syncs are taken.
    pub fn new(
        pool: PgPool,
        typesense: typesense::Client,
        secrets: Secrets<'_>,
        limits: Limits,
        plain_http: PlainHttp,
        embedders: Arc<Embedders>,
    ) -> Self {
        Self {
            bodies: Arc::new(Semaphore::new(limits.body_bytes_in_flight / super::body::UNIT)),
            waits: Arc::new(Semaphore::new(limits.waits)),
            seen: Seen::default(),
            rate: Arc::new(RateLimiter::new(pool.clone())),
            permits: Arc::new(Permits::new(pool.clone())),
            uses: Arc::new(KeyUse::default()),
            results: Results::new(),
            known: Arc::new(Known::new(pool.clone())),
            signer: secrets.master.map(Signer::new),
            sealer: secrets.master.map(|master| Sealer::new(master, secrets.previous_master)),
            plain_http,
            embedders,
            search_clients: Cache::new(MAX_SEARCH_CLIENTS),
            operator_key: secrets.operator_key.map(secret::hash),
            retiring: CancellationToken::new(),
            pool,
            typesense,
            limits,
        }
    }

    /// Shows what the front end holds, at each scrape.
    pub fn show(&self) {
        let (bodies, limit) = (self.bodies.clone(), self.limits.body_bytes_in_flight);
        gauge!(metrics::BODY_BYTES_LIMIT.name).set(limit as f64);
        gauge!(metrics::BACKLOG_LIMIT.name).set(self.limits.backlog as f64);
        metrics::at_scrape(move || {
            let free = bodies.available_permits() * super::body::UNIT;
            gauge!(metrics::BODY_BYTES.name).set(limit.saturating_sub(free) as f64);
        });
        metrics::show_pool("serve", &self.pool);
    }

    /// From now on `/readyz` says that this front end is about to stop, each connection ends with its next answer, and no answer waits
    /// for a job any more.
    pub fn retire(&self) {
        self.retiring.cancel();
    }

    /// Writes down, until `shutdown` and once more then, which keys have been used and what searches have spent: never in a request's
    /// path.
    pub async fn keep_books(&self, shutdown: CancellationToken) {
        tokio::join!(self.uses.keep(&self.pool, shutdown.clone()), self.permits.keep(shutdown));
    }

    /// Hears, until `shutdown`, of changes to what is remembered of keys and indexes.
    pub async fn keep_fresh(&self, shutdown: CancellationToken) {
        self.known.keep_fresh(shutdown).await;
    }

    pub(super) fn is_operator(&self, key: &str) -> bool {
        self.operator_key.is_some_and(|operator| operator.ct_eq(&secret::hash(key)).into())
    }

    pub(super) fn signer(&self) -> Result<&Signer, Error> {
        self.signer.as_ref().ok_or_else(|| Error::Unavailable {
            detail: "scoped tokens are off: the operator has to set TIDEWELL_SECRET".to_owned(),
            retry_after: 60,
        })
    }

    /// A client for searching a backend; its connections are kept until the backend is changed.
    pub(super) async fn search_client(&self, profile: &Profile) -> Result<typesense::Client, Error> {
        let key = (profile.id, profile.updated_at);
        if let Some(client) = self.search_clients.get(&key).await {
            return Ok(client);
        }
        let client = backend::search_client(profile, self.sealer()?)?;
        self.search_clients.insert(key, client.clone()).await;
        Ok(client)
    }

    /// For the keys of backends and the URLs of clients.
    pub(super) fn sealer(&self) -> Result<&Sealer, Error> {
        self.sealer.as_ref().ok_or_else(|| Error::Unavailable {
            detail: "keys and URLs can't be stored or used: the operator has to set TIDEWELL_SECRET".to_owned(),
            retry_after: 60,
        })
    }

    /// The index of that id or slug, if it is the caller's; another organization's is not found.
    pub(super) async fn index(&self, caller: &Caller, name: &str) -> Result<Arc<Index>, Error> {
        self.index_within(caller, caller.organization_id(), name).await
    }

    /// Forgets what is remembered: who has changed something sees it changed, though the database has yet to tell.
    pub(super) fn forget(&self) {
        self.known.forget();
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
        let index = self.known.index(organization_id, name).await?;
        caller.may_use(&index)?;
        Ok(index)
    }
}
