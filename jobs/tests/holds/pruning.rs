use std::time::Duration;

use tidewell_jobs::{Pruned, prune};

use crate::support::*;

#[tokio::test]
async fn what_ended_long_ago_is_deleted_and_the_rest_stays() {
    let pool = database().await;
    execute(
        &pool,
        "
        insert into apalis.workers (id, worker_type, storage_name, last_seen) values
            ('gone', 'probe_queue', 'test', now() - interval '2 h'),
            ('gone but holding', 'probe_queue', 'test', now() - interval '2 h'),
            ('here', 'probe_queue', 'test', now());
        insert into apalis.jobs (id, job_type, job, status, done_at, lock_by)
        select 'old ' || n, 'probe_queue', '{}', 'Done', now() - interval '2 h', null
        from generate_series(1, 12000) n;
        insert into apalis.jobs (id, job_type, job, status, done_at, lock_by) values
            ('new', 'probe_queue', '{}', 'Done', now(), null),
            ('dead', 'probe_queue', '{}', 'Killed', now() - interval '2 h', null),
            ('long dead', 'probe_queue', '{}', 'Killed', now() - interval '25 h', null),
            ('held', 'probe_queue', '{}', 'Running', null, 'gone but holding'),
            ('waiting', 'probe_queue', '{}', 'Pending', null, null);",
    )
    .await;
    let pruned = prune(&pool, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(pruned, Pruned { jobs: 12_001, workers: 1 });
    assert!(
        holds(
            &pool,
            "array['dead', 'held', 'new', 'waiting']
        = (select array_agg(id order by id) from apalis.jobs)"
        )
        .await
    );
    assert!(
        holds(
            &pool,
            "array['gone but holding', 'here']
        = (select array_agg(id order by id) from apalis.workers)"
        )
        .await
    );
}
