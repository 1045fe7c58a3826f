//! Putting a version in place.
//!
//! What changes is written to it until little is left; then all lanes of the index are taken, so that nothing changes any more, the rest
//! is written, counts and a sample are verified, and the version becomes the live one in the transaction that proves that the lanes are
//! still held. Accepting and searching go on meanwhile. The alias follows before the lanes are given back: whoever is killed between
//! the two leaves lanes that point the alias where they write, before they write.

use std::time::Duration;

use metrics::histogram;
use tidewell_jobs::ProjectIndex;
use tokio::time::Instant;

use super::Run;
use crate::{
    db::{
        self,
        reindex::{
            Phase,
            flight::{self, Doubt},
            refusal, swap,
        },
    },
    metrics::REINDEX_SWAP_DURATION,
    worker::{import::Importer, stop::Stop},
};

/// Changes that are few enough to be written while the lanes are held.
const FEW: i64 = 2000;
/// Where writes come as fast as they are caught up with, waiting for fewer is in vain.
const MOST_ROUNDS: usize = 8;
/// For how long the lanes are asked for.
const ASKED_FOR: Duration = Duration::from_secs(20);
/// Between two looks at whether they are free.
const AGAIN: Duration = Duration::from_millis(20);
/// After so long every front end knows of a change: what they remember of indexes is proved more often (`http/freshness.rs`).
const KNOWN_AFTER: Duration = Duration::from_millis(1000);
/// Refused documents that become dead letters by one statement.
const LETTERS: i64 = 1000;

impl Run<'_> {
    /// Catches up and makes the version the live one; gives since when all lanes are held.
    pub(super) async fn swap(&self, importer: &Importer<'_>) -> Result<Instant, Stop> {
        let mut doubts = 0;
        loop {
            self.approach(importer, &mut doubts).await?;
            self.judge_refused().await?;
            if self.hold().await? {
                let held_since = Instant::now();
                if self.put_in_place(importer).await? {
                    return Ok(held_since);
                }
            }
        }
    }

    /// Catches up until little is left, and nothing that was sent is in doubt; `doubts`: how often all that was in doubt was waited
    /// for.
    async fn approach(&self, importer: &Importer<'_>, doubts: &mut usize) -> Result<(), Stop> {
        let mut before = i64::MAX;
        for _ in 0..MOST_ROUNDS {
            let changed = self.catch_up(importer, Phase::CatchingUp).await?;
            if changed <= FEW || changed >= before {
                break;
            }
            before = changed;
        }
        loop {
            let Doubt { has_ended, lasts } = self.outlive().await?;
            let collection = &self.version.collection;
            let flying = db::flight::is_collection_in_doubt(&self.worker.pool, self.index.id, collection).await?;
            if !has_ended && lasts.is_none() && !flying {
                return Ok(());
            }
            *doubts += usize::from(has_ended && lasts.is_none());
            if *doubts > MOST_ROUNDS {
                return Err(Stop::Fail(format!(
                    "again and again imports into {collection} were not answered in full, so that what it holds is not known: see \
                     what stands between Tidewell and Typesense, then ask for this once more"
                )));
            }
            tracing::debug!(reindex_id = %self.reindex.id, has_ended, ?lasts, flying, "requests are in doubt");
            if !has_ended {
                tokio::time::sleep(Duration::from_secs_f64(lasts.unwrap_or(0.5).clamp(0.05, 0.5))).await;
            }
            self.catch_up(importer, Phase::CatchingUp).await?;
        }
    }

    /// Lists what lost requests carried, once they can't be alive any more.
    async fn outlive(&self) -> Result<Doubt, Stop> {
        let mut tx = self.worker.pool.begin().await?;
        db::reindex::lease::renew(&mut tx, self.lease).await?.ok_or(Stop::LeaseLost)?;
        let doubt = flight::outlive(&mut tx, self.id()).await?;
        tx.commit().await?;
        Ok(doubt)
    }

    /// Gives up where the version refuses more than it may.
    async fn judge_refused(&self) -> Result<(), Stop> {
        let now = db::reindex::find(&self.worker.pool, self.reindex.id).await?.ok_or(Stop::LeaseLost)?;
        match self.reindex.max_refused {
            Some(most) if now.refused > most => Err(Stop::Fail(format!(
                "{} documents do not fit the new version, and {most} were allowed: look at its refusals, and mend the \
                 documents or the fields, or allow more by maxRefused",
                now.refused
            ))),
            _ => Ok(()),
        }
    }

    /// Takes all lanes; false where they were not given back in time.
    async fn hold(&self) -> Result<bool, Stop> {
        let Self { worker, index, lease, .. } = self;
        db::lane::want_all(&worker.pool, index.id, ASKED_FOR).await?;
        let until = Instant::now() + ASKED_FOR;
        while Instant::now() < until {
            let leased = db::lane::lease_all(&worker.pool, index.id, &worker.options.name, lease.term).await?;
            if leased.is_some() {
                *self.held.lock().await = leased;
                return Ok(true);
            }
            tokio::time::sleep(AGAIN).await;
        }
        db::lane::release_wanted(&mut *worker.pool.acquire().await?, index.id, None).await?;
        Ok(false)
    }

    /// While the lanes are held: writes the rest, verifies, and makes the version the live one; false where the lanes are not held any
    /// more, for what was written by then is in doubt.
    async fn put_in_place(&self, importer: &Importer<'_>) -> Result<bool, Stop> {
        let Self { worker, index, reindex, .. } = self;
        while self.catch_up(importer, Phase::Swapping).await? > 0 {}
        if flight::is_any_left(&worker.pool, self.id()).await? {
            self.give_back().await?;
            return Ok(false);
        }
        self.judge_refused().await?;
        self.verify().await?;
        // Not renewed meanwhile, which takes the same rows in another order.
        let held = self.held.lock().await;
        let held = held.as_ref().ok_or(Stop::LeaseLost)?;
        let mut tx = worker.pool.begin().await?;
        if !db::lane::renew_wanted(&mut tx, held).await? || !swap::swap(&mut tx, self.lease, reindex).await? {
            return Err(Stop::LeaseLost);
        }
        loop {
            let refused = refusal::list(&mut *tx, self.id(), "", LETTERS).await?;
            if refused.is_empty() {
                break;
            }
            swap::bury_refused(&mut tx, reindex, &refused).await?;
        }
        tidewell_jobs::enqueue(&mut tx, &[ProjectIndex { index_id: index.id }]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Once the version is the live one: points the alias at it, and waits until all front ends know of it.
    pub(super) async fn make_known(&self, held_since: Instant) {
        let Self { worker, index, .. } = self;
        if let Err(error) = worker.typesense.put_alias(&index.alias, &self.version.collection).await {
            tracing::warn!(alias = index.alias, %error, "the alias could not be moved: that is done when Typesense is back");
        }
        // A search of one that does not know yet looks into the version before: until all do, nothing is written that is not there.
        tokio::time::sleep(KNOWN_AFTER).await;
        let held_for = held_since.elapsed();
        histogram!(REINDEX_SWAP_DURATION.name).record(held_for);
        tracing::info!(index_id = %index.id, collection = self.version.collection, held_ms = held_for.as_millis() as u64,
            "swapped the version");
    }
}
