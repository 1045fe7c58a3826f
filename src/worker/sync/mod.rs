//! Table sync: scheduled runs, each reading a source in ranges of keys and bringing a collection in line with it.

mod collection;
mod import;
mod pass;
mod run;
mod scan;
pub(super) mod schedule;
mod stop;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use tidewell_jobs::{Failure, RunSync};
use tokio::{sync::Semaphore, task::JoinSet};
use uuid::Uuid;

use self::run::Turn;
use super::Worker;
use crate::{
    db::sync::{lease, run as runs},
    domain::seal::Sealer,
};

/// Jobs that one look takes on: the next look takes the others.
const AT_ONCE: i64 = 64;

/// What all sync jobs of a worker share.
pub(super) struct Syncs {
    /// Opens the URLs and keys that jobs need; without it no job runs here.
    sealer: Option<Sealer>,
    imports_at_once: usize,
    places: Semaphore,
    /// Jobs that this worker is at, or about to be.
    in_hand: Mutex<HashSet<Uuid>>,
    turns: Mutex<JoinSet<()>>,
}

impl Syncs {
    pub(super) fn new(sealer: Option<Sealer>, runs_at_once: usize, imports_at_once: usize) -> Self {
        Self {
            sealer,
            imports_at_once,
            places: Semaphore::new(runs_at_once),
            in_hand: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    fn take_in_hand(&self, job_id: Uuid) -> bool {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).insert(job_id)
    }
}

/// A job in hand, until this is dropped.
struct InHand<'a> {
    syncs: &'a Syncs,
    job_id: Uuid,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.syncs.in_hand.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job_id);
    }
}

/// `run_sync`: the wake-up is done once the run is under way beside it; what must not be lost is in the database.
pub(super) async fn handle(worker: Arc<Worker>, job: RunSync) -> Result<(), Failure> {
    attend(&worker, job.job_id);
    Ok(())
}

/// Finds runs that nobody attends, at every look.
pub(super) async fn sweep(worker: &Arc<Worker>) -> Result<(), sqlx::Error> {
    for job_id in runs::unattended(&worker.pool, AT_ONCE).await? {
        attend(worker, job_id);
    }
    Ok(())
}

/// Waits until what is under way has stopped.
pub(super) async fn ended(worker: &Worker) {
    let turns = std::mem::take(&mut *worker.syncs.turns.lock().unwrap_or_else(PoisonError::into_inner));
    turns.join_all().await;
}

/// Sees to a job beside whatever else is done, unless that is under way.
fn attend(worker: &Arc<Worker>, job_id: Uuid) {
    if worker.shutdown.is_cancelled() || !worker.syncs.take_in_hand(job_id) {
        return;
    }
    let worker = worker.clone();
    let mut turns = worker.syncs.turns.lock().unwrap_or_else(PoisonError::into_inner);
    while turns.try_join_next().is_some() {}
    turns.spawn({
        let worker = worker.clone();
        async move {
            let _in_hand = InHand { syncs: &worker.syncs, job_id };
            if let Err(error) = worker.attend(job_id).await {
                tracing::warn!(%job_id, %error, "a sync job broke off");
            }
        }
    });
}

impl Worker {
    /// Does the runs of a job until none can go on now.
    async fn attend(&self, job_id: Uuid) -> Result<(), sqlx::Error> {
        let Ok(_place) = self.syncs.places.acquire().await else { return Ok(()) };
        let Some(lease) = lease::take(&self.pool, job_id, &self.options.name, self.options.lease).await? else {
            return Ok(());
        };
        let done = async {
            while !self.shutdown.is_cancelled()
                && let Some(run) = runs::active(&self.pool, job_id).await?
            {
                if self.run_sync(&lease, &run).await? == Turn::Left {
                    break;
                }
            }
            Ok(())
        };
        let done = done.await;
        lease::release(&self.pool, &lease).await?;
        done
    }
}
