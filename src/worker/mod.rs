//! What each job does: lanes are drained into Typesense, doubted requests are read back, finished rows are pruned.

mod batch;
mod careful;
mod decide;
mod drain;
mod embedding;
mod error;
mod gate;
mod import;
mod payload;
mod pipeline;
mod project_index;
mod project_lane;
mod prune_finished;
mod read_back_flights;
mod reader;
mod reconcile;
mod reindex;
mod repay;
mod resolve_filter_delete;
mod send;
mod stop;
mod story;
mod sweep;
mod sync;
mod target;
mod turns;
mod verify_indexes;

use std::{sync::Arc, time::Duration};

use ::metrics::gauge;
use sqlx::PgPool;
use tidewell_jobs::{
    EnqueueDueSyncs, ProjectIndex, ProjectLane, PruneFinished, ReadBackFlights, ResolveFilterDelete, RunReindex,
    RunSync, Runtime, RuntimeOptions, VerifyIndexes,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    db::{self, flight::Lifetime, prune::Keep},
    domain::{backoff::Backoff, seal::Sealer},
    embed::Embedders,
    metrics, typesense,
};

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Unique among the living.
    pub name: String,
    /// Rows of one import at most.
    pub import_lines: usize,
    /// Bytes of one import's bodies at most; a single larger document goes alone.
    pub import_bytes: usize,
    /// Imports under way at one time at most.
    pub max_concurrency: usize,
    /// How long an import's answer is waited for.
    pub import_timeout: Duration,
    /// How long a lane is held without a renewal; longer than twice `import_timeout`.
    pub lease: Duration,
    /// For how long after its timeout a lost request may still be alive.
    pub doubt: Duration,
    pub backoff: Backoff,
    /// The time between two scans for lanes that nobody attends.
    pub poll: Duration,
    pub keep: Keep,
    /// For how long a version of an index that was live is kept for a rollback.
    pub versions_kept: Duration,
    /// How often each index is compared with its collection; `None`: never.
    pub verify_every: Option<Duration>,
    pub sync: SyncOptions,
}

impl Options {
    /// How long a request may live. It may wait for a place as long as for its answer.
    fn lifetime(&self) -> Lifetime {
        Lifetime { timeout: 2 * self.import_timeout, doubt: self.doubt }
    }
}

/// How a worker does table syncs.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// How often due syncs are looked for; `None`: this worker does not look for them.
    pub schedule_every: Option<Duration>,
    /// Jobs that are run side by side.
    pub runs_at_once: usize,
    /// Imports of one run side by side.
    pub imports_at_once: usize,
    /// Bytes of its log that a source may hold back for a live job that nobody follows.
    pub live_wal_limit: i64,
}

/// What all jobs of one worker process share.
struct Worker {
    pool: PgPool,
    typesense: typesense::Client,
    embedders: Arc<Embedders>,
    options: Options,
    gate: gate::Gate,
    /// Lanes worked on at one time; each holds two batches in memory at most.
    drains: Semaphore,
    targets: target::Targets,
    careful: careful::Careful,
    trouble: embedding::Trouble,
    /// Reindexes that this worker is at.
    reindexes: turns::Turns,
    syncs: sync::Syncs,
    shutdown: CancellationToken,
}

impl Worker {
    /// Whether the backend takes writes: it says so within the time of an import, or it does not.
    async fn backend_is_well(&self) -> bool {
        tokio::time::timeout(self.options.import_timeout, self.typesense.takes_writes()).await.unwrap_or(false)
    }
}

