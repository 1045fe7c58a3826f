//! The latest accepted state of documents, which writes that depend on it are judged by.
//!
//! That is what the newest write leaves which is waiting or projected. A write that was refused for good counts no more, as if
//! Typesense had refused it at once; it counts again from when its letter is redriven. While a delete by filter that is newer than the
//! document has not been resolved, nobody knows whether the document is there.

use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// A document as the accepted writes leave it.
#[derive(Debug, FromRow)]
pub struct Latest {
    pub document_id: String,
    /// It may have been deleted by a filter.
    pub in_question: bool,
    /// `None` where the bodies before it are enough already.
    pub body: Option<String>,
}

/// Of some documents of an index those that are there, in the order asked, with their bodies until these are more than
/// `max_bytes` together; the first is always read. `lanes` are those of the documents.
///
/// The caller holds the index's order alone: every write of a smaller version is committed, and none can be accepted meanwhile. It
/// is one statement because rows move from the outbox into the record at any time.
pub async fn find(
    conn: &mut PgConnection,
    index_id: Uuid,
    document_ids: &[&str],
    lanes: &[i16],
    max_bytes: i64,
) -> Result<Vec<Latest>, sqlx::Error> {
    sqlx::query_as(
        "with asked as (
             select id, position from unnest($2::text[]) with ordinality as asked (id, position)
         ), waiting as materialized (
             select document_id, coalesce(document_version, version) as written, operation, lane, retrying, version
             from tidewell.outbox
             where index_id = $1 and lane = any($3) and retrying in (false, true) and document_id = any($2)
               and operation <> 'reproject'
         ), known as (
             select document_id, written, operation = 'upsert' as is_there, lane, retrying, version
             from waiting where operation in ('upsert', 'delete')
             union all
             select id, record.version, is_there, null, null, null
             from asked cross join lateral (
                 select version, body is not null as is_there from tidewell.documents
                 where index_id = $1 and document_id = asked.id limit 1) as record
         ), newest as (
             select distinct on (document_id) * from known order by document_id, written desc
         ), found as (
             select position, document_id,
                    written < (select max(version) from tidewell.filter_deletes where index_id = $1)
                        or exists (select from waiting
                                   where waiting.document_id = newest.document_id and operation = 'delete_if_matches'
                                     and waiting.written > newest.written) as in_question,
                    case when version is null
                         then (select body from tidewell.documents
                               where index_id = $1 and document_id = newest.document_id)
                         else (select body from tidewell.outbox
                               where index_id = $1 and lane = newest.lane and retrying = newest.retrying
                                 and version = newest.version and document_id = newest.document_id) end as body
             from newest join asked on asked.id = newest.document_id
             where is_there
         ), measured as (
             select *, sum(octet_length(body)) over (order by position) - octet_length(body) as bytes_before from found
         )
         select document_id, coalesce(in_question, false) as in_question, case when bytes_before < $4 then body end as body
         from measured
         order by position",
    )
    .bind(index_id)
    .bind(document_ids)
    .bind(lanes)
    .bind(max_bytes)
    .fetch_all(conn)
    .await
}
