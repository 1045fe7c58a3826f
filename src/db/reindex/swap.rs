//! How a reindex ends: its version becomes the live one, or it does not.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Kind, Reindex, Status, lease::Lease, refusal::Refusal};
use crate::domain::signature::signature;

/// Makes a version the live one; the one before is kept, and what changes from now on is listed for it. The caller holds every lane
/// of the index, which it proves in the same transaction. False where the lease is lost and all of it must be rolled back.
pub async fn swap(conn: &mut PgConnection, lease: Lease, reindex: &Reindex) -> Result<bool, sqlx::Error> {
    if !end(conn, lease, Status::Succeeded, None).await? {
        return Ok(false);
    }
    sqlx::query(
        "update tidewell.index_versions set state = 'retired', retired_at = now() where index_id = $1 and state = 'live'",
    )
    .bind(reindex.index_id)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "with live as (
             update tidewell.index_versions set state = 'live', live_at = now(), retired_at = null
             where index_id = $1 and number = $2
             returning number, collection, fields, default_sorting_field, embedding
         )
         update tidewell.indexes
         set version = live.number, collection = live.collection, fields = live.fields,
             default_sorting_field = live.default_sorting_field, embedding = live.embedding
         from live where id = $1",
    )
    .bind(reindex.index_id)
    .bind(reindex.number)
    .execute(conn)
    .await?;
    Ok(true)
}

/// Makes dead letters of refused documents, for their version is live now: each about the record as it stands.
pub async fn bury_refused(conn: &mut PgConnection, reindex: &Reindex, refused: &[Refusal]) -> Result<(), sqlx::Error> {
    let signatures: Vec<String> = refused.iter().map(|refusal| signature(&refusal.code, &refusal.message)).collect();
    sqlx::query(
        "with refused as (
             delete from tidewell.version_refusals where index_id = $1 and number = $2 and document_id = any($5)
         )
         insert into tidewell.dead_letters (id, organization_id, index_id, document_id, job_id, operation, version, body,
             error_code, error_message, error_signature, attempts, first_failed_at)
         select letter.id, $3, $1, letter.document_id, $4, 'reproject', documents.version, documents.body,
                code, message, signature, 1, now()
         from unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::uuid[])
             as letter (document_id, code, message, signature, id)
         join tidewell.documents on documents.index_id = $1 and documents.document_id = letter.document_id",
    )
    .bind(reindex.index_id)
    .bind(reindex.number)
    .bind(reindex.organization_id)
    .bind(reindex.id)
    .bind(refused.iter().map(|refusal| refusal.document_id.as_str()).collect::<Vec<_>>())
    .bind(refused.iter().map(|refusal| refusal.code.as_str()).collect::<Vec<_>>())
    .bind(refused.iter().map(|refusal| refusal.message.as_str()).collect::<Vec<_>>())
    .bind(signatures)
    .bind(refused.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

/// Gives the live version its new fields. False where the lease is lost and all of it must be rolled back.
pub async fn extend(
    conn: &mut PgConnection,
    lease: Lease,
    reindex: &Reindex,
    fields: &[serde_json::Value],
) -> Result<bool, sqlx::Error> {
    if !end(conn, lease, Status::Succeeded, None).await? {
        return Ok(false);
    }
    sqlx::query(
        "with extended as (
             update tidewell.index_versions set fields = $3 where index_id = $1 and number = $2
         )
         update tidewell.indexes set fields = $3 where id = $1",
    )
    .bind(reindex.index_id)
    .bind(reindex.number)
    .bind(sqlx::types::Json(fields))
    .execute(conn)
    .await?;
    Ok(true)
}

/// Ends a reindex without effect: a version that was being filled is dropped, a former one stays what it was. What is under way is in
/// doubt from now on, for `doubt`.
pub async fn abandon(
    pool: &PgPool,
    lease: Lease,
    reindex: &Reindex,
    doubt: Duration,
    status: Status,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    if !end(&mut tx, lease, status, reason).await? {
        return Ok(());
    }
    super::flight::doubt_all(&mut tx, reindex, doubt).await?;
    if reindex.kind == Kind::Reindex {
        sqlx::query(
            "update tidewell.index_versions set state = 'dropping' where index_id = $1 and number = $2 and state = 'building'",
        )
        .bind(reindex.index_id)
        .bind(reindex.number)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await
}

async fn end(conn: &mut PgConnection, lease: Lease, status: Status, reason: Option<&str>) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query(
        "update tidewell.reindexes
         set status = $3, phase = 'done', error = $4, finished_at = clock_timestamp(), leased_until = '-infinity'
         where id = $1 and fence = $2 and status = 'running'",
    )
    .bind(lease.id)
    .bind(lease.fence)
    .bind(status)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() == 1)
}
