use std::time::Duration;

use tidewell_jobs::Runtime;
use tokio::sync::mpsc::unbounded_channel;

use crate::support::*;

#[tokio::test]
async fn a_tick_runs_once_however_many_replicas_tick() {
    let pool = database().await;
    let (started, mut starts) = unbounded_channel();
    let replicas = [(); 3].map(|()| {
        let handler = reporting(started.clone(), |_| async { Ok(()) });
        let runtime =
            Runtime::new(pool.clone(), quick()).handle(handler).every(Duration::from_secs(1), || Probe::plain(1));
        Running::start(runtime)
    });
    for _ in 0..4 {
        next(&mut starts).await;
    }
    for replica in replicas {
        replica.stop().await;
    }
    // An id begins with its tick's time, ten characters of it.
    assert!(
        holds(
            &pool,
            "(select count(*) >= 4 and count(*) = count(distinct left(id, 10))
        from apalis.jobs)"
        )
        .await
    );
    assert!(holds(&pool, "(select bool_and(attempts <= 1) from apalis.jobs)").await);
}

#[tokio::test]
async fn ticks_that_wait_coalesce() {
    let pool = database().await;
    let runtime = Runtime::new(pool.clone(), quick())
        .every(Duration::from_secs(1), || Probe::keyed(1, "tick"))
        .every(Duration::from_secs(1), || Probe::plain(1));
    let runtime = Running::start(runtime);
    until(&pool, "3 = (select count(*) from apalis.jobs where idempotency_key is null)").await;
    assert!(
        holds(
            &pool,
            "1 = (select count(*) from apalis.jobs
        where idempotency_key is not null)"
        )
        .await
    );
    runtime.stop().await;
}
