//! The outbox: accepted writes that are not settled yet, as workers read them.

use futures::TryStreamExt;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::lane::Lane;

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

/// Which rows of a lane to read, and how many.
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

/// The statement that reads rows chosen by a condition on the outbox.
macro_rules! read_where {
    ($condition:literal) => {
        concat!(
            "with next as (
                 select version, coalesce(document_version, version) as document_version, operation, document_id, job_id,
                        body, attempts
                 from tidewell.outbox
                 where index_id = $1 and lane = $2 and version > $3 and ",
            $condition,
            "      and version < coalesce(
                       (select min(version) from tidewell.filter_deletes where index_id = $1), 9223372036854775807)
                 order by version
                 limit $4
             ), measured as (
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

/// Reads the next rows in the order of their versions. Rows behind a delete by filter that still waits are left alone, and retries
/// of documents of which a newer version is under way.
pub async fn read(pool: &PgPool, lane: Lane, reading: Reading) -> Result<Vec<Row>, sqlx::Error> {
    let statement = match reading.retrying {
        false => read_where!("not retrying"),
        true => read_where!(
            "retrying and next_retry_at <= clock_timestamp()
             and not exists (select from tidewell.flights, unnest(document_ids, versions) as flying (id, version)
                             where flights.index_id = $1 and flying.id = outbox.document_id
                               and flying.version > coalesce(outbox.document_version, outbox.version))"
        ),
    };
    sqlx::query_as(statement)
        .bind(lane.index_id)
        .bind(lane.lane)
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
pub async fn decide(conn: &mut PgConnection, lane: Lane, retrying: bool, versions: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.outbox set operation = 'delete', body = null
         where index_id = $1 and lane = $2 and retrying = $3 and version = any($4)",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
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