/// Runs every job until `shutdown`, then ends what is under way.
pub async fn run(
    pool: PgPool,
    typesense: typesense::Client,
    sealer: Option<Sealer>,
    embedders: Arc<Embedders>,
    options: Options,
    shutdown: CancellationToken,
) {
    let (poll, schedule_every) = (options.poll, options.sync.schedule_every);
    let verifies = options.verify_every.is_some();
    let worker = Arc::new(Worker {
        gate: gate::Gate::new(options.max_concurrency),
        // A few more than imports: while one lane settles, another may send.
        drains: Semaphore::new(options.max_concurrency + 2),
        targets: target::Targets::default(),
        careful: careful::Careful::default(),
        trouble: embedding::Trouble::default(),
        reindexes: turns::Turns::default(),
        syncs: sync::Syncs::new(sealer, &options.sync),
        shutdown: shutdown.clone(),
        pool: pool.clone(),
        typesense,
        embedders,
        options,
    });
    show(&worker);
    let mut runtime = Runtime::new(pool, RuntimeOptions { poll, ..RuntimeOptions::default() })
        .handle::<ProjectIndex, _, _>({
            let worker = worker.clone();
            move |job| project_index::handle(worker.clone(), job)
        })
        .handle::<ProjectLane, _, _>({
            let worker = worker.clone();
            move |job| project_lane::handle(worker.clone(), job)
        })
        .handle::<ResolveFilterDelete, _, _>({
            let worker = worker.clone();
            move |_| resolve_filter_delete::handle(worker.clone())
        })
        .handle::<ReadBackFlights, _, _>({
            let worker = worker.clone();
            move |_| read_back_flights::handle(worker.clone())
        })
        .handle::<PruneFinished, _, _>({
            let worker = worker.clone();
            move |_| prune_finished::handle(worker.clone())
        })
        .handle::<RunSync, _, _>({
            let worker = worker.clone();
            move |job| sync::handle(worker.clone(), job)
        })
        .handle::<RunReindex, _, _>({
            let worker = worker.clone();
            move |job| reindex::handle(worker.clone(), job)
        })
        .handle::<EnqueueDueSyncs, _, _>({
            let worker = worker.clone();
            move |_| sync::schedule::handle(worker.clone())
        })
        .handle::<VerifyIndexes, _, _>({
            let worker = worker.clone();
            move |_| verify_indexes::handle(worker.clone())
        })
        .every(ReadBackFlights::EVERY, || ReadBackFlights)
        .every(PruneFinished::EVERY, || PruneFinished);
    if let Some(every) = schedule_every {
        runtime = runtime.every(every, || EnqueueDueSyncs);
    }
    if verifies {
        runtime = runtime.every(VerifyIndexes::EVERY, || VerifyIndexes);
    }
    tokio::join!(
        runtime.run(shutdown),
        sweep::sweep(worker.clone()),
        worker.gate.attend(&worker),
        sync::mind_slots(&worker),
        heartbeat(&worker),
    );
    sync::ended(&worker).await;
    worker.reindexes.ended().await;
    if let Err(error) = db::worker::leave(&worker.pool, &worker.options.name).await {
        tracing::warn!(%error, "could not sign off");
    }
}

/// Shows how far the gate is open and how much of the pool is used, at each scrape, for as long as the worker works.
fn show(worker: &Arc<Worker>) {
    let watched = Arc::downgrade(worker);
    metrics::at_scrape(move || {
        let Some(worker) = watched.upgrade() else { return };
        let (_, _, limit) = worker.gate.state();
        gauge!(metrics::IMPORTS_IN_FLIGHT.name).set(worker.gate.in_use() as f64);
        gauge!(metrics::IMPORT_CONCURRENCY.name).set(limit as f64);
    });
    metrics::show_pool("work", &worker.pool);
}

/// Says every few seconds that this worker lives and how its backend does.
async fn heartbeat(worker: &Worker) {
    const EVERY: Duration = Duration::from_secs(2);
    loop {
        let (breaker, reason, concurrency) = worker.gate.state();
        let trouble = worker.trouble.current();
        let beat = db::worker::Beat {
            name: &worker.options.name,
            backend: worker.typesense.addresses(),
            breaker,
            breaker_reason: reason.as_deref(),
            concurrency: concurrency.try_into().unwrap_or(i32::MAX),
            embedding_trouble: trouble.as_deref(),
        };
        if let Err(error) = db::worker::beat(&worker.pool, &beat).await {
            tracing::warn!(%error, "could not write down that this worker lives");
        }
        if tokio::time::timeout(EVERY, worker.shutdown.cancelled()).await.is_ok() {
            return;
        }
    }
}
