//! Replication slots in source databases: one that nobody reads holds back the log there, so it is dropped when it holds too much, and
//! when no job wants it any more.

use std::time::Duration;

use crate::{
    db::{self, sync::live},
    replication, source,
    worker::Worker,
};

/// Between two looks at what slots hold back.
const EVERY: Duration = Duration::from_secs(5);

/// Looks after slots until the worker stops, whether or not it schedules.
pub(in crate::worker) async fn mind_slots(worker: &Worker) {
    while tokio::time::timeout(EVERY, worker.shutdown.cancelled()).await.is_err() {
        if let Err(error) = worker.bound_slots().await {
            tracing::warn!(%error, "could not look after the replication slots");
        }
    }
}

impl Worker {
    /// Drops slots that no job wants, and those that hold back too much while nobody reads them.
    async fn bound_slots(&self) -> Result<(), sqlx::Error> {
        for slot in live::slots(&self.pool).await? {
            if slot.is_wanted && slot.is_followed {
                continue;
            }
            match self.bound_slot(&slot).await {
                Ok(true) => live::forget_slot(&self.pool, &slot).await?,
                Ok(false) => {}
                Err(error) => tracing::warn!(slot = slot.name, error, "a replication slot could not be looked at"),
            }
        }
        Ok(())
    }

    /// Whether the slot is gone now.
    async fn bound_slot(&self, slot: &live::Slot) -> Result<bool, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let sealer = self.syncs.sealer.as_ref().ok_or("TIDEWELL_SECRET is not set")?;
        let client =
            db::client::resolve(&self.pool, &slot.client_id.to_string()).await.map_err(|error| told(&error))?;
        let client = client.ok_or("its client is gone")?;
        let url = client.url(sealer).map_err(|error| told(&error))?;
        let mut source = source::connected(url.expose()).await.map_err(|error| told(&error))?;
        let held = replication::held_back(&mut source, &slot.name).await.map_err(|error| told(&error))?;
        if slot.is_wanted && held.is_none() {
            // About to be made, or lost: whoever follows the job finds out.
            return Ok(false);
        }
        let is_too_much = held.as_ref().is_some_and(|held| held.bytes > self.syncs.live_wal_limit && !held.active);
        if slot.is_wanted && !is_too_much {
            return Ok(false);
        }
        if is_too_much && slot.is_wanted {
            tracing::warn!(
                slot = slot.name,
                bytes = held.map(|held| held.bytes),
                "nobody reads this replication slot and it holds back too much of the log: dropping it"
            );
        }
        replication::drop_slot(&mut source, &slot.name, !slot.is_wanted).await.map_err(|error| told(&error))?;
        if !slot.is_wanted {
            replication::drop_publication(&mut source, &slot.name).await.map_err(|error| told(&error))?;
        }
        Ok(true)
    }
}
