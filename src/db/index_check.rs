//! How each index's collection compared with the record when it was last looked at, and when it is looked at again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// How long a check that nobody ends keeps others away from its index.
const LEASE: Duration = Duration::from_secs(3600);
/// When it is seen whether a repair has mended what it was to mend.
const AFTER_REPAIR: Duration = Duration::from_secs(60);

/// The last check of an index.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IndexCheck)]
pub struct Check {
    /// When the collection was last compared with the record; the numbers are those of then.
    pub checked_at: Option<DateTime<Utc>>,
    /// Documents that the index should hold.
    pub documents: Option<i64>,
    /// Of these, those that its collection has not.
    pub missing: Option<i64>,
    /// Documents that the collection should not hold.
    pub extra: Option<i64>,
    /// Documents of another version than they should be.
    pub stale: Option<i64>,
    /// Why the comparison after that could not be made.
    pub error: Option<String>,
}

/// What a comparison has counted.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub documents: u64,
    pub missing: u64,
    pub extra: u64,
    pub stale: u64,
    pub repaired: u64,
}

/// The last check of an index; `None` where nobody has tried to make one.
pub async fn find(pool: &PgPool, index_id: Uuid) -> Result<Option<Check>, sqlx::Error> {
    sqlx::query_as(
        "select checked_at, documents, missing, extra, stale, error from tidewell.index_checks
         where index_id = $1 and (checked_at is not null or error is not null)",
    )
    .bind(index_id)
    .fetch_optional(pool)
    .await
}

/// Writes down how a comparison ended, and gives the moment. After a repair the next one is due soon, to tell whether it helped.
pub async fn record(pool: &PgPool, index_id: Uuid, counts: Counts) -> Result<DateTime<Utc>, sqlx::Error> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query_scalar(
        "update tidewell.index_checks
         set checked_at = clock_timestamp(), documents = $2, missing = $3, extra = $4, stale = $5, repaired = $6, error = null,
             due_at = case when $6 = 0 then due_at else least(due_at, clock_timestamp() + make_interval(secs => $7)) end
         where index_id = $1
         returning checked_at",
    )
    .bind(index_id)
    .bind(number(counts.documents))
    .bind(number(counts.missing))
    .bind(number(counts.extra))
    .bind(number(counts.stale))
    .bind(number(counts.repaired))
    .bind(AFTER_REPAIR.as_secs_f64())
    .fetch_one(pool)
    .await
}

/// Takes an index whose check is due and that nobody is at; the one that has waited longest.
pub async fn lease(pool: &PgPool) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "update tidewell.index_checks
         set leased_until = clock_timestamp() + make_interval(secs => $1)
         where index_id = (select index_id from tidewell.index_checks
                           where due_at <= clock_timestamp() and leased_until <= clock_timestamp()
                           order by due_at limit 1 for update skip locked)
         returning index_id",
    )
    .bind(LEASE.as_secs_f64())
    .fetch_optional(pool)
    .await
}

/// Ends a leased check; the next one is due after `wait`. `error` is why it could not be made, if so.
pub async fn end(pool: &PgPool, index_id: Uuid, wait: Duration, error: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.index_checks
         set due_at = clock_timestamp() + make_interval(secs => $2), leased_until = '-infinity', error = $3
         where index_id = $1",
    )
    .bind(index_id)
    .bind(wait.as_secs_f64())
    .bind(error)
    .execute(pool)
    .await
    .map(drop)
}

/// Gives a leased check back as it was, for anybody to make.
pub async fn give_back(pool: &PgPool, index_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.index_checks set leased_until = '-infinity' where index_id = $1")
        .bind(index_id)
        .execute(pool)
        .await
        .map(drop)
}
