use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn setup_may_run_on_several_replicas_at_once_and_again() {
    let pool = bare_database().await;
    set_up_at_once(&pool).await;
    set_up_at_once(&pool).await;
    // Once more where apalis has nothing left to do, so that all come to our part together.
    execute(&pool, "drop index apalis.idx_tidewell_jobs_ended").await;
    set_up_at_once(&pool).await;
    enqueue(&pool, &[Probe::plain(1)]).await;
}

async fn set_up_at_once(pool: &PgPool) {
    let mut replicas = JoinSet::new();
    for _ in 0..8 {
        let pool = pool.clone();
        replicas.spawn(async move { tidewell_jobs::setup(&pool).await });
    }
    for set_up in soon("setup", replicas.join_all()).await {
        set_up.unwrap();
    }
}

#[tokio::test]
async fn what_has_ended_is_not_read_to_find_what_waits_or_is_held() {
    let filling = database().await;
    execute(
        &filling,
        "insert into apalis.jobs (id, job_type, job, status, done_at)
        select 'old ' || n, 'probe_queue', '{}', 'Done', now() from generate_series(1, 30000) n",
    )
    .await;
    execute(&filling, "vacuum analyze apalis.jobs").await;
    let pool = reconnected(filling).await;
    execute(
        &pool,
        "create table rows_read as
        select seq_tup_read + idx_tup_fetch as so_far from pg_stat_user_tables
        where relname = 'jobs'",
    )
    .await;
    let (runtime, mut starts) = probing(&pool, quick(), |_| async { Ok(()) });
    for n in 0..20 {
        enqueue(&pool, &[Probe::keyed(n, "a")]).await;
        next(&mut starts).await;
    }
    // Several heartbeats.
    until(&pool, "(select now() - started_at > '500 ms' from apalis.workers)").await;
    runtime.stop().await;
    let pool = reconnected(pool).await;
    assert!(
        holds(
            &pool,
            "(select seq_tup_read + idx_tup_fetch - so_far < 5000
        from pg_stat_user_tables, rows_read where relname = 'jobs')"
        )
        .await
    );
}

/// The counts of a connection are complete when it has gone.
async fn reconnected(pool: PgPool) -> PgPool {
    pool.close().await;
    let pool = crate::support::pool((*pool.connect_options()).clone()).await;
    until(
        &pool,
        "not exists (select from pg_stat_activity where pid <> pg_backend_pid()
        and datname = current_database() and backend_type = 'client backend')",
    )
    .await;
    pool
}
