use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::support::*;

const A_HANDLER_WAITS_FOR_A_WRITER: &str = "exists (select from pg_locks
    where locktype = 'advisory' and not granted and mode = 'ExclusiveLock'
    and database = (select oid from pg_database where datname = current_database()))";

#[tokio::test]
async fn wake_ups_of_one_key_that_wait_are_one_row() {
    let pool = database().await;
    for _ in 0..3 {
        enqueue(&pool, &[Probe::keyed(1, "a"), Probe::keyed(2, "b"), Probe::keyed(3, "a")]).await;
    }
    enqueue(&pool, &[Probe::plain(1), Probe::plain(1)]).await;
    assert!(holds(&pool, "2 = (select count(*) from apalis.jobs where idempotency_key is not null)").await);
    assert!(holds(&pool, "2 = (select count(*) from apalis.jobs where idempotency_key is null)").await);
}

#[tokio::test]
async fn a_wake_up_that_was_rolled_back_never_was() {
    let pool = database().await;
    let mut tx = pool.begin().await.unwrap();
    tidewell_jobs::enqueue(&mut tx, &[Probe::keyed(1, "a")]).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(holds(&pool, "0 = (select count(*) from apalis.jobs)").await);
}

#[tokio::test]
async fn a_wake_up_that_runs_takes_no_others_in() {
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
    enqueue(&pool, &[Probe::keyed(1, "a")]).await;
    assert_eq!(next(&mut starts).await.n, 1);
    enqueue(&pool, &[Probe::keyed(2, "a")]).await;
    assert_eq!(next(&mut starts).await.n, 2);
    gate.add_permits(2);
    until(&pool, "2 = (select count(*) from apalis.jobs where status = 'Done')").await;
    runtime.stop().await;
}

#[tokio::test]
async fn a_handler_sees_the_writes_of_all_that_coalesced_into_its_wake_up() {
    let pool = database().await;
    execute(&pool, "create table note (n bigint)").await;
    enqueue(&pool, &[Probe::keyed(1, "a")]).await;

    let mut writer = pool.begin().await.unwrap();
    sqlx::query("insert into note values (1)").execute(&mut *writer).await.unwrap();
    tidewell_jobs::enqueue(&mut writer, &[Probe::keyed(2, "a")]).await.unwrap();

    let reader = pool.clone();
    let (runtime, mut starts) = probing(&pool, by_notification(), move |_| {
        let reader = reader.clone();
        async move {
            assert!(holds(&reader, "1 = (select count(*) from note)").await);
            Ok(())
        }
    });
    until(&pool, A_HANDLER_WAITS_FOR_A_WRITER).await;
    assert!(starts.try_recv().is_err(), "started before the writer had committed");
    writer.commit().await.unwrap();
    assert_eq!(next(&mut starts).await.n, 1);
    until(&pool, "1 = (select count(*) from apalis.jobs where status = 'Done')").await;
    assert!(holds(&pool, "1 = (select count(*) from apalis.jobs)").await, "it had not coalesced");
    runtime.stop().await;
}

#[tokio::test]
async fn a_wake_up_that_meets_a_key_while_it_is_freed_is_a_row_of_its_own() {
    let pool = database().await;
    enqueue(&pool, &[Probe::keyed(1, "a")]).await;
    let mut claim = pool.begin().await.unwrap();
    sqlx::query("update apalis.jobs set status = 'Running', idempotency_key = null")
        .execute(&mut *claim)
        .await
        .unwrap();
    let writer = tokio::spawn({
        let pool = pool.clone();
        async move { enqueue(&pool, &[Probe::keyed(2, "a")]).await }
    });
    until(
        &pool,
        "exists (select from pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock' and query like '%insert into apalis.jobs%')",
    )
    .await;
    claim.commit().await.unwrap();
    soon("the writer", writer).await.unwrap();
    assert!(holds(&pool, "2 = (select count(*) from apalis.jobs)").await);
}

#[tokio::test]
async fn a_writer_that_does_not_end_delays_a_run_and_is_made_up_for() {
    let pool = database().await;
    enqueue(&pool, &[Probe::keyed(1, "a")]).await;
    let mut stuck = pool.begin().await.unwrap();
    tidewell_jobs::enqueue(&mut stuck, &[Probe::keyed(2, "a")]).await.unwrap();

    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Ok(()) });
    next(&mut starts).await;
    until(&pool, "1 = (select count(*) from apalis.jobs where status = 'Pending')").await;
    stuck.commit().await.unwrap();
    next(&mut starts).await;
    until(&pool, "1 = (select count(*) from apalis.jobs where status = 'Done')").await;
    runtime.stop().await;
}

#[tokio::test]
async fn keys_in_any_order_do_not_deadlock() {
    let pool = database().await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let pool = pool.clone();
        writers.spawn(async move {
            for round in 0..25 {
                let mut jobs: Vec<_> = (0..8).map(|key| Probe::keyed(0, &format!("{round}:{key}"))).collect();
                if writer % 2 == 0 {
                    jobs.reverse();
                }
                enqueue(&pool, &jobs).await;
            }
        });
    }
    soon("the writers", writers.join_all()).await;
    assert!(holds(&pool, "200 = (select count(*) from apalis.jobs)").await);
}

/// Writers that overlap without end, on few keys: every write is seen by a run, and none waits for
/// the storm to pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_or_starved_in_a_storm_of_writers() {
    const WRITERS: i64 = 10;
    const WRITES: i64 = 60;
    let pool = database().await;
    execute(
        &pool,
        "create table note (
        lane text not null, seen boolean not null default false,
        written timestamptz not null default clock_timestamp(), latency interval)",
    )
    .await;

    let reader = pool.clone();
    let (runtime, starts) = probing(&pool, by_notification(), move |probe| {
        let reader = reader.clone();
        async move {
            sqlx::query(
                "update note set seen = true, latency = clock_timestamp() - written
                         where lane = $1 and not seen",
            )
            .bind(probe.key)
            .execute(&reader)
            .await?;
            Ok(())
        }
    });
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write_notes(pool.clone(), writer, WRITES));
    }
    soon("the writers", writers.join_all()).await;
    until(&pool, "not exists (select from note where not seen)").await;
    assert!(holds(&pool, "600 = (select count(*) from note)").await);
    assert!(holds(&pool, "(select max(latency) < '1 s' from note)").await, "a write waited for the storm to pass");
    assert!(starts.len() > 10);
    runtime.stop().await;
}

async fn write_notes(pool: PgPool, writer: i64, writes: i64) {
    for write in 0..writes {
        let lane = format!("lane {}", (writer + write) % 2);
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("insert into note (lane) values ($1)").bind(&lane).execute(&mut *tx).await.unwrap();
        tidewell_jobs::enqueue(&mut tx, &[Probe::keyed(write, &lane)]).await.unwrap();
        // The overlap that makes a storm.
        tokio::time::sleep(Duration::from_millis(3)).await;
        tx.commit().await.unwrap();
    }
}
