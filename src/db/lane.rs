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

/// Takes the lane if nobody holds it, nor has asked for it. Its former holder, if it still lives, finds its fence too old at its next
/// settlement.
pub async fn lease(pool: &PgPool, lane: Lane, worker: &str, term: Duration) -> Result<Option<Lease>, sqlx::Error> {
    let fence = sqlx::query_scalar(
        "update tidewell.lanes
         set fence = fence + 1, leased_by = $3, leased_until = clock_timestamp() + make_interval(secs => $4)
         where index_id = $1 and lane = $2 and leased_until < clock_timestamp() and wanted_until < clock_timestamp()
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

/// Whether a lease that was renewed may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    Kept,
    /// Somebody asks for the lane: it is to be given back soon.
    Wanted,
}

impl Renewed {
    pub(super) fn told(is_wanted: bool) -> Self {
        if is_wanted { Self::Wanted } else { Self::Kept }
    }
}

/// Renews the lease and counts `settled` rows; `None` where the lease is lost and the transaction must be rolled back.
pub async fn renew(conn: &mut PgConnection, lease: Lease, settled: i64) -> Result<Option<Renewed>, sqlx::Error> {
    let is_wanted: Option<bool> = sqlx::query_scalar(
        "update tidewell.lanes
         set leased_until = clock_timestamp() + make_interval(secs => $4), settled = settled + $5
         where index_id = $1 and lane = $2 and fence = $3
         returning wanted_until > clock_timestamp()",
    )
    .bind(lease.lane.index_id)
    .bind(lease.lane.lane)
    .bind(lease.fence)
    .bind(lease.term.as_secs_f64())
    .bind(settled)
    .fetch_optional(conn)
    .await?;
    Ok(is_wanted.map(Renewed::told))
}

/// Locks the lanes of an index until the transaction ends: whatever settles in them has committed, and nothing else can.
pub async fn lock_all(conn: &mut PgConnection, index_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("select from tidewell.lanes where index_id = $1 order by lane for update")
        .bind(index_id)
        .execute(conn)
        .await
        .map(drop)
}

/// Asks for all lanes of an index, for `term`: nobody takes one anew, and who holds one gives it back.
pub async fn want_all(pool: &PgPool, index_id: Uuid, term: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.lanes set wanted_until = clock_timestamp() + make_interval(secs => $2) where index_id = $1",
    )
    .bind(index_id)
    .bind(term.as_secs_f64())
    .execute(pool)
    .await
    .map(drop)
}

/// Takes all lanes of an index, or none, where somebody holds one: for who has asked for them.
pub async fn lease_all(pool: &PgPool, index_id: Uuid, worker: &str, term: Duration) -> Result<Vec<Lease>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    lock_all(&mut tx, index_id).await?;
    let leased: Vec<(i16, i64)> = sqlx::query_as(
        "update tidewell.lanes
         set fence = fence + 1, leased_by = $2, leased_until = clock_timestamp() + make_interval(secs => $3)
         where index_id = $1 and not exists (select from tidewell.lanes
                                             where index_id = $1 and leased_until >= clock_timestamp())
         returning lane, fence",
    )
    .bind(index_id)
    .bind(worker)
    .bind(term.as_secs_f64())
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(leased.into_iter().map(|(lane, fence)| Lease { lane: Lane { index_id, lane }, fence, term }).collect())
}

/// Renews the leases of all lanes of an index; false where one is lost and the transaction must be rolled back.
pub async fn renew_all(conn: &mut PgConnection, leases: &[Lease]) -> Result<bool, sqlx::Error> {
    let Some(first) = leases.first() else { return Ok(false) };
    let renewed = sqlx::query(
        "update tidewell.lanes
         set leased_until = clock_timestamp() + make_interval(secs => $4),
             wanted_until = clock_timestamp() + make_interval(secs => $4)
         from unnest($2::smallint[], $3::bigint[]) as lease (lane, fence)
         where index_id = $1 and lanes.lane = lease.lane and lanes.fence = lease.fence",
    )
    .bind(first.lane.index_id)
    .bind(leases.iter().map(|lease| lease.lane.lane).collect::<Vec<_>>())
    .bind(leases.iter().map(|lease| lease.fence).collect::<Vec<_>>())
    .bind(first.term.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(renewed.rows_affected() == leases.len() as u64)
}

/// Gives all lanes of an index back, those that are held by these leases, and asks for none any more.
pub async fn release_wanted(conn: &mut PgConnection, index_id: Uuid, leases: &[Lease]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.lanes
         set wanted_until = '-infinity',
             leased_until = case when exists (select from unnest($2::smallint[], $3::bigint[]) as lease (lane, fence)
                                              where lease.lane = lanes.lane and lease.fence = lanes.fence)
                                 then '-infinity' else leased_until end
         where index_id = $1",
    )
    .bind(index_id)
    .bind(leases.iter().map(|lease| lease.lane.lane).collect::<Vec<_>>())
    .bind(leases.iter().map(|lease| lease.fence).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

/// What is left of a lane.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct Left {
    /// Rows that were never tried and can be now.
    pub has_work: bool,
    /// A delete by filter of its index waits: maybe for what this lane has just ended.
    pub is_barred: bool,
}

/// Looks at what is left of a lane.
pub async fn left(pool: &PgPool, lane: Lane) -> Result<Left, sqlx::Error> {
    sqlx::query_as(
        "select exists (select from tidewell.outbox
                        where index_id = $1 and lane = $2 and not retrying
                          and version < coalesce(bar, 9223372036854775807)) as has_work,
                bar is not null as is_barred
         from (select min(version) as bar from tidewell.filter_deletes where index_id = $1) as bars",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
    .fetch_one(pool)
    .await
}

/// Lanes that have something to do and nobody who does it, some of them where there are many. The scan that correctness rests on:
/// it trusts no message, and no counter. It steps from index to index within the outbox's own key, so it costs what waits, however
/// many indexes there are.
pub async fn unattended(pool: &PgPool, limit: i64) -> Result<Vec<Lane>, sqlx::Error> {
    let unattended = sqlx::query_as(
        "with recursive behind as (
             (select index_id from tidewell.outbox order by index_id limit 1)
             union all
             select (select index_id from tidewell.outbox where index_id > behind.index_id order by index_id limit 1)
             from behind where index_id is not null
         ), shuffled as materialized (
             select index_id from behind where index_id is not null order by random()
         )
         select index_id, lane
         from shuffled
         cross join lateral (
             select lane from tidewell.lanes
             where lanes.index_id = shuffled.index_id and leased_until < clock_timestamp()
               and (exists (select from tidewell.outbox
                            where outbox.index_id = lanes.index_id and outbox.lane = lanes.lane and not retrying)
                 or exists (select from tidewell.outbox
                            where outbox.index_id = lanes.index_id and outbox.lane = lanes.lane and retrying
                              and next_retry_at <= clock_timestamp()))
             -- Keeps the lanes of other indexes out: without it, all of them may be read first.
             offset 0
         ) as unattended
         limit $1",
    );
    // Planned anew each time: a plan made while the outbox was empty reads all of it when it is full.
    unattended.persistent(false).bind(limit).fetch_all(pool).await
}
