//! Idempotency keys: the answer to a request, kept so that sending it again changes nothing.

use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// What a key is unique within, and the key.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub organization_id: Uuid,
    pub method: &'a str,
    pub path: &'a str,
    pub key: &'a str,
}

/// Locks the key until the transaction ends; false where another request holds it.
pub async fn try_lock(conn: &mut PgConnection, scope: Scope<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("{}\n{}\n{}\n{}", scope.organization_id, scope.method, scope.path, scope.key))
        .fetch_one(conn)
        .await
}

/// The hash of the body that the key came with first, and the answer it had. To be asked after [`try_lock`], in a statement of
/// its own: an earlier snapshot would miss what the lock's last holder has just committed.
pub async fn find(
    conn: &mut PgConnection,
    scope: Scope<'_>,
) -> Result<Option<(Vec<u8>, serde_json::Value)>, sqlx::Error> {
    let found: Option<(Vec<u8>, Json<serde_json::Value>)> = sqlx::query_as(
        "select body_hash, response from tidewell.idempotency_keys
         where organization_id = $1 and method = $2 and path = $3 and key = $4 and created_at > now() - interval '24 hours'",
    )
    .bind(scope.organization_id)
    .bind(scope.method)
    .bind(scope.path)
    .bind(scope.key)
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|(hash, response)| (hash, response.0)))
}

/// Keeps an answer.
pub async fn keep(
    conn: &mut PgConnection,
    scope: Scope<'_>,
    body_hash: &[u8],
    response: &serde_json::Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.idempotency_keys (organization_id, method, path, key, body_hash, response)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (organization_id, method, path, key) do update
         set body_hash = excluded.body_hash, response = excluded.response, created_at = now()",
    )
    .bind(scope.organization_id)
    .bind(scope.method)
    .bind(scope.path)
    .bind(scope.key)
    .bind(body_hash)
    .bind(Json(response))
    .execute(conn)
    .await
    .map(drop)
}
