//! Documents that the collection of a version does not take.

use sqlx::{FromRow, PgConnection, PgExecutor};
use uuid::Uuid;

use super::lease::Lease;

/// Why a document is not taken.
#[derive(Clone, Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    pub document_id: String,
    pub code: String,
    pub message: String,
}

/// Notes which of the documents that were sent are refused and which are not any more, and counts the refused.
pub async fn note(
    conn: &mut PgConnection,
    lease: Lease,
    (index_id, number): (Uuid, i32),
    sent: &[&str],
    refused: &[Refusal],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with healed as (
             delete from tidewell.version_refusals
             where index_id = $1 and number = $2 and document_id = any($3) and not document_id = any($4)
             returning true
         ), noted as (
             insert into tidewell.version_refusals (index_id, number, document_id, code, message)
             select $1, $2, * from unnest($4::text[], $5::text[], $6::text[])
             on conflict (index_id, number, document_id) do update set code = excluded.code, message = excluded.message
             returning xmax = 0 as is_new
         )
         update tidewell.reindexes
         set refused = refused - (select count(*) from healed) + (select count(*) from noted where is_new)
         where id = $7",
    )
    .bind(index_id)
    .bind(number)
    .bind(sent)
    .bind(refused.iter().map(|refusal| refusal.document_id.as_str()).collect::<Vec<_>>())
    .bind(refused.iter().map(|refusal| refusal.code.as_str()).collect::<Vec<_>>())
    .bind(refused.iter().map(|refusal| refusal.message.as_str()).collect::<Vec<_>>())
    .bind(lease.id)
    .execute(conn)
    .await
    .map(drop)
}

/// The refused documents of a version behind `after`, in the order of their ids.
pub async fn list(
    executor: impl PgExecutor<'_>,
    (index_id, number): (Uuid, i32),
    after: &str,
    limit: i64,
) -> Result<Vec<Refusal>, sqlx::Error> {
    sqlx::query_as(
        "select document_id, code, message from tidewell.version_refusals
         where index_id = $1 and number = $2 and document_id > $3 order by document_id limit $4",
    )
    .bind(index_id)
    .bind(number)
    .bind(after)
    .bind(limit)
    .fetch_all(executor)
    .await
}
