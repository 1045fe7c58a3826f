//! Who works on a reindex: one holder at a time, under a lease with a fence; and what it writes down on its way.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Phase, Reindex, columns};

/// The right to work on a reindex until it runs out.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub id: Uuid,
    /// Grows with each holder, so that a late one is told apart.
    pub fence: i64,
    /// How long each renewal lasts.
    pub term: Duration,
}

/// Reindexes that are due and nobody works on.
pub async fn unattended(pool: &PgPool, limit: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select id from tidewell.reindexes
         where status in ('queued', 'running') and leased_until < clock_timestamp() and next_try_at <= clock_timestamp()
         order by next_try_at limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Takes a reindex if nobody holds it. What its former holder had under way is in doubt from now on, for `doubt`.
pub async fn take(
    pool: &PgPool,
    id: Uuid,
    worker: &str,
    term: Duration,
    doubt: Duration,
) -> Result<Option<(Lease, Reindex)>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let fence: Option<i64> = sqlx::query_scalar(
        "update tidewell.reindexes
         set status = 'running', started_at = coalesce(started_at, clock_timestamp()), fence = fence + 1, leased_by = $2,
             leased_until = clock_timestamp() + make_interval(secs => $3)
         where id = $1 and status in ('queued', 'running') and leased_until < clock_timestamp()
         returning fence",
    )
    .bind(id)
    .bind(worker)
    .bind(term.as_secs_f64())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(fence) = fence else { return Ok(None) };
    let reindex: Reindex = sqlx::query_as(concat!("select ", columns!(), " from tidewell.reindexes where id = $1"))
        .bind(id)
        .fetch_one(&mut *tx)
        .await?;
    super::flight::doubt_all(&mut tx, &reindex, doubt).await?;
    tx.commit().await?;
    Ok(Some((Lease { id, fence, term }, reindex)))
}

/// Renews a lease; `None` where it is lost and the transaction must be rolled back, else whether somebody has asked for the end.
pub async fn renew(conn: &mut PgConnection, lease: Lease) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar(
        "update tidewell.reindexes set leased_until = clock_timestamp() + make_interval(secs => $3)
         where id = $1 and fence = $2 and status = 'running'
         returning cancel_requested",
    )
    .bind(lease.id)
    .bind(lease.fence)
    .bind(lease.term.as_secs_f64())
    .fetch_optional(conn)
    .await
}

/// Gives a reindex back: it is due again after `wait`. `reason`: what it waits for.
pub async fn release(pool: &PgPool, lease: Lease, wait: Duration, reason: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.reindexes
         set leased_until = '-infinity', next_try_at = clock_timestamp() + make_interval(secs => $3), error = $4
         where id = $1 and fence = $2",
    )
    .bind(lease.id)
    .bind(lease.fence)
    .bind(wait.as_secs_f64())
    .bind(reason)
    .execute(pool)
    .await
    .map(drop)
}

/// How far a reindex has come since it was last written down.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub phase: Phase,
    /// Documents that were written, deleted or refused.
    pub done: i64,
    /// Where the copying stands; `None`: nothing new.
    pub position: Option<&'a str>,
}

/// Writes a step down and renews the lease; false where it is lost and the transaction must be rolled back.
pub async fn step(conn: &mut PgConnection, lease: Lease, step: Step<'_>) -> Result<bool, sqlx::Error> {
    let written = sqlx::query(
        "update tidewell.reindexes
         set phase = $4, done = done + $5, total = greatest(total, done + $5), position = coalesce($6, position), error = null,
             leased_until = clock_timestamp() + make_interval(secs => $3)
         where id = $1 and fence = $2 and status = 'running'",
    )
    .bind(lease.id)
    .bind(lease.fence)
    .bind(lease.term.as_secs_f64())
    .bind(step.phase)
    .bind(step.done)
    .bind(step.position)
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Notes that the whole record has been copied; false where the lease is lost.
pub async fn copied(pool: &PgPool, lease: Lease) -> Result<bool, sqlx::Error> {
    let copied = sqlx::query("update tidewell.reindexes set position = null where id = $1 and fence = $2")
        .bind(lease.id)
        .bind(lease.fence)
        .execute(pool)
        .await?;
    Ok(copied.rows_affected() == 1)
}
