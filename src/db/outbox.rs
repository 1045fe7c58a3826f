//! The outbox: accepted writes that are not settled yet, as workers read them.

use futures::TryStreamExt;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::lane::Lease;

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "tidewell.operation", rename_all = "snake_case")]
pub enum Operation {
    Upsert,
    Delete,
    /// Send the document's record again, whatever it is.
    Reproject,
    /// Delete the document if it matches the filter in the row's body.
    DeleteIfMatches,
}

impl Operation {
    /// As the database calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Delete => "delete",
            Self::Reproject => "reproject",
            Self::DeleteIfMatches => "delete_if_matches",
        }
    }
}

/// A row of the outbox as a worker takes it.
#[derive(Debug, FromRow)]
pub struct Row {
    /// The row's place in the order, and its key.
    pub version: i64,
    /// The version that it gives its document.
    pub document_version: i64,
    pub operation: Operation,
    pub document_id: String,
    pub job_id: Option<Uuid>,
    /// For [`Operation::Reproject`] the record's body.
    pub body: Option<String>,
    pub attempts: i16,
    /// The version of the document that was projected last; 0 for none.
    pub recorded_version: i64,
}

/// Which rows of lanes to read, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The rows whose retry is due, or else those never tried.
    pub retrying: bool,
    /// Only rows of a larger version.
    pub after: i64,
    pub max_rows: i64,
    /// Bodies together; one row is always read.
    pub max_bytes: i64,
}

/// The statement that reads rows of a lane `$2`, or of `several`, chosen by a condition on the outbox.
macro_rules! read_where {
    (one, $condition:literal) => {
        read_where!(@whole "lane = $2", "", "", $condition)
    };
    // Each by itself, in its order: the first of all of them are among the first of each.
    (several, $condition:literal) => {
        read_where!(@whole
            "outbox.lane = held.lane",
            "select * from unnest($2::smallint[]) as held (lane) cross join lateral (",
            ") as row order by version limit $4",
            $condition
        )
    };
    (@whole $lane:literal, $before:literal, $after:literal, $condition:literal) => {
        concat!(
            "with next as (",
            $before,
            "    select version, coalesce(document_version, version) as document_version, operation, document_id, job_id,
                        body, attempts
                 from tidewell.outbox
                 where index_id = $1 and version > $3 and ",
            $lane,
            "      and ",
            $condition,
            "      and version < coalesce(
                       (select min(version) from tidewell.filter_deletes where index_id = $1), 9223372036854775807)
                 order by version
                 limit $4",
            $after,
            "), measured as (
                 select *, sum(coalesce(octet_length(body), 0)) over (order by version) - coalesce(octet_length(body), 0)
                        as bytes_before
                 from next
             )
             select measured.version, document_version, operation, measured.document_id, job_id, attempts,
                    case operation when 'reproject' then documents.body else measured.body end as body,
                    coalesce(documents.version, 0) as recorded_version
             from measured
             -- One look each: a plan made on stale statistics of a new index would otherwise read the whole index for each row.
             left join lateral (
                 select version, body from tidewell.documents
                 where index_id = $1 and document_id = measured.document_id limit 1) as documents on true
             where bytes_before < $5
             order by measured.version"
        )
    };
}

/// Reads the next rows of a lease's lanes in the order of their versions. Rows behind a delete by filter that still waits are left alone,
/// and retries of documents of which a newer version is under way.
pub async fn read(pool: &PgPool, lease: &Lease, reading: Reading) -> Result<Vec<Row>, sqlx::Error> {
    macro_rules! due {
        ($lanes:ident) => {
            read_where!(
                $lanes,
                "retrying and next_retry_at <= clock_timestamp()
                 and not exists (select from tidewell.flights, unnest(document_ids, versions) as flying (id, version)
                                 where flights.index_id = $1 and flying.id = outbox.document_id
                                   and flying.version > coalesce(outbox.document_version, outbox.version))"
            )
        };
    }
    let statement = match (reading.retrying, lease.is_of_several()) {
        (false, false) => read_where!(one, "not retrying"),
        (false, true) => read_where!(several, "not retrying"),
        (true, false) => due!(one),
        (true, true) => due!(several),
    };
    let query = sqlx::query_as(statement).bind(lease.index_id);
    let query = if lease.is_of_several() { query.bind(&lease.lanes) } else { query.bind(lease.lanes.first()) };
    query
        .bind(reading.after)
        .bind(reading.max_rows)
        .bind(reading.max_bytes)
        .fetch(pool)
        // Row by row, so that the bodies are held once.
        .try_collect()
        .await
}

/// Makes decided rows plain deletes: a conditional delete that was decided once must not be decided again, when its effect may be
/// there already.
pub async fn decide(
    conn: &mut PgConnection,
    lease: &Lease,
    retrying: bool,
    versions: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.outbox set operation = 'delete', body = null
         where index_id = $1 and lane = any($2) and retrying = $3 and version = any($4)",
    )
    .bind(lease.index_id)
    .bind(&lease.lanes)
    .bind(retrying)
    .bind(versions)
    .execute(conn)
    .await
    .map(drop)
}

/// Asks for the records of documents of one index to be sent again, each in its lane. The caller counts them in the backlog.
pub async fn reproject(
    conn: &mut PgConnection,
    index_id: Uuid,
    documents: &[(i16, String)],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.outbox (index_id, lane, operation, document_id)
         select $1, lane, 'reproject', document_id from unnest($2::smallint[], $3::text[]) as doubted (lane, document_id)",
    )
    .bind(index_id)
    .bind(documents.iter().map(|(lane, _)| *lane).collect::<Vec<_>>())
    .bind(documents.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}
