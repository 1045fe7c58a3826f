use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tidewell_jobs::{Job, Runtime, RuntimeOptions};
use tokio::{
    sync::{Semaphore, mpsc::unbounded_channel},
    time::timeout,
};

use crate::support::*;

#[tokio::test]
async fn an_idle_queue_is_woken_by_each_enqueue() {
    let pool = database().await;
    let (runtime, mut starts) = probing(&pool, by_notification(), |_| async { Ok(()) });
    for n in 0..200 {
        enqueue(&pool, &[Probe::plain(n)]).await;
        let started = timeout(Duration::from_secs(5), starts.recv()).await;
        assert_eq!(started.expect("the worker slept").unwrap().n, n);
    }
    runtime.stop().await;
}

/// Each enqueue comes while the worker is busy fetching, running or acknowledging the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_notification_that_comes_during_a_fetch_is_not_lost() {
    let pool = database().await;
    let (runtime, mut starts) = probing(&pool, by_notification(), |_| async { Ok(()) });
    for round in 0..300_u64 {
        enqueue(&pool, &[Probe::plain(1)]).await;
        tokio::time::sleep(Duration::from_micros(round * 10)).await;
        enqueue(&pool, &[Probe::plain(2)]).await;
        for _ in 0..2 {
            let started = timeout(Duration::from_secs(5), starts.recv()).await;
            started.expect("the worker slept");
        }
    }
    runtime.stop().await;
}

#[tokio::test]
async fn polling_finds_what_nothing_announced() {
    let pool = database().await;
    execute(&pool, "drop trigger notify_workers on apalis.jobs").await;
    let options = RuntimeOptions { poll: Duration::from_millis(50), ..by_notification() };
    let (runtime, mut starts) = probing(&pool, options, |_| async { Ok(()) });
    until(&pool, LISTENING).await;
    enqueue(&pool, &[Probe::plain(1)]).await;
    next(&mut starts).await;
    runtime.stop().await;
}

#[derive(Serialize, Deserialize)]
struct Neighbour;

impl Job for Neighbour {
    const QUEUE: &'static str = "neighbour_queue";
    const CONCURRENCY: usize = 1;
    const MAX_ATTEMPTS: i32 = 1;

    fn coalesce_key(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn a_saturated_queue_holds_up_no_other() {
    let pool = database().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let (started, mut starts) = unbounded_channel();
    let (passed, mut passes) = unbounded_channel();
    let runtime = Runtime::new(pool.clone(), by_notification())
        .handle(reporting(started, move |_| {
            let held = held.clone();
            async move {
                held.acquire().await.unwrap().forget();
                Ok(())
            }
        }))
        .handle(move |_: Neighbour| {
            let _ = passed.send(());
            async { Ok(()) }
        });
    let runtime = Running::start(runtime);
    let jobs: Vec<_> = (0..500).map(Probe::plain).collect();
    enqueue(&pool, &jobs).await;
    for _ in 0..4 {
        next(&mut starts).await;
    }
    let mut conn = pool.acquire().await.unwrap();
    tidewell_jobs::enqueue(&mut conn, &[Neighbour]).await.unwrap();
    soon("the neighbour", passes.recv()).await.unwrap();
    assert!(starts.try_recv().is_err(), "more ran at a time than may");
    runtime.begin_stop();
    gate.add_permits(4);
    runtime.stop().await;
}
