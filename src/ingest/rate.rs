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
    full: Option<Full>,
}

struct Held {
    grant: Grant,
    spent: u32,
    expires: Instant,
    frees: Instant,
}

/// The key was at its limit when last asked.
#[derive(Clone, Copy)]
struct Full {
    /// Refused without asking until then: another replica may give permits back.
    ask_again: Instant,
    /// When the minute has room again, if nobody does.
    frees: Instant,
}

/// How long a key at its limit is refused without asking.
const ASKED_EVERY: Duration = Duration::from_millis(250);

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
            return Ok(held.decision(now));
        }
        if let Some(full) = key.full
            && now < full.ask_again
        {
            return Ok(refused(full.frees, now));
        }
        let unspent = key.held.take().filter(|held| held.spent < held.grant.permits);
        let given_back = unspent.map(|held| (held.grant.id, held.spent));
        let grant = db::rate::grant(&self.pool, key_id, limit, GRANT_LIVES, given_back).await?;
        let frees = now + Duration::from_secs_f64(grant.free_after.max(0.0));
        if grant.permits == 0 {
            key.full = Some(Full { ask_again: frees.min(now + ASKED_EVERY), frees });
            return Ok(refused(frees, now));
        }
        key.full = None;
        let held = key.held.insert(Held { grant, spent: 1, expires: now + GRANT_LIVES, frees });
        Ok(held.decision(now))
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
    fn decision(&self, now: Instant) -> Decision {
        Decision {
            admitted: true,
            remaining: self.grant.permits - self.spent + self.grant.left,
            reset_seconds: whole_seconds(self.frees, now),
        }
    }
}

fn refused(frees: Instant, now: Instant) -> Decision {
    Decision { admitted: false, remaining: 0, reset_seconds: whole_seconds(frees, now).max(1) }
}

/// From now until then, rounded up.
fn whole_seconds(then: Instant, now: Instant) -> u32 {
    then.saturating_duration_since(now).as_secs_f64().ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_the_whole_time_that_is_left_however_often_it_is_repeated() {
        let asked = Instant::now();
        let frees = asked + Duration::from_secs(62);
        assert_eq!(refused(frees, asked).reset_seconds, 62);
        assert_eq!(refused(frees, asked + Duration::from_millis(200)).reset_seconds, 62);
        assert_eq!(refused(frees, asked + Duration::from_secs(40)).reset_seconds, 22);
        assert_eq!(refused(frees, frees + Duration::from_secs(1)).reset_seconds, 1);
    }
}
