//! Table sync: scheduled runs, each reading a source in ranges of keys and bringing a collection in line with it.

mod collection;
mod compare;
mod live;
mod pass;
mod run;
mod scan;
pub(super) mod schedule;
mod slots;

use std::sync::Arc;

use metrics::counter;
use tidewell_jobs::{Failure, RunSync};
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::run::Turn;
pub(super) use self::slots::mind_slots;
use super::{SyncOptions, Worker, import, stop, turns::Turns};
use crate::{
    db::sync::{
        job,
        lease::{self, Lease},
        live as live_jobs, run as runs,
    },
    domain::{seal::Sealer, sync_job::Mode},
    metrics::SYNC_ROWS,
};

/// Jobs that one look takes on: the next look takes the others.
const AT_ONCE: i64 = 64;

/// What all sync jobs of a worker share.
pub(super) struct Syncs {
    /// Opens the URLs and keys that jobs need; without it no job runs here.
    sealer: Option<Sealer>,
    imports_at_once: usize,
    /// Bytes of its log that a source may hold back for a job that nobody follows.
    live_wal_limit: i64,
    places: Semaphore,
    /// Jobs that this worker is at, or about to be.
    turns: Turns,
}

impl Syncs {
    pub(super) fn new(sealer: Option<Sealer>, options: &SyncOptions) -> Self {
        Self {
            sealer,
            imports_at_once: options.imports_at_once,
            live_wal_limit: options.live_wal_limit,
            places: Semaphore::new(options.runs_at_once),
            turns: Turns::default(),
        }
    }
}

/// Counts rows of a run or a live job.
fn count_rows(outcomes: [(&'static str, i64); 5]) {
    for (outcome, rows) in outcomes {
        counter!(SYNC_ROWS.name, "outcome" => outcome).increment(rows.unsigned_abs());
    }
}

/// `run_sync`: the wake-up is done once the run is under way beside it; what must not be lost is in the database.
pub(super) async fn handle(worker: Arc<Worker>, job: RunSync) -> Result<(), Failure> {
    attend(&worker, job.job_id);
    Ok(())
}

/// Finds runs that nobody attends, at every look.
pub(super) async fn sweep(worker: &Arc<Worker>) -> Result<(), sqlx::Error> {
    if worker.syncs.sealer.is_none() {
        // Whoever can read the URLs and keys does the runs.
        return Ok(());
    }
    let jobs = runs::unattended(&worker.pool, AT_ONCE).await?;
    let live = live_jobs::unattended(&worker.pool, AT_ONCE).await?;
    for job_id in jobs.into_iter().chain(live) {
        attend(worker, job_id);
    }
    Ok(())
}

/// Waits until what is under way has stopped.
pub(super) async fn ended(worker: &Worker) {
    worker.syncs.turns.ended().await;
}

/// Sees to a job beside whatever else is done, unless that is under way.
fn attend(worker: &Arc<Worker>, job_id: Uuid) {
    if worker.syncs.sealer.is_none() || worker.shutdown.is_cancelled() {
        return;
    }
    let attended = worker.clone();
    worker.syncs.turns.take(job_id, async move {
        if let Err(error) = attended.attend(job_id).await {
            tracing::warn!(%job_id, %error, "a sync job broke off");
        }
    });
}

impl Worker {
    /// Follows a live job, or does the runs of another until none can go on now.
    async fn attend(&self, job_id: Uuid) -> Result<(), sqlx::Error> {
        let Some(job) = job::find(&self.pool, job_id).await? else { return Ok(()) };
        let is_live = job.spec.mode == Mode::Live && job.spec.enabled;
        // Whoever follows takes a place for its comparisons alone.
        let _place = match is_live {
            true => None,
            false => self.syncs.places.acquire().await.ok(),
        };
        let Some(lease) = lease::take(&self.pool, job_id, &self.options.name, self.options.lease).await? else {
            return Ok(());
        };
        let done = match is_live {
            true => self.follow(&lease).await,
            false => self.do_runs(&lease).await,
        };
        lease::release(&self.pool, &lease).await?;
        done
    }

    async fn do_runs(&self, lease: &Lease) -> Result<(), sqlx::Error> {
        while !self.shutdown.is_cancelled()
            && let Some(run) = runs::active(&self.pool, lease.job_id).await?
            && self.run_sync(lease, &run).await? == Turn::Ended
        {}
        Ok(())
    }
}
