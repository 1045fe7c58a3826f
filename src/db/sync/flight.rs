//! Requests of a job that are under way.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::lease::Lease;

/// Commits which documents a holder is about to write or delete; `None` where it has lost the job.
pub async fn open(
    pool: &PgPool,
    lease: &Lease,
    collection: &str,
    document_ids: &[&str],
    doubted_for: Duration,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "insert into tidewell.sync_flights (id, job_id, collection, document_ids, fence, doubted_until)
         select $1, job_id, $4, $5, fence, clock_timestamp() + make_interval(secs => $6)
         from tidewell.sync_states where job_id = $2 and fence = $3 for update
         returning id",
    )
    .bind(Uuid::now_v7())
    .bind(lease.job_id)
    .bind(lease.fence)
    .bind(collection)
    .bind(document_ids)
    .bind(doubted_for.as_secs_f64())
    .fetch_optional(pool)
    .await
}

/// Removes a flight whose answer has been reconciled.
pub async fn close(conn: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from tidewell.sync_flights where id = $1").bind(id).execute(conn).await.map(drop)
}
