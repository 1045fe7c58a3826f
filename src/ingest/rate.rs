//! Rate limits: a sliding minute for each key, over all replicas, without a round trip for each request.
//!
//! A replica takes permits in chunks out of the key's minute (a *grant*), and spends them from memory. A grant may be spent for
//! [`GRANT_LIVES`] and counts for a minute more, by the database's clock; since no more than the limit is ever granted within
//! that time, no 60 seconds hold more than the limit, whatever the replicas do. Chunks shrink as the minute fills up, to single
//! permits at its edge, so that a lone replica admits exactly the limit; what a replica did not spend it gives back.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::db::{self, rate::Grant};

/// For how long a grant may be spent, by this process's monotonic clock, counted from before it was asked for.
pub const GRANT_LIVES: Duration = Duration::from_secs(2);
/// Keys kept in memory before those without a live grant are forgotten.
const MAX_KEYS: usize = 10_000;

/// What became of one request, and what the `RateLimit-*` headers say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    pub admitted: bool,
    pub remaining: u32,
    /// Seconds until the minute has room again.
    pub reset_seconds: u32,
}

/// The limiter of one process.
pub struct RateLimiter {
    pool: PgPool,
    keys: std::sync::Mutex<HashMap<Uuid, Arc<Mutex<Key>>>>,
}

#[derive(Default)]
struct Key {
    held: Option<Held>,
    /// While the key is known to be at its limit: refused without asking.
    full_until: Option<Instant>,
}

struct Held {
    grant: Grant,
    spent: u32,
    expires: Instant,
}

impl RateLimiter {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, keys: std::sync::Mutex::default() }
    }

    /// Admits or refuses one request of a key that may make `limit` a minute.
    pub async fn admit(&self, key_id: Uuid, limit: u32) -> Result<Decision, sqlx::Error> {
        let key = self.key(key_id);
        // Held while permits are asked for: the requests behind this one want the same grant.
        let mut key = key.lock().await;
        let now = Instant::now();
        if let Some(held) = &mut key.held
            && held.spent < held.grant.permits
            && now < held.expires
        {
            held.spent += 1;
            return Ok(held.decision());
        }
        if let Some(until) = key.full_until
            && now < until
        {
            return Ok(refused(until - now));
        }
        let unspent = key.held.take().filter(|held| held.spent < held.grant.permits);
        let given_back = unspent.map(|held| (held.grant.id, held.spent));
        let grant = db::rate::grant(&self.pool, key_id, limit, GRANT_LIVES, given_back).await?;
        if grant.permits == 0 {
            let wait = Duration::from_secs_f64(grant.free_after.max(0.0));
            key.full_until = Some(now + wait.min(Duration::from_millis(250)));
            return Ok(refused(wait));
        }
        key.full_until = None;
        let held = key.held.insert(Held { grant, spent: 1, expires: now + GRANT_LIVES });
        Ok(held.decision())
    }

    fn key(&self, key_id: Uuid) -> Arc<Mutex<Key>> {
        let mut keys = self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if keys.len() > MAX_KEYS {
            keys.retain(|_, key| {
                Arc::strong_count(key) > 1
                    || key
                        .try_lock()
                        .is_ok_and(|key| key.held.as_ref().is_some_and(|held| Instant::now() < held.expires))
            });
        }
        keys.entry(key_id).or_default().clone()
    }
}

impl Held {
    fn decision(&self) -> Decision {
        Decision {
            admitted: true,
            remaining: self.grant.permits - self.spent + self.grant.left,
            reset_seconds: self.grant.free_after.max(0.0).ceil() as u32,
        }
    }
}

fn refused(wait: Duration) -> Decision {
    Decision { admitted: false, remaining: 0, reset_seconds: (wait.as_secs_f64().ceil() as u32).max(1) }
}
