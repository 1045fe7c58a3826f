//! For how long a front end may go by what it remembers: until the database tells of a change, and no longer than it is certain that it
//! would have been told.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::db::changes::{Heard, Listener};

/// How often the listener sends itself a beat.
const BEAT_EVERY: Duration = Duration::from_millis(200);
/// How long a beat proves that the listener hears, from when it was sent: what a change may take to bite once it does not.
const PROOF_HOLDS: Duration = Duration::from_millis(750);
/// For how long at most anything is remembered while it does not.
const TICK: Duration = Duration::from_millis(500);
/// How far the database's clock and this process's may part.
const DRIFT: TimeDelta = TimeDelta::milliseconds(500);
/// How long the listener's database may take to answer before the connection is given up for dead.
const PATIENCE: Duration = Duration::from_secs(1);
const RECONNECT_AFTER: Duration = Duration::from_millis(250);

/// A span of time in which what was learnt may be gone by; part of the key of whatever is remembered. Something that was asked for
/// before a change is remembered under an epoch that nobody looks under any more, however late its answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Epoch {
    /// Changes heard so far.
    changes: u64,
    /// Counts on by itself while the listener is not known to hear.
    tick: Option<u64>,
}

/// The present epoch.
pub(super) struct Freshness {
    began: Instant,
    changes: AtomicU64,
    /// Milliseconds after `began`.
    proven_until: AtomicU64,
}

impl Freshness {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), changes: AtomicU64::new(0), proven_until: AtomicU64::new(0) }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch_at(Instant::now())
    }

    fn epoch_at(&self, now: Instant) -> Epoch {
        let now = self.millis(now);
        // In this order: a proof that came after the changes were read would cover more than they do.
        let proven = now < self.proven_until.load(Ordering::Acquire);
        let changes = self.changes.load(Ordering::Acquire);
        Epoch { changes, tick: (!proven).then(|| now / TICK.as_millis() as u64) }
    }

    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn prove(&self, sent: Instant) {
        self.proven_until.store(self.millis(sent + PROOF_HOLDS), Ordering::Release);
    }

    fn millis(&self, instant: Instant) -> u64 {
        instant.duration_since(self.began).as_millis() as u64
    }

    /// Listens until `shutdown`, over and over where the connection is lost. No request waits for it.
    pub(super) async fn keep(&self, pool: &PgPool, shutdown: CancellationToken) {
        let mut lost_before = false;
        loop {
            let heard_from = self.changes.load(Ordering::Acquire);
            let error = tokio::select! {
                () = shutdown.cancelled() => return,
                Err(error) = self.listen(pool) => error,
            };
            let connected = self.changes.load(Ordering::Acquire) != heard_from;
            // Said once for each time that it is lost.
            if connected || !lost_before {
                tracing::warn!(%error, "not told of changes to keys and indexes: each is asked for anew, twice a second");
            }
            lost_before = true;
            if tokio::time::timeout(RECONNECT_AFTER, shutdown.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    async fn listen(&self, pool: &PgPool) -> Result<Infallible, sqlx::Error> {
        let mut listener = in_time(Listener::connect(pool)).await?;
        // What has changed while nobody listened.
        self.forget();
        let mut first = None;
        loop {
            let sent = Instant::now();
            let clock = in_time(listener.beat()).await?;
            // What is remembered has the database's clock in it, as it was.
            if !first.get_or_insert(clock).agrees_with(&clock, DRIFT) {
                self.forget();
                first = Some(clock);
            }
            while let Ok(heard) = timeout_at(sent + BEAT_EVERY, listener.hear()).await {
                match heard? {
                    Heard::Change => self.forget(),
                    Heard::Beat => self.prove(sent),
                }
            }
        }
    }
}

/// A connection that was cut without a word answers nothing, and fails nothing either.
async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_proof_nothing_is_remembered_for_longer_than_a_tick() {
        let freshness = Freshness::new();
        let at = |millis| freshness.epoch_at(freshness.began + Duration::from_millis(millis));
        assert_eq!(at(0), at(499));
        assert_ne!(at(499), at(500));
    }

    #[test]
    fn while_a_proof_holds_an_epoch_lasts_until_something_changes() {
        let freshness = Freshness::new();
        let at = |millis| freshness.epoch_at(freshness.began + Duration::from_millis(millis));
        freshness.prove(freshness.began);
        let first = at(0);
        assert_eq!(first, at(749));
        assert_ne!(first, at(750), "the proof is too old");
        freshness.prove(freshness.began + Duration::from_millis(600));
        assert_eq!(first, at(1300), "nothing has changed meanwhile");
        freshness.forget();
        assert_ne!(first, at(1300));
    }
}
