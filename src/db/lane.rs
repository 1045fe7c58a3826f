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

/// The right to work on lanes of an index until it runs out. Each lane's `fence` grows with each lease, so that a late holder is told
/// apart.
#[derive(Clone, Debug)]
pub struct Lease {
    pub index_id: Uuid,
    /// In their order.
    pub lanes: Vec<i16>,
    /// Of each lane.
    pub fences: Vec<i64>,
    /// How long each renewal lasts.
    pub term: Duration,
}

impl Lease {
    /// `None` of no lane.
    fn new(index_id: Uuid, mut leased: Vec<(i16, i64)>, term: Duration) -> Option<Self> {
        leased.sort_unstable();
        let (lanes, fences): (Vec<_>, Vec<_>) = leased.into_iter().unzip();
        (!lanes.is_empty()).then_some(Self { index_id, lanes, fences, term })
    }

    /// Its lanes, each by itself.
    pub fn each(&self) -> impl Iterator<Item = Lane> {
        self.lanes.iter().map(|lane| Lane { index_id: self.index_id, lane: *lane })
    }

    pub fn is_of_several(&self) -> bool {
        self.lanes.len() > 1
    }
}

/// The lanes `$2` of an index that are held under the fences `$3`, locked in their order, as everybody does who wants several.
macro_rules! held {
    () => {
        "held as materialized (
             select lane from tidewell.lanes
             where index_id = $1 and lane = any($2) and fence = ($3::bigint[])[array_position($2::smallint[], lane)]
             order by lane for update
         )"
    };
}
pub(super) use held;

/// Those lanes, their lease renewed for `$4` seconds and `$5` settled rows counted; none where one of them is lost.
macro_rules! renewed {
    () => {
        concat!(
            held!(),
            ", renewed as (
                 update tidewell.lanes
                 set leased_until = clock_timestamp() + make_interval(secs => $4),
                     -- Of all lanes together: only their sum is asked for.
                     settled = settled + case lanes.lane when ($2::smallint[])[1] then $5 else 0 end
                 from held
                 where index_id = $1 and lanes.lane = held.lane
                   and (select count(*) from held) = cardinality($2::smallint[])
                 returning wanted_until > clock_timestamp() as is_wanted
             )"
        )
    };
}
pub(super) use renewed;

/// What nobody holds of the lanes of index `$1`, nor has asked for.
macro_rules! free {
    () => {
        "index_id = $1 and leased_until < clock_timestamp() and wanted_until < clock_timestamp()"
    };
}

/// Whether this lane of index `$1` has rows that were never tried; with an offset, more than so many.
macro_rules! has_rows {
    ($lane:literal) => {
        has_rows!($lane, "")
    };
    ($lane:literal, $offset:literal) => {
        concat!(
            "exists (select from tidewell.outbox
                     where outbox.index_id = $1 and outbox.lane = ",
            $lane,
            " and not retrying ",
            $offset,
            ")"
        )
    };
}

/// Whether one of the lanes of index `$1` has as little to do as goes with others: at most `$2` rows, of an index without vectors, for
/// those are made side by side.
macro_rules! is_little {
    () => {
        concat!(
            "(exists (select from tidewell.indexes where id = $1 and embedding is null) and not ",
            has_rows!("lanes.lane", "offset $2"),
            ")"
        )
    };
}

/// A lane that waits for somebody.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct Waiting {
    pub lane: i16,
    /// It has little to do, and goes with others.
    pub is_little: bool,
}

/// Lanes of an index with rows that were never tried, which nobody holds, nor has asked for; first those with little to do, as
/// [`lease`] takes them together.
pub async fn waiting(pool: &PgPool, index_id: Uuid, few: i64) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select lane, ",
        is_little!(),
        " as is_little from tidewell.lanes where ",
        free!(),
        " and ",
        has_rows!("lanes.lane"),
        " order by is_little desc, lane"
    ))
    .bind(index_id)
    .bind(few)
    .fetch_all(pool)
    .await
}

/// Takes the lane if nobody holds it, nor has asked for it, and with it, where it has little to do, those others of its index that have
/// as little: what one import can carry, one is to carry. Where somebody is at the lane in this very moment, it is not waited for; of the
/// others some may be had all the same. Its former holder, if it still lives, finds its fence too old at its next settlement.
pub async fn lease(
    pool: &PgPool,
    lane: Lane,
    few: i64,
    worker: &str,
    term: Duration,
) -> Result<Option<Lease>, sqlx::Error> {
    let leased = sqlx::query_as(concat!(
        "with free as materialized (
             select lane from tidewell.lanes
             where ",
        free!(),
        " and (lane = $3 or not ",
        has_rows!("$3", "offset $2"),
        " and ",
        is_little!(),
        " and ",
        has_rows!("lanes.lane"),
        ")
             order by lane for update skip locked
         )
         update tidewell.lanes
         set fence = fence + 1, leased_by = $4, leased_until = clock_timestamp() + make_interval(secs => $5)
         from free
         where index_id = $1 and lanes.lane = free.lane
         returning lanes.lane, fence"
    ))
    .bind(lane.index_id)
    .bind(few)
    .bind(lane.lane)
    .bind(worker)
    .bind(term.as_secs_f64())
    .fetch_all(pool)
    .await?;
    Ok(Lease::new(lane.index_id, leased, term))
}

