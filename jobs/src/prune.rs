use std::time::Duration;

use sqlx::PgPool;

/// Rows deleted by one statement: short transactions, so that neither locks nor vacuum wait.
const BATCH: i64 = 5_000;
/// Dead jobs are kept this many times longer than done ones, for whoever looks into them.
const DEAD_KEPT_FOR: u32 = 24;

/// What a [`prune`] deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    pub jobs: u64,
    pub workers: u64,
}

/// Deletes the jobs that were done at least `keep` ago, the dead ones after 24 times that, and the
/// workers that have not been seen for `keep` and hold no job.
///
/// `keep` must be longer than replicas' clocks may differ: a tick that comes late from one of them is
/// recognized by the row that the first one left.
pub async fn prune(pool: &PgPool, keep: Duration) -> Result<Pruned, sqlx::Error> {
    let mut pruned = Pruned::default();
    for (status, keep) in [("Done", keep), ("Killed", keep * DEAD_KEPT_FOR)] {
        loop {
            let deleted = sqlx::query(
                "delete from apalis.jobs where id in (
                     select id from apalis.jobs
                     where done_at < now() - make_interval(secs => $1) and status = $2
                     limit $3 for update skip locked
                 )",
            )
            .bind(keep.as_secs_f64())
            .bind(status)
            .bind(BATCH)
            .execute(pool)
            .await?
            .rows_affected();
            pruned.jobs += deleted;
            if deleted < BATCH.unsigned_abs() {
                break;
            }
        }
    }
    pruned.workers = sqlx::query(
        "delete from apalis.workers w
         where last_seen < now() - make_interval(secs => $1)
           and not exists (select from apalis.jobs where lock_by = w.id)",
    )
    .bind(keep.as_secs_f64())
    .execute(pool)
    .await?
    .rows_affected();
    Ok(pruned)
}
