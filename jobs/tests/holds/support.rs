use std::{future::Future, time::Duration};

use serde::{Deserialize, Serialize};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tidewell_jobs::{Failure, Job, Runtime, RuntimeOptions};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::servers::servers;

/// Nothing here takes this long unless it never happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A job for tests, with a key where one is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) n: i64,
    pub(crate) key: Option<String>,
}

impl Probe {
    pub(crate) fn plain(n: i64) -> Self {
        Self { n, key: None }
    }

    pub(crate) fn keyed(n: i64, key: &str) -> Self {
        Self { n, key: Some(key.to_owned()) }
    }
}

impl Job for Probe {
    const QUEUE: &'static str = "probe_queue";
    const CONCURRENCY: usize = 4;
    const MAX_ATTEMPTS: i32 = 3;

    fn coalesce_key(&self) -> Option<String> {
        self.key.clone()
    }

    fn backoff(attempt: i32) -> Duration {
        Duration::from_millis(150) * attempt.unsigned_abs()
    }
}

/// A database of its own, set up.
pub(crate) async fn database() -> PgPool {
    let pool = bare_database().await;
    tidewell_jobs::setup(&pool).await.unwrap();
    pool
}

pub(crate) async fn bare_database() -> PgPool {
    let url = servers().await.fresh_database().await;
    pool(url.parse::<PgConnectOptions>().unwrap()).await
}

pub(crate) async fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(20)
        .acquire_timeout(Duration::from_secs(2))
        .connect_with(options)
        .await
        .unwrap()
}

/// A row that the table calls the worker's own, though it never got to know of it.
pub(crate) const CLAIMED: &str = "insert into apalis.jobs
        (id, job_type, job, status, attempts, max_attempts, lock_by)
    select apalis.generate_ulid(), 'probe_queue', '{\"n\": 7, \"key\": null}', 'Running', 1, 3, id
    from apalis.workers";

/// The runtime listens, and no bell rings any more of its own accord.
pub(crate) const LISTENING: &str = "exists (select from pg_stat_activity
    where datname = current_database() and query like 'LISTEN%' and state = 'idle')";

/// Quick to notice a lost worker.
pub(crate) fn quick() -> RuntimeOptions {
    RuntimeOptions {
        poll: Duration::from_millis(50),
        heartbeat: Duration::from_millis(100),
        stale_after: Duration::from_millis(500),
    }
}

/// Woken by notifications alone.
pub(crate) fn by_notification() -> RuntimeOptions {
    RuntimeOptions {
        poll: Duration::from_secs(600),
        heartbeat: Duration::from_secs(600),
        stale_after: Duration::from_secs(6000),
    }
}

/// A runtime that runs until it is stopped.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(runtime: Runtime) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(runtime.run(shutdown.clone()));
        Self { shutdown, task }
    }

    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        soon("the runtime to stop", self.task).await.unwrap();
    }
}

/// Runs probes by a handler that reports each start, and then does as told.
pub(crate) fn probing<F, Fut>(pool: &PgPool, options: RuntimeOptions, act: F) -> (Running, UnboundedReceiver<Probe>)
where
    F: Fn(Probe) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (started, starts) = unbounded_channel();
    let runtime = Runtime::new(pool.clone(), options).handle(reporting(started, act));
    (Running::start(runtime), starts)
}

pub(crate) fn reporting<F, Fut>(
    started: UnboundedSender<Probe>,
    act: F,
) -> impl Fn(Probe) -> Fut + Send + Sync + 'static
where
    F: Fn(Probe) -> Fut + Send + Sync + 'static,
{
    move |probe: Probe| {
        let _ = started.send(probe.clone());
        act(probe)
    }
}

pub(crate) async fn enqueue(pool: &PgPool, jobs: &[Probe]) {
    let mut tx = pool.begin().await.unwrap();
    tidewell_jobs::enqueue(&mut tx, jobs).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub(crate) async fn next(starts: &mut UnboundedReceiver<Probe>) -> Probe {
    soon("a start", starts.recv()).await.unwrap()
}

/// Waits for a state of the database that nothing announces.
pub(crate) async fn until(pool: &PgPool, condition: &'static str) {
    soon(condition, async {
        while !holds(pool, condition).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) async fn holds(pool: &PgPool, condition: &'static str) -> bool {
    sqlx::query_scalar::<_, Option<bool>>(sqlx::AssertSqlSafe(format!("select ({condition})")))
        .fetch_one(pool)
        .await
        .unwrap()
        .unwrap_or(false)
}

pub(crate) async fn execute(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}
