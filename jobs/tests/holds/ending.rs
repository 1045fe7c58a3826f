use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use tidewell_jobs::Failure;
use tokio::sync::Semaphore;

use crate::support::*;

#[tokio::test]
async fn a_job_that_ran_is_done_and_held_by_nobody() {
    let pool = database().await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Ok(()) });
    enqueue(&pool, &[Probe::plain(1)]).await;
    next(&mut starts).await;
    until(
        &pool,
        "exists (select from apalis.jobs where status = 'Done' and attempts = 1
        and done_at is not null and lock_by is null)",
    )
    .await;
    runtime.stop().await;
}

#[tokio::test]
async fn a_failed_job_waits_longer_each_time_and_dies_of_its_last_attempt() {
    let pool = database().await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Err(Failure::Retry("no luck".into())) });
    enqueue(&pool, &[Probe::plain(1)]).await;
    let mut waits = Vec::new();
    next(&mut starts).await;
    for _ in 1..3 {
        let before = Instant::now();
        next(&mut starts).await;
        waits.push(before.elapsed());
    }
    assert!(waits[0] >= Duration::from_millis(140), "{waits:?}");
    assert!(waits[1] >= Duration::from_millis(290), "{waits:?}");
    until(
        &pool,
        "exists (select from apalis.jobs where status = 'Killed' and attempts = 3
        and last_result = '{\"Err\": \"no luck\"}')",
    )
    .await;
    runtime.stop().await;
    assert!(starts.recv().await.is_none(), "a dead job was started");
}

#[tokio::test]
async fn the_wait_for_a_retry_is_kept_in_the_row() {
    let pool = database().await;
    execute(&pool, "create table first_due as select now() as at").await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Err(Failure::Retry("no luck".into())) });
    enqueue(&pool, &[Probe::plain(1)]).await;
    next(&mut starts).await;
    runtime.stop().await;
    assert!(
        holds(
            &pool,
            "exists (select from apalis.jobs, first_due where status = 'Failed'
        and attempts = 1 and run_at > first_due.at + interval '150 ms')"
        )
        .await
    );
}

#[tokio::test]
async fn a_panic_is_a_failure_and_the_worker_goes_on() {
    let pool = database().await;
    let (runtime, mut starts) = probing(&pool, quick(), |probe| async move {
        assert!(probe.n != 1, "one is not welcome");
        Ok(())
    });
    enqueue(&pool, &[Probe::plain(1), Probe::plain(2)]).await;
    for _ in 0..4 {
        next(&mut starts).await;
    }
    until(
        &pool,
        "exists (select from apalis.jobs where status = 'Killed' and attempts = 3
        and last_result->>'Err' like 'panicked: one is not welcome%')",
    )
    .await;
    until(&pool, "exists (select from apalis.jobs where status = 'Done')").await;
    runtime.stop().await;
}

#[tokio::test]
async fn a_failure_for_good_is_not_tried_again() {
    let pool = database().await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Err(Failure::Fail("never".into())) });
    enqueue(&pool, &[Probe::plain(1)]).await;
    next(&mut starts).await;
    until(&pool, "exists (select from apalis.jobs where status = 'Killed' and attempts = 1)").await;
    runtime.stop().await;
    assert!(starts.recv().await.is_none());
}

#[tokio::test]
async fn a_snooze_spends_no_attempt() {
    let pool = database().await;
    let starts_so_far = Arc::new(AtomicI32::new(0));
    let (runtime, mut starts) = probing(&pool, quick(), move |_| {
        let start = starts_so_far.fetch_add(1, Ordering::Relaxed);
        async move {
            match start {
                0..6 => Err(Failure::Snooze(Duration::from_millis(10))),
                _ => Ok(()),
            }
        }
    });
    enqueue(&pool, &[Probe::plain(1)]).await;
    for _ in 0..7 {
        next(&mut starts).await;
    }
    until(&pool, "exists (select from apalis.jobs where status = 'Done' and attempts = 1)").await;
    runtime.stop().await;
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_dies_alone() {
    let pool = database().await;
    execute(
        &pool,
        "insert into apalis.jobs (id, job_type, job, max_attempts)
        values (apalis.generate_ulid(), 'probe_queue', 'not json', 3)",
    )
    .await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Ok(()) });
    enqueue(&pool, &[Probe::plain(2)]).await;
    assert_eq!(next(&mut starts).await.n, 2);
    until(
        &pool,
        "exists (select from apalis.jobs where status = 'Killed'
        and last_result->>'Err' like 'the payload can''t be read%')",
    )
    .await;
    runtime.stop().await;
}

#[tokio::test]
async fn a_stop_lets_handlers_end_and_starts_no_others() {
    let pool = database().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let (runtime, mut starts) = probing(&pool, quick(), move |_| {
        let held = held.clone();
        async move {
            held.acquire().await.unwrap().forget();
            Ok(())
        }
    });
    let jobs: Vec<_> = (0..6).map(Probe::plain).collect();
    enqueue(&pool, &jobs).await;
    for _ in 0..4 {
        next(&mut starts).await;
    }
    runtime.begin_stop();
    gate.add_permits(6);
    runtime.stop().await;
    assert!(starts.recv().await.is_none(), "a job was started after the stop");
    assert!(holds(&pool, "4 = (select count(*) from apalis.jobs where status = 'Done')").await);
    assert!(
        holds(
            &pool,
            "2 = (select count(*) from apalis.jobs
        where status = 'Pending' and attempts = 0 and lock_by is null)"
        )
        .await
    );
}

#[tokio::test]
async fn a_stop_gives_back_what_was_claimed_and_not_started() {
    let pool = database().await;
    let (runtime, mut starts) = probing(&pool, by_notification(), |_| async { Ok(()) });
    until(&pool, "exists (select from apalis.workers)").await;
    execute(&pool, CLAIMED).await;
    runtime.stop().await;
    assert!(starts.recv().await.is_none());
    assert!(
        holds(
            &pool,
            "exists (select from apalis.jobs
        where status = 'Pending' and attempts = 0 and lock_by is null)"
        )
        .await
    );
}
