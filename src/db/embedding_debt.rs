//! Documents that were written without a vector because their model was away: to be projected again once it is back.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Notes documents of one index.
pub async fn add(conn: &mut PgConnection, index_id: Uuid, document_ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.embedding_debts (index_id, document_id) select distinct $1::uuid, unnest($2::text[])
         on conflict (index_id, document_id) do nothing",
    )
    .bind(index_id)
    .bind(document_ids)
    .execute(conn)
    .await
    .map(drop)
}

/// Indexes that have such documents.
pub async fn debtors(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select id from tidewell.indexes
         -- Asked every second: where there are none at all, no index is looked at.
         where exists (select from tidewell.embedding_debts)
           and exists (select from tidewell.embedding_debts where index_id = indexes.id)
         order by id",
    )
    .fetch_all(pool)
    .await
}

/// Some of these documents of an index.
pub async fn read(pool: &PgPool, index_id: Uuid, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select document_id from tidewell.embedding_debts
         where index_id = $1 order by document_id limit $2",
    )
    .bind(index_id)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Forgets documents; gives those that were noted.
pub async fn take(
    conn: &mut PgConnection,
    index_id: Uuid,
    document_ids: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "delete from tidewell.embedding_debts where index_id = $1 and document_id = any($2) returning document_id",
    )
    .bind(index_id)
    .bind(document_ids)
    .fetch_all(conn)
    .await
}
