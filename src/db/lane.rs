//! Lanes: who works on which, and which have work.

use std::time::Duration;

use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

/// A lane of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromRow)]
pub struct Lane {
    pub index_id: Uuid,
    pub lane: i16,
}

/// The right to work on a lane until it runs out. `fence` grows with each lease, so that a late holder is told apart.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub lane: Lane,
    pub fence: i64,
    /// How long each renewal lasts.
    pub term: Duration,
}

/// Takes the lane if nobody holds it. Its former holder, if it still lives, finds its fence too old at its next settlement.
pub async fn lease(pool: &PgPool, lane: Lane, worker: &str, term: Duration) -> Result<Option<Lease>, sqlx::Error> {
    let fence = sqlx::query_scalar(
        "update tidewell.lanes
         set fence = fence + 1, leased_by = $3, leased_until = clock_timestamp() + make_interval(secs => $4)
         where index_id = $1 and lane = $2 and leased_until < clock_timestamp()
         returning fence",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
    .bind(worker)
    .bind(term.as_secs_f64())
    .fetch_optional(pool)
    .await?;
    Ok(fence.map(|fence| Lease { lane, fence, term }))
}

/// Gives the lane back, unless somebody else has it by now.
pub async fn release(pool: &PgPool, lease: Lease) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.lanes set leased_until = '-infinity' where index_id = $1 and lane = $2 and fence = $3")
        .bind(lease.lane.index_id)
        .bind(lease.lane.lane)
        .bind(lease.fence)
        .execute(pool)
        .await
        .map(drop)
}

/// Gives back every lane that workers whose names begin with `prefix` hold; how many that were. All of them must be dead.
pub async fn release_all(pool: &PgPool, prefix: &str) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "update tidewell.lanes set leased_until = '-infinity'
         where starts_with(leased_by, $1) and leased_until > clock_timestamp()",
    )
    .bind(prefix)
    .execute(pool)
    .await
    .map(|released| released.rows_affected())
}

/// Renews the lease and counts `settled` rows; false where the lease is lost and the transaction must be rolled back.
pub async fn renew(conn: &mut PgConnection, lease: Lease, settled: i64) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query(
        "update tidewell.lanes
         set leased_until = clock_timestamp() + make_interval(secs => $4), settled = settled + $5
         where index_id = $1 and lane = $2 and fence = $3",
    )
    .bind(lease.lane.index_id)
    .bind(lease.lane.lane)
    .bind(lease.fence)
    .bind(lease.term.as_secs_f64())
    .bind(settled)
    .execute(conn)
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// Whether a lane has rows that were never tried and can be now.
pub async fn has_work(pool: &PgPool, lane: Lane) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from tidewell.outbox
                        where index_id = $1 and lane = $2 and not retrying
                          and version < coalesce((select min(version) from tidewell.filter_deletes where index_id = $1),
                                                 9223372036854775807))",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
    .fetch_one(pool)
    .await
}

/// Lanes that have something to do and nobody who does it, some of them where there are many. The scan that correctness rests on:
/// it trusts no message.
pub async fn unattended(pool: &PgPool, limit: i64) -> Result<Vec<Lane>, sqlx::Error> {
    sqlx::query_as(
        "with behind as (
             select index_id
             from (select index_id, sum(accepted) as accepted from tidewell.backlogs group by index_id) as accepted
             join (select index_id, sum(settled) as settled from tidewell.lanes group by index_id) as settled using (index_id)
             where accepted > settled
         )
         select index_id, lane
         from behind join tidewell.lanes using (index_id)
         where leased_until < clock_timestamp()
           and (exists (select from tidewell.outbox
                        where outbox.index_id = lanes.index_id and outbox.lane = lanes.lane and not retrying)
             or exists (select from tidewell.outbox
                        where outbox.index_id = lanes.index_id and outbox.lane = lanes.lane and retrying
                          and next_retry_at <= clock_timestamp()))
         order by random()
         limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}
