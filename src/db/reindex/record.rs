//! The record of documents, read in the order of their ids.

use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

/// A document that is there.
#[derive(Debug, FromRow)]
pub struct Document {
    pub document_id: String,
    pub version: i64,
    pub body: String,
}

/// How many documents the record holds.
pub async fn count(conn: &mut PgConnection, index_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select coalesce(sum(documents), 0)::bigint from tidewell.lanes where index_id = $1")
        .bind(index_id)
        .fetch_one(conn)
        .await
}

/// The next documents behind `after`: `max_rows` at most, and as many as have `max_bytes` of bodies; one at least.
pub async fn read(
    pool: &PgPool,
    index_id: Uuid,
    after: &str,
    max_rows: i64,
    max_bytes: i64,
) -> Result<Vec<Document>, sqlx::Error> {
    sqlx::query_as(
        "with next as (
             select document_id, version, body,
                    sum(octet_length(body)) over (order by document_id) - octet_length(body) as bytes_before
             from (select document_id, version, body from tidewell.documents
                   where index_id = $1 and document_id > $2 and body is not null
                   order by document_id limit $3) as next
         )
         select document_id, version, body from next where bytes_before < $4 order by document_id",
    )
    .bind(index_id)
    .bind(after)
    .bind(max_rows)
    .bind(max_bytes)
    .fetch_all(pool)
    .await
}

/// The next documents behind `after`, `limit` at most, each with its version alone.
pub async fn versions(
    pool: &PgPool,
    index_id: Uuid,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "select document_id, version from tidewell.documents
         where index_id = $1 and document_id > $2 and body is not null order by document_id limit $3",
    )
    .bind(index_id)
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// The bodies of documents, of those that are there.
pub async fn bodies(pool: &PgPool, index_id: Uuid, document_ids: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select body from tidewell.documents where index_id = $1 and document_id = any($2) and body is not null",
    )
    .bind(index_id)
    .bind(document_ids)
    .fetch_all(pool)
    .await
}
