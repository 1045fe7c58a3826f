use std::{collections::HashMap, fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use apalis::prelude::{WorkerBuilder, WorkerBuilderExt, WorkerContext};
use futures::{FutureExt, future::BoxFuture};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Failure, Job, cron,
    queue::Queue,
    run::{Handler, run},
    store::Store,
    wake::{Bell, listen},
};

/// Before a worker that ended unbidden is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// How long a stop waits for the sign-off; then others find out.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// How the workers of a process behave.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// How often a queue is looked at though nothing was announced. It bounds how late a retry or an
    /// unannounced wake-up starts.
    pub poll: Duration,
    /// How often a worker says that it lives.
    pub heartbeat: Duration,
    /// When a worker that said nothing is taken for lost. Several heartbeats.
    pub stale_after: Duration,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1), heartbeat: Duration::from_secs(5), stale_after: Duration::from_secs(20) }
    }
}

type Start = Box<dyn FnOnce(&Runtime, CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// The workers and the clock of one process: what is registered here, and nothing else, runs.
///
/// It outlives its database: while that is away handlers in flight go on, and claiming, listening
/// and ticking resume by themselves.
pub struct Runtime {
    pool: PgPool,
    options: RuntimeOptions,
    instance: String,
    bells: HashMap<&'static str, Arc<Bell>>,
    workers: Vec<Start>,
    ticks: Vec<BoxFuture<'static, ()>>,
}

impl Runtime {
    pub fn new(pool: PgPool, options: RuntimeOptions) -> Self {
        Self { pool, options, instance: instance(), bells: HashMap::new(), workers: Vec::new(), ticks: Vec::new() }
    }

    /// Runs the jobs of `J`'s queue by this handler.
    pub fn handle<J, F, Fut>(mut self, handler: F) -> Self
    where
        J: Job,
        F: Fn(J) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let handler: Handler<J> = Arc::new(move |job| handler(job).boxed());
        let bell = Arc::<Bell>::default();
        self.bells.insert(J::QUEUE, bell.clone());
        self.workers.push(Box::new(move |runtime, shutdown| {
            let store = Store {
                pool: runtime.pool.clone(),
                queue: J::QUEUE,
                worker: format!("{}-{}", J::QUEUE, runtime.instance).into(),
                stale_after: runtime.options.stale_after,
                bell,
                holdings: Default::default(),
            };
            work(store, handler, runtime.options.clone(), shutdown).boxed()
        }));
        self
    }

    /// Enqueues what `make` makes every `period`, in whole seconds, once however many replicas tick.
    pub fn every<J, F>(mut self, period: Duration, make: F) -> Self
    where
        J: Job,
        F: Fn() -> J + Send + Sync + 'static,
    {
        self.ticks.push(cron::tick(self.pool.clone(), period, make).boxed());
        self
    }

    /// Runs until `shutdown` is cancelled and the handlers in flight have ended.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut beside = JoinSet::new();
        beside.spawn(listen(self.pool.clone(), self.bells.clone()));
        for tick in std::mem::take(&mut self.ticks) {
            beside.spawn(tick);
        }
        let mut workers = JoinSet::new();
        for start in std::mem::take(&mut self.workers) {
            workers.spawn(start(&self, shutdown.clone()));
        }
        shutdown.cancelled().await;
        workers.join_all().await;
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("instance", &self.instance)
            .field("queues", &self.bells.keys())
            .finish_non_exhaustive()
    }
}

/// Runs a queue's worker until the shutdown, again and again should it end before.
async fn work<J: Job>(store: Store, handler: Handler<J>, options: RuntimeOptions, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let context = WorkerContext::new(&store.worker);
        let worker = {
            let (store, handler, shutdown) = (store.clone(), handler.clone(), shutdown.clone());
            WorkerBuilder::new(&context)
                .backend(Queue::new(store.clone(), options.poll, options.heartbeat))
                .concurrency(J::CONCURRENCY)
                .build(move |claim| {
                    // Boxed, or the compiler can't prove that the worker is `Send`.
                    run(store.clone(), handler.clone(), shutdown.clone(), claim).boxed()
                })
        };
        let mut running = AssertUnwindSafe(worker.run()).catch_unwind().boxed();
        let ended = tokio::select! {
            biased;
            ended = &mut running => ended,
            () = shutdown.cancelled() => {
                // It refuses only where the worker has not started, and so has nothing to stop.
                let _ = context.stop();
                running.await
            }
        };
        if shutdown.is_cancelled() {
            break;
        }
        tracing::error!(queue = J::QUEUE, ?ended, "the worker ended; starting it again");
        tokio::select! {
            () = tokio::time::sleep(RESTART_AFTER) => {}
            () = shutdown.cancelled() => {}
        }
    }
    match tokio::time::timeout(LEAVE_WITHIN, store.leave()).await {
        Ok(Ok(())) => {}
        failed => tracing::warn!(queue = J::QUEUE, ?failed, "the worker could not sign off"),
    }
}

/// Host, process and a random part: a name is never used twice, not by a reused process id either.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "unknown",
        host => host,
    };
    format!("{host}-{}-{}", std::process::id(), Uuid::new_v4().simple())
}
