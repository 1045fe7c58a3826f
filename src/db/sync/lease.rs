//! Who works on a job: one holder at a time, under a lease with a fence.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// The right to work on a job until it runs out.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub job_id: Uuid,
    /// Grows with each holder, so that a late one is told apart.
    pub fence: i64,
    /// How long each renewal lasts.
    pub term: Duration,
}

/// Takes a job if nobody holds it. What its former holder had under way is in doubt from now on: it becomes overlay.
pub async fn take(pool: &PgPool, job_id: Uuid, worker: &str, term: Duration) -> Result<Option<Lease>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let fence: Option<i64> = sqlx::query_scalar(
        "insert into tidewell.sync_states as state (job_id, fence, leased_by, leased_until)
         select id, 1, $2, clock_timestamp() + make_interval(secs => $3)
         from public.typesense_sync_jobs where id = $1
         on conflict (job_id) do update
         set fence = state.fence + 1, leased_by = excluded.leased_by, leased_until = excluded.leased_until
         where state.leased_until < clock_timestamp()
         returning fence",
    )
    .bind(job_id)
    .bind(worker)
    .bind(term.as_secs_f64())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(fence) = fence else { return Ok(None) };
    super::overlay::doubt_flights(&mut tx, job_id).await?;
    tx.commit().await?;
    Ok(Some(Lease { job_id, fence, term }))
}

/// Renews a lease; false where it is lost and the transaction must be rolled back.
pub async fn renew(conn: &mut PgConnection, lease: &Lease) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query(
        "update tidewell.sync_states set leased_until = clock_timestamp() + make_interval(secs => $3)
         where job_id = $1 and fence = $2",
    )
    .bind(lease.job_id)
    .bind(lease.fence)
    .bind(lease.term.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// Gives a job back, unless somebody else has it by now.
pub async fn release(pool: &PgPool, lease: &Lease) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.sync_states set leased_until = '-infinity' where job_id = $1 and fence = $2")
        .bind(lease.job_id)
        .bind(lease.fence)
        .execute(pool)
        .await
        .map(drop)
}
