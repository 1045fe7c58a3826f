//! The statements of the accepting transaction. `ingest::accept` puts them in order.

use sqlx::PgConnection;
use uuid::Uuid;

use super::outbox::Operation;

/// The namespace of the advisory locks that order an index's writes against its deletes by filter.
const INDEX_LOCK: i32 = 0x7469_6465;

/// Rows of one accepted request, column by column; entry `n` of each belongs to row `n`.
#[derive(Debug, Default)]
pub struct Rows<'a> {
    pub lanes: Vec<i16>,
    pub document_ids: Vec<&'a str>,
    /// `None` for deletes.
    pub bodies: Vec<Option<&'a str>>,
}

/// Takes part in the index's order of writes until the transaction ends. Held by every write before it draws its versions;
/// a delete by filter holds it `alone`, so that every write of a smaller version is committed when it draws its own.
pub async fn join_order(conn: &mut PgConnection, index_id: Uuid, alone: bool) -> Result<(), sqlx::Error> {
    let statement = match alone {
        false => "select pg_advisory_xact_lock_shared($1, hashtext($2))",
        true => "select pg_advisory_xact_lock($1, hashtext($2))",
    };
    sqlx::query(statement).bind(INDEX_LOCK).bind(index_id.to_string()).execute(conn).await.map(drop)
}

/// Inserts rows of one operation; their versions grow in the order given.
pub async fn insert_rows(
    conn: &mut PgConnection,
    index_id: Uuid,
    job_id: Uuid,
    operation: Operation,
    rows: &Rows<'_>,
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
    .bind(&rows.lanes)
    .bind(&rows.document_ids)
    .bind(&rows.bodies)
    .execute(conn)
    .await
    .map(drop)
}
