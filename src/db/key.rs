//! Tenant keys, stored as hashes.

use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{
    clock::Clock,
    plan::{self, CapReached},
};
use crate::domain::secret::NewSecret;

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "id, organization_id, index_id, name, kind, prefix, scopes, allowed_origins, rate_limit_per_minute, expires_at,
         revoked_at, last_used_at, created_at"
    };
}

/// A key as stored; its secret can't be read back.
#[derive(Clone, Debug, FromRow)]
pub struct Key {
    pub id: Uuid,
    pub organization_id: Uuid,
    /// The one index that it is bound to, if any.
    pub index_id: Option<Uuid>,
    pub name: String,
    pub kind: String,
    pub prefix: String,
    pub scopes: Vec<String>,
    pub allowed_origins: Vec<String>,
    pub rate_limit_per_minute: i32,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// A key to be made.
#[derive(Debug)]
pub struct NewKey<'a> {
    pub organization_id: Uuid,
    pub index_id: Option<Uuid>,
    pub name: &'a str,
    pub kind: &'a str,
    pub scopes: &'a [String],
    pub allowed_origins: &'a [String],
    pub rate_limit_per_minute: i32,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Stores a new key, if the plan has room for one more.
pub async fn insert(
    pool: &PgPool,
    new: &NewKey<'_>,
    secret: &NewSecret,
) -> Result<Result<Key, CapReached>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let holding = plan::lock_holding(&mut tx, new.organization_id).await?;
    if let Err(reached) = plan::room("keys", holding.max_keys, holding.keys) {
        return Ok(Err(reached));
    }
    let key = sqlx::query_as(concat!(
        "insert into tidewell.keys (id, organization_id, index_id, name, kind, prefix, hash, scopes, allowed_origins,
                                    rate_limit_per_minute, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         returning ",
        columns!()
    ))
    .bind(Uuid::now_v7())
    .bind(new.organization_id)
    .bind(new.index_id)
    .bind(new.name)
    .bind(new.kind)
    .bind(&secret.prefix)
    .bind(secret.hash)
    .bind(new.scopes)
    .bind(new.allowed_origins)
    .bind(new.rate_limit_per_minute)
    .bind(new.expires_at)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Ok(key))
}

/// By what a key is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The hash of its secret.
    Hash([u8; 32]),
    Id(Uuid),
}

/// That key, unless it is revoked, and the clock by which it may have expired.
pub async fn authenticate(pool: &PgPool, by: By) -> Result<Option<(Key, Clock)>, sqlx::Error> {
    #[derive(FromRow)]
    struct Found {
        #[sqlx(flatten)]
        key: Key,
        now: DateTime<Utc>,
    }
    macro_rules! select {
        ($condition:literal) => {
            concat!(
                "select ",
                columns!(),
                ", clock_timestamp() as now from tidewell.keys where revoked_at is null and ",
                $condition
            )
        };
    }
    let asked = Instant::now();
    let query = match by {
        By::Hash(hash) => sqlx::query_as(select!("hash = $1")).bind(hash),
        By::Id(id) => sqlx::query_as(select!("id = $1")).bind(id),
    };
    let found: Option<Found> = query.fetch_optional(pool).await?;
    Ok(found.map(|found| (found.key, Clock::new(found.now, asked))))
}

/// Keys of an organization, newest first, the revoked ones too; only those older than `before`.
pub async fn list(
    pool: &PgPool,
    organization_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Key>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.keys
         where organization_id = $1 and ($2::uuid is null or id < $2)
         order by id desc limit $3"
    ))
    .bind(organization_id)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Revokes a key, once and for ever; `None` where the organization has no such key.
pub async fn revoke(pool: &PgPool, organization_id: Uuid, id: Uuid) -> Result<Option<Key>, sqlx::Error> {
    sqlx::query_as(concat!(
        "update tidewell.keys set revoked_at = coalesce(revoked_at, clock_timestamp())
         where organization_id = $1 and id = $2
         returning ",
        columns!()
    ))
    .bind(organization_id)
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Notes that keys have been used, all in one statement.
pub async fn touch(pool: &PgPool, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.keys set last_used_at = clock_timestamp() where id = any($1)")
        .bind(ids)
        .execute(pool)
        .await
        .map(drop)
}

/// Whether a moment has yet to come, by the database's clock.
pub async fn is_ahead(pool: &PgPool, moment: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select $1 > clock_timestamp()").bind(moment).fetch_one(pool).await
}
