use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tidewell_jobs::{Runtime, RuntimeOptions};
use tokio::sync::{Semaphore, mpsc::unbounded_channel};

use crate::support::*;

const A_LOST_WORKER: &str = "insert into apalis.workers (id, worker_type, storage_name, last_seen)
    values ('lost', 'probe_queue', 'test', now() - interval '1 h')";

#[tokio::test]
async fn a_job_whose_worker_was_lost_runs_again() {
    let pool = database().await;
    execute(&pool, A_LOST_WORKER).await;
    enqueue(&pool, &[Probe::keyed(1, "a")]).await;
    execute(
        &pool,
        "update apalis.jobs set status = 'Running', lock_by = 'lost', attempts = 1,
        idempotency_key = null",
    )
    .await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Ok(()) });
    assert_eq!(next(&mut starts).await.n, 1);
    until(&pool, "exists (select from apalis.jobs where status = 'Done' and attempts = 2)").await;
    runtime.stop().await;
}

#[tokio::test]
async fn a_job_that_loses_its_worker_each_time_dies() {
    let pool = database().await;
    execute(&pool, A_LOST_WORKER).await;
    enqueue(&pool, &[Probe::plain(1)]).await;
    execute(&pool, "update apalis.jobs set status = 'Running', lock_by = 'lost', attempts = 3").await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Ok(()) });
    until(
        &pool,
        "exists (select from apalis.jobs where status = 'Killed' and attempts = 3
        and done_at is not null and lock_by is null)",
    )
    .await;
    runtime.stop().await;
    assert!(starts.recv().await.is_none());
}

/// As after a connection that broke between a claim's commit and its answer.
#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_by_the_worker_itself() {
    let pool = database().await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Ok(()) });
    until(&pool, "exists (select from apalis.workers)").await;
    execute(&pool, CLAIMED).await;
    assert_eq!(next(&mut starts).await.n, 7);
    runtime.stop().await;
}

#[tokio::test]
async fn a_busy_worker_still_says_that_it_lives() {
    let pool = database().await;
    let gate = Arc::new(Semaphore::new(0));
    let (started, mut starts) = unbounded_channel();
    let replicas = [(); 2].map(|()| {
        let held = gate.clone();
        let handler = reporting(started.clone(), move |_| {
            let held = held.clone();
            async move {
                held.acquire().await.unwrap().forget();
                Ok(())
            }
        });
        Running::start(Runtime::new(pool.clone(), quick()).handle(handler))
    });
    // Both are full, and more wait.
    let jobs: Vec<_> = (0..12).map(Probe::plain).collect();
    enqueue(&pool, &jobs).await;
    let mut runs = BTreeMap::<i64, usize>::new();
    for _ in 0..8 {
        *runs.entry(next(&mut starts).await.n).or_default() += 1;
    }
    // Longer than it takes to be taken for lost.
    execute(&pool, "create table full_since as select now() as at").await;
    until(&pool, "(select now() - at > '1200 ms' from full_since)").await;
    assert!(starts.try_recv().is_err(), "a live worker's job was started again");
    assert!(holds(&pool, "(select min(last_seen) > now() - interval '500 ms' from apalis.workers)").await);
    gate.add_permits(12);
    until(&pool, "12 = (select count(*) from apalis.jobs where status = 'Done' and attempts = 1)").await;
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test]
async fn a_run_that_lost_its_row_does_not_end_it() {
    let pool = database().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let (runtime, mut starts) = probing(&pool, by_notification(), move |_| {
        let held = held.clone();
        async move {
            held.acquire().await.unwrap().forget();
            Ok(())
        }
    });
    enqueue(&pool, &[Probe::plain(1)]).await;
    next(&mut starts).await;
    execute(&pool, A_LOST_WORKER).await;
    execute(&pool, "update apalis.jobs set lock_by = 'lost', attempts = 2").await;
    gate.add_permits(1);
    runtime.stop().await;
    assert!(holds(&pool, "exists (select from apalis.jobs where status = 'Running' and attempts = 2)").await);
}

/// As after an outage: the first worker to be back finds all others silent.
#[tokio::test]
async fn a_worker_that_was_cut_off_itself_accuses_no_other() {
    let pool = database().await;
    let options =
        RuntimeOptions { heartbeat: Duration::from_millis(600), stale_after: Duration::from_secs(4), ..quick() };
    let (runtime, mut starts) = probing(&pool, options, |_| async { Ok(()) });
    until(&pool, "exists (select from apalis.workers)").await;
    execute(&pool, A_LOST_WORKER).await;
    enqueue(&pool, &[Probe::plain(1)]).await;
    next(&mut starts).await;
    until(&pool, "exists (select from apalis.jobs where status = 'Done')").await;

    execute(
        &pool,
        "update apalis.workers set last_seen = now() - interval '1 h';
        update apalis.jobs set status = 'Running', lock_by = 'lost'",
    )
    .await;
    const SEEN: &str = "exists (select from apalis.workers
        where id <> 'lost' and last_seen > now() - interval '1 s')";
    until(&pool, SEEN).await;
    // The other one is back as well.
    execute(
        &pool,
        "update apalis.workers set last_seen = now() where id = 'lost';
        create table second_heartbeat as select max(last_seen) as after from apalis.workers",
    )
    .await;
    until(&pool, "exists (select from apalis.workers, second_heartbeat where last_seen > after)").await;
    runtime.stop().await;
    assert!(holds(&pool, "exists (select from apalis.jobs where lock_by = 'lost')").await);
    assert!(starts.recv().await.is_none(), "a live worker's job was started again");
}
