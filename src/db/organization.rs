//! Organizations: the tenants.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::quota;

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "id, short_id, slug, name, plan, overage_enabled, wallet_minor, wallet_reserved_minor, created_at"
    };
}

/// An organization as stored.
#[derive(Clone, Debug, FromRow)]
pub struct Organization {
    pub id: Uuid,
    pub short_id: String,
    pub slug: String,
    pub name: String,
    pub plan: String,
    pub overage_enabled: bool,
    /// What is free in the wallet.
    pub wallet_minor: i64,
    /// What is set aside for units that are not used yet.
    pub wallet_reserved_minor: i64,
    pub created_at: DateTime<Utc>,
}

/// Makes an organization. Breaks `organizations_slug_key` where the slug is taken, `organizations_plan_fkey` where there is no
/// such plan.
pub async fn insert(pool: &PgPool, slug: &str, name: &str, plan: &str) -> Result<Organization, sqlx::Error> {
    sqlx::query_as(concat!(
        "insert into tidewell.organizations (id, short_id, slug, name, plan) values ($1, $2, $3, $4, $5) returning ",
        columns!()
    ))
    .bind(Uuid::now_v7())
    .bind(crate::domain::secret::new_short_id())
    .bind(slug)
    .bind(name)
    .bind(plan)
    .fetch_one(pool)
    .await
}

/// An organization by its id or slug.
pub async fn resolve(pool: &PgPool, name: &str) -> Result<Option<Organization>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from tidewell.organizations where id = $1 or slug = $2"))
        .bind(Uuid::try_parse(name).ok())
        .bind(name)
        .fetch_optional(pool)
        .await
}

/// Organizations, newest first; only those older than `before`.
pub async fn list(pool: &PgPool, before: Option<Uuid>, limit: i64) -> Result<Vec<Organization>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.organizations where ($1::uuid is null or id < $1) order by id desc limit $2"
    ))
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// What may be changed of an organization; `None` leaves it as it is.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    pub name: Option<&'a str>,
    pub plan: Option<&'a str>,
    pub overage_enabled: Option<bool>,
}

/// Changes an organization. Breaks `organizations_plan_fkey` where there is no such plan.
pub async fn update(pool: &PgPool, id: Uuid, changes: &Changes<'_>) -> Result<Organization, sqlx::Error> {
    let mut tx = pool.begin().await?;
    if let Some(plan) = changes.plan {
        // So that a change of the plan comes before this or after it.
        sqlx::query("select from tidewell.plans where name = $1 for share").bind(plan).execute(&mut *tx).await?;
        quota::lock_for_change(&mut tx, id).await?;
    }
    let changed = sqlx::query_as(concat!(
        "update tidewell.organizations
         set name = coalesce($2, name), plan = coalesce($3, plan), overage_enabled = coalesce($4, overage_enabled)
         where id = $1
         returning ",
        columns!()
    ))
    .bind(id)
    .bind(changes.name)
    .bind(changes.plan)
    .bind(changes.overage_enabled)
    .fetch_one(&mut *tx)
    .await?;
    if changes.plan.is_some() {
        quota::gather(&mut tx, id).await?;
    }
    tx.commit().await?;
    Ok(changed)
}

/// Holds an organization until the transaction ends: its plan, its wallet and how much it holds are nobody else's to change. The last of
/// the locks that requests share.
pub(super) async fn lock(conn: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("select from tidewell.organizations where id = $1 for no key update")
        .bind(id)
        .execute(conn)
        .await
        .map(drop)
}

/// Adds to an organization's wallet, with its line in the ledger.
pub async fn top_up(pool: &PgPool, id: Uuid, amount_minor: i64) -> Result<Organization, sqlx::Error> {
    sqlx::query_as(
        "with entry as (
             insert into tidewell.wallet_entries (organization_id, kind, amount_minor, reserved_minor)
             values ($1, 'top_up', $2, 0)
             returning organization_id
         )
         update tidewell.organizations set wallet_minor = wallet_minor + $2
         from entry where organizations.id = entry.organization_id
         returning organizations.id, short_id, slug, name, plan, overage_enabled, wallet_minor, wallet_reserved_minor, created_at",
    )
    .bind(id)
    .bind(amount_minor)
    .fetch_one(pool)
    .await
}
