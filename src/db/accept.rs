//! The statements of the accepting transaction. `ingest::accept` puts them in order.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    backlog,
    copy::Tuples,
    index::Index,
    outbox::Operation,
    quota::{self, Month, resets, slot},
};

/// The namespace of the advisory locks that order an index's writes against its deletes by filter.
pub(super) const INDEX_LOCK: i32 = 0x7469_6465;

/// A row of an accepted request.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub lane: i16,
    pub document_id: &'a str,
    /// `None` for deletes.
    pub body: Option<&'a str>,
}

/// The advisory lock that is an index's order: exclusive or shared, its namespace, its key.
macro_rules! order_lock {
    ($alone:literal, $namespace:literal, $key:literal) => {
        concat!(
            "case when ",
            $alone,
            " then pg_advisory_xact_lock(",
            $namespace,
            ", ",
            $key,
            ")
             else pg_advisory_xact_lock_shared(",
            $namespace,
            ", ",
            $key,
            ") end"
        )
    };
}
pub(super) use order_lock;

/// Takes part in the index's order of writes until the transaction ends. Every write does, before it draws its versions; what reads
/// the state that all smaller versions leave does it `alone`: they are committed then, and none can come in between.
/// [`job::insert_if_room`](super::job::insert_if_room) does the same.
pub async fn join_order(conn: &mut PgConnection, index_id: Uuid, alone: bool) -> Result<(), sqlx::Error> {
    sqlx::query(concat!("select ", order_lock!("$1", "$2", "$3")))
        .bind(alone)
        .bind(INDEX_LOCK)
        .bind(order_key(index_id))
        .execute(conn)
        .await
        .map(drop)
}

/// The last bytes of an id are random: as good a hash as any.
pub(super) fn order_key(index_id: Uuid) -> i32 {
    let [.., a, b, c, d] = *index_id.as_bytes();
    i32::from_be_bytes([a, b, c, d])
}

/// Bytes sent at one time: what is encoded of a request's rows is bounded, whatever its size.
const SENT_BYTES: usize = 128 << 10;
/// Bytes of bodies up to which rows are inserted by one message. A copy is several, and the last of them, small as it is, waits until
/// the one before it has been acknowledged (Nagle's algorithm, which the driver leaves on): 40 ms for a single document.
const ONE_MESSAGE: usize = 64 << 10;

/// Inserts rows of one operation; their versions grow in the order given. Large requests by `copy`, which takes rows page by page
/// instead of one by one.
pub async fn insert_rows(
    conn: &mut PgConnection,
    index_id: Uuid,
    job_id: Uuid,
    operation: Operation,
    rows: &[Row<'_>],
) -> Result<(), sqlx::Error> {
    let bytes: usize = rows.iter().map(|row| row.document_id.len() + row.body.map_or(0, str::len)).sum();
    match bytes <= ONE_MESSAGE {
        true => insert(conn, index_id, job_id, operation, rows).await,
        false => copy(conn, index_id, job_id, operation, rows).await,
    }
}

async fn insert(
    conn: &mut PgConnection,
    index_id: Uuid,
    job_id: Uuid,
    operation: Operation,
    rows: &[Row<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.outbox (index_id, lane, operation, document_id, job_id, body)
         select $1, lane, $2, document_id, $3, body
         from unnest($4::smallint[], $5::text[], $6::text[]) with ordinality as row (lane, document_id, body, position)
         order by position",
    )
    .bind(index_id)
    .bind(operation)
    .bind(job_id)
    .bind(rows.iter().map(|row| row.lane).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.document_id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.body).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

async fn copy(
    conn: &mut PgConnection,
    index_id: Uuid,
    job_id: Uuid,
    operation: Operation,
    rows: &[Row<'_>],
) -> Result<(), sqlx::Error> {
    let mut copy = conn
        .copy_in_raw(
            "copy tidewell.outbox (index_id, job_id, operation, lane, document_id, body) from stdin (format binary)",
        )
        .await?;
    let mut tuples = Tuples::with_capacity(SENT_BYTES);
    for row in rows {
        tuples.begin_row(6);
        tuples.put(index_id.as_bytes());
        tuples.put(job_id.as_bytes());
        tuples.put(operation.name().as_bytes());
        tuples.put(&row.lane.to_be_bytes());
        tuples.put(row.document_id.as_bytes());
        match row.body {
            Some(body) => tuples.put(body.as_bytes()),
            None => tuples.put_null(),
        }
        if tuples.bytes().len() >= SENT_BYTES {
            copy.send(tuples.bytes()).await?;
            tuples.clear();
        }
    }
    tuples.end();
    copy.send(tuples.bytes()).await?;
    copy.finish().await.map(drop)
}

/// Counts what is accepted: rows that now wait, `upserts` among them, and units of the month. `None`, with the units not counted, where
/// the month has not begun or has no room for them, or where the plan's cap of documents is near: [`quota::consume`] has the last word
/// then, and whoever calls sees to the cap.
///
/// To be the last statement before the commit, after the wake-ups: it locks counters that other requests want, the month's last.
pub async fn count(
    conn: &mut PgConnection,
    index: &Index,
    waiting: i64,
    upserts: i64,
    units: i64,
) -> Result<Option<Month>, sqlx::Error> {
    sqlx::query_as(concat!(
        "with counted as (
             update tidewell.backlogs set accepted = accepted + $3
             where index_id = $1 and slot = pg_backend_pid() % $5
             returning true
         )
         update tidewell.usage set used = used + $4
         from counted, tidewell.organizations join tidewell.plans on plans.name = organizations.plan
         where organizations.id = $2 and organization_id = $2
           and month = date_trunc('month', now() at time zone 'utc')::date
           and slot = ",
        slot!("$6"),
        "  and (monthly_units is null or used + $4 <= monthly_units)
           -- Near is the last tenth: requests that are under way beside this one are not seen.
           and ($7 = 0 or max_documents is null or $7 + max_documents / 10
                + (select sum(documents - settled) from tidewell.lanes
                   where index_id in (select id from tidewell.indexes where organization_id = $2))
                + (select sum(accepted) from tidewell.backlogs
                   where index_id in (select id from tidewell.indexes where organization_id = $2)) <= max_documents)
         returning used, monthly_units as limit, ",
        resets!()
    ))
    .bind(index.id)
    .bind(index.organization_id)
    .bind(waiting)
    .bind(units)
    .bind(backlog::SLOTS)
    .bind(quota::SLOTS)
    .bind(upserts)
    .fetch_optional(conn)
    .await
}

/// How many of these documents the record holds, undeleted.
pub async fn known(conn: &mut PgConnection, index_id: Uuid, ids: &[&str]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from tidewell.documents
         where index_id = $1 and document_id = any($2) and body is not null",
    )
    .bind(index_id)
    .bind(ids)
    .fetch_one(conn)
    .await
}
