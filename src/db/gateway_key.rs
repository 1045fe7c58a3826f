//! Gateway keys: for Athena's routes, stored as hashes.

use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::clock::Clock;
use crate::domain::secret::NewGatewaySecret;

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "id, public_id, name, prefix, rights, expires_at, revoked_at, last_used_at, created_at"
    };
}

/// A gateway key as stored; its secret can't be read back.
#[derive(Clone, Debug, FromRow)]
pub struct GatewayKey {
    pub id: Uuid,
    /// The part of the secret's text that is no secret.
    pub public_id: String,
    pub name: String,
    pub prefix: String,
    pub rights: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// Stores a new gateway key.
pub async fn insert(
    pool: &PgPool,
    name: &str,
    rights: &[String],
    expires_at: Option<DateTime<Utc>>,
    made: &NewGatewaySecret,
) -> Result<GatewayKey, sqlx::Error> {
    sqlx::query_as(concat!(
        "insert into tidewell.gateway_keys (id, public_id, name, prefix, hash, rights, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         returning ",
        columns!()
    ))
    .bind(Uuid::now_v7())
    .bind(&made.public_id)
    .bind(name)
    .bind(&made.secret.prefix)
    .bind(made.secret.hash)
    .bind(rights)
    .bind(expires_at)
    .fetch_one(pool)
    .await
}

/// The key of that hash, unless it is revoked, and the clock by which it may have expired.
pub async fn authenticate(pool: &PgPool, hash: &[u8; 32]) -> Result<Option<(GatewayKey, Clock)>, sqlx::Error> {
    #[derive(FromRow)]
    struct Found {
        #[sqlx(flatten)]
        key: GatewayKey,
        now: DateTime<Utc>,
    }
    let asked = Instant::now();
    let found: Option<Found> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        ", clock_timestamp() as now from tidewell.gateway_keys where hash = $1 and revoked_at is null"
    ))
    .bind(hash)
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|found| (found.key, Clock::new(found.now, asked))))
}

/// Gateway keys, newest first, the revoked ones too; only those older than `before`.
pub async fn list(pool: &PgPool, before: Option<Uuid>, limit: i64) -> Result<Vec<GatewayKey>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.gateway_keys where ($1::uuid is null or id < $1) order by id desc limit $2"
    ))
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Revokes a gateway key, once and for ever; `None` where there is none of that id.
pub async fn revoke(pool: &PgPool, id: Uuid) -> Result<Option<GatewayKey>, sqlx::Error> {
    sqlx::query_as(concat!(
        "update tidewell.gateway_keys set revoked_at = coalesce(revoked_at, clock_timestamp()) where id = $1 returning ",
        columns!()
    ))
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Notes that gateway keys have been used, all in one statement.
pub async fn touch(pool: &PgPool, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.gateway_keys set last_used_at = clock_timestamp() where id = any($1)")
        .bind(ids)
        .execute(pool)
        .await
        .map(drop)
}