/// Gives the lanes back, but those that somebody else has by now.
pub async fn release(pool: &PgPool, lease: &Lease) -> Result<(), sqlx::Error> {
    sqlx::query(concat!(
        "with ",
        held!(),
        " update tidewell.lanes set leased_until = '-infinity' from held where index_id = $1 and lanes.lane = held.lane"
    ))
    .bind(lease.index_id)
    .bind(&lease.lanes)
    .bind(&lease.fences)
    .execute(pool)
    .await
    .map(drop)
}

/// Whether a lease that was renewed may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    Kept,
    /// Somebody asks for the lanes: they are to be given back soon.
    Wanted,
}

impl Renewed {
    /// `None` where not all lanes of the lease were renewed.
    pub(super) fn told(lease: &Lease, renewed: usize, is_wanted: bool) -> Option<Self> {
        (renewed == lease.lanes.len()).then_some(if is_wanted { Self::Wanted } else { Self::Kept })
    }
}

/// Renews the lease and counts `settled` rows; `None` where one of its lanes is lost and the transaction must be rolled back.
pub async fn renew(conn: &mut PgConnection, lease: &Lease, settled: i64) -> Result<Option<Renewed>, sqlx::Error> {
    let renewed: Vec<bool> = sqlx::query_scalar(concat!("with ", renewed!(), " select is_wanted from renewed"))
        .bind(lease.index_id)
        .bind(&lease.lanes)
        .bind(&lease.fences)
        .bind(lease.term.as_secs_f64())
        .bind(settled)
        .fetch_all(conn)
        .await?;
    Ok(Renewed::told(lease, renewed.len(), renewed.contains(&true)))
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
pub async fn lease_all(
    pool: &PgPool,
    index_id: Uuid,
    worker: &str,
    term: Duration,
) -> Result<Option<Lease>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    lock_all(&mut tx, index_id).await?;
    let leased = sqlx::query_as(
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
    Ok(Lease::new(index_id, leased, term))
}

/// Renews the lease of lanes that were asked for; false where one is lost and the transaction must be rolled back.
pub async fn renew_wanted(conn: &mut PgConnection, lease: &Lease) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query(concat!(
        "with ",
        held!(),
        " update tidewell.lanes
          set leased_until = clock_timestamp() + make_interval(secs => $4),
              wanted_until = clock_timestamp() + make_interval(secs => $4)
          from held
          where index_id = $1 and lanes.lane = held.lane"
    ))
    .bind(lease.index_id)
    .bind(&lease.lanes)
    .bind(&lease.fences)
    .bind(lease.term.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(renewed.rows_affected() == lease.lanes.len() as u64)
}

/// Gives the lanes of a lease back, where there is one, and asks for none of the index any more.
pub async fn release_wanted(conn: &mut PgConnection, index_id: Uuid, lease: Option<&Lease>) -> Result<(), sqlx::Error> {
    sqlx::query(concat!(
        "with ",
        held!(),
        " update tidewell.lanes
          set wanted_until = '-infinity',
              leased_until = case when lane in (select lane from held) then '-infinity' else leased_until end
          where index_id = $1"
    ))
    .bind(index_id)
    .bind(lease.map_or(&[][..], |lease| &lease.lanes))
    .bind(lease.map_or(&[][..], |lease| &lease.fences))
    .execute(conn)
    .await
    .map(drop)
}

/// What is left of lanes.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct Left {
    /// Rows that were never tried and can be now.
    pub has_work: bool,
    /// A delete by filter of their index waits: maybe for what they have just ended.
    pub is_barred: bool,
}

/// Looks at what is left of the lanes of a lease.
pub async fn left(pool: &PgPool, lease: &Lease) -> Result<Left, sqlx::Error> {
    sqlx::query_as(
        "select exists (select from tidewell.outbox
                        where index_id = $1 and lane = any($2) and not retrying
                          and version < coalesce(bar, 9223372036854775807)) as has_work,
                bar is not null as is_barred
         from (select min(version) as bar from tidewell.filter_deletes where index_id = $1) as bars",
    )
    .bind(lease.index_id)
    .bind(&lease.lanes)
    .fetch_one(pool)
    .await
}

/// Lanes that have something to do and nobody who does it, some of them where there are many. The scan that correctness rests on:
/// it trusts no message, and no counter. It steps from index to index within the outbox's own key, so it costs what waits, however
/// many indexes there are.
pub async fn unattended(pool: &PgPool, limit: i64) -> Result<Vec<Lane>, sqlx::Error> {
    sqlx::query_as(
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
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}
