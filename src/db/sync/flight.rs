//! Requests of a job that are under way.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{lease::Lease, overlay};

/// A flight that is waited for no longer.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    pub id: Uuid,
    /// A request of it was not answered in full, and what that carried was sent again: it may still take effect.
    pub is_in_doubt: bool,
}

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

/// Removes a flight as it is settled; while a request of it may still take effect, its documents are looked after.
pub async fn close(conn: &mut PgConnection, job_id: Uuid, settled: Settled) -> Result<(), sqlx::Error> {
    if settled.is_in_doubt {
        return overlay::doubt_flight(conn, job_id, settled.id).await;
    }
    sqlx::query("delete from tidewell.sync_flights where id = $1").bind(settled.id).execute(conn).await.map(drop)
}
