//! Flights: which versions a request to Typesense carries, written down before it is sent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::lane::{Lease, Renewed, held, renewed};

/// A request about to be sent.
#[derive(Clone, Debug)]
pub struct Flight {
    pub id: Uuid,
    pub index_id: Uuid,
    pub collection: String,
    pub document_ids: Vec<String>,
    pub versions: Vec<i64>,
}

/// Until when a request may live: its sender waits `timeout` for an answer; nothing of it can arrive after `doubt` more.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    pub timeout: Duration,
    pub doubt: Duration,
}

/// Writes a flight down, renews the lease under which its request is to be sent, and counts `settled` rows; committed before the request is
/// sent, always. `None` where a lane of the lease is lost: no flight is written down, and a transaction must be rolled back.
pub async fn open(
    executor: impl PgExecutor<'_>,
    lease: &Lease,
    settled: i64,
    flight: &Flight,
    worker: &str,
    life: Lifetime,
) -> Result<Option<Renewed>, sqlx::Error> {
    let (renewed, is_wanted): (i64, bool) = sqlx::query_as(concat!(
        "with ",
        renewed!(),
        ", told as (
             select count(*) as lanes, coalesce(bool_or(is_wanted), false) as is_wanted from renewed
         ), opened as (
             insert into tidewell.flights
                 (id, index_id, collection, document_ids, versions, worker, deadline, doubted_until, next_read_at)
             select $6, $1, $7, $8, $9, $10, deadline, deadline + make_interval(secs => $12), deadline
             from told, (select clock_timestamp() + make_interval(secs => $11) as deadline) as life
             where lanes > 0
         )
         select lanes, is_wanted from told"
    ))
    .bind(lease.index_id)
    .bind(&lease.lanes)
    .bind(&lease.fences)
    .bind(lease.term.as_secs_f64())
    .bind(settled)
    .bind(flight.id)
    .bind(&flight.collection)
    .bind(&flight.document_ids)
    .bind(&flight.versions)
    .bind(worker)
    .bind(life.timeout.as_secs_f64())
    .bind(life.doubt.as_secs_f64())
    .fetch_one(executor)
    .await?;
    Ok(Renewed::told(lease, usize::try_from(renewed).unwrap_or_default(), is_wanted))
}

/// Notes that a flight was looked at after it was outlived: an answer to its request does not count from now on. One more look
/// follows: a node that was itself asleep may have done what the lost request asked just after it answered this look.
pub async fn confirm(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.flights set confirmed = true where id = $1").bind(id).execute(pool).await.map(drop)
}

/// Forgets a flight that was looked at for the last time.
pub async fn forget(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from tidewell.flights where id = $1").bind(id).execute(pool).await.map(drop)
}

/// Forgets a flight whose request was answered in full, or never left. False where it was given up: its answer must not count.
pub async fn close(conn: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let closed =
        sqlx::query("delete from tidewell.flights where id = $1 and not confirmed").bind(id).execute(conn).await?;
    Ok(closed.rows_affected() == 1)
}

/// Has a flight stay as it is until the transaction ends; false where it was given up.
pub async fn keep(conn: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query("select from tidewell.flights where id = $1 and not confirmed for share");
    Ok(kept.bind(id).execute(conn).await?.rows_affected() == 1)
}

/// Whether a request to a collection is under way, or in doubt.
pub async fn is_collection_in_doubt(pool: &PgPool, index_id: Uuid, collection: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from tidewell.flights where index_id = $1 and collection = $2)")
        .bind(index_id)
        .bind(collection)
        .fetch_one(pool)
        .await
}

/// A flight that outlived its deadline: what it carried may have landed late, or may yet.
#[derive(Debug, FromRow)]
pub struct Doubted {
    pub id: Uuid,
    pub index_id: Uuid,
    pub collection: String,
    pub document_ids: Vec<String>,
    pub worker: String,
    pub doubted_until: DateTime<Utc>,
    /// Nothing of it can be alive any more.
    pub outlived: bool,
    /// It was looked at since it was outlived.
    pub confirmed: bool,
    /// An answer that counts may yet come to another request about one of its documents, which this one may have overwritten: the
    /// record may not have it yet.
    pub is_overlapped: bool,
}

/// Takes the next doubted flight whose documents are due to be read back, and sets when they are due again. Two readers don't
/// get the same one. `every` is the time between looks.
pub async fn next_doubted(pool: &PgPool, every: Duration, timeout: Duration) -> Result<Option<Doubted>, sqlx::Error> {
    sqlx::query_as(
        "update tidewell.flights
         set next_read_at = clock_timestamp() + make_interval(secs => $1)
         where id = (select id from tidewell.flights where next_read_at <= clock_timestamp()
                     order by next_read_at limit 1 for update skip locked)
         returning id, index_id, collection, document_ids, worker, doubted_until,
                   doubted_until <= clock_timestamp() as outlived, confirmed,
                   exists (select from tidewell.flights as other
                           where other.index_id = flights.index_id and other.id <> flights.id
                             and other.document_ids && flights.document_ids and not other.confirmed
                             -- One that was opened later can't have been overwritten.
                             and other.deadline < flights.doubted_until + make_interval(secs => $2))
                       as is_overlapped",
    )
    .bind(every.as_secs_f64())
    .bind(timeout.as_secs_f64())
    .fetch_optional(pool)
    .await
}

/// What the record says of a document.
#[derive(Debug, FromRow)]
pub struct Record {
    pub document_id: String,
    pub version: i64,
    /// The newest version known, dead ones too.
    pub accepted_version: i64,
    /// Whether there is a document to find.
    pub is_there: bool,
}

/// The records of documents; those that have none are left out.
pub async fn records(pool: &PgPool, index_id: Uuid, document_ids: &[String]) -> Result<Vec<Record>, sqlx::Error> {
    sqlx::query_as(
        "select document_id, version, accepted_version, body is not null as is_there from tidewell.documents
         where index_id = $1 and document_id = any($2)",
    )
    .bind(index_id)
    .bind(document_ids)
    .fetch_all(pool)
    .await
}
