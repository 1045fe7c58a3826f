//! Versions of an index: each a schema with a collection of its own.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgExecutor, PgPool, types::Json};
use uuid::Uuid;

use crate::domain::embedding::Embedding;

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "index_id, number, collection, fields, default_sorting_field, embedding, fingerprint, state, created_at, live_at, retired_at"
    };
}

/// What a version is to its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
#[schema(as = VersionState)]
pub enum State {
    /// It is filled beside the live one.
    Building,
    /// It is searched and written to.
    Live,
    /// It was live, and can be again: what has changed since is listed.
    Retired,
    /// Its collection is about to be deleted.
    Dropping,
    /// Its collection is gone.
    Dropped,
}

/// A version as stored.
#[derive(Clone, Debug, FromRow)]
pub struct Version {
    pub index_id: Uuid,
    pub number: i32,
    /// The collection in Typesense; made when it is first needed.
    pub collection: String,
    pub fields: Json<Vec<serde_json::Value>>,
    pub default_sorting_field: Option<String>,
    pub embedding: Option<Json<Embedding>>,
    /// What its vectors were made by; `None`: it has none yet.
    pub fingerprint: Option<Json<serde_json::Value>>,
    pub state: State,
    pub created_at: DateTime<Utc>,
    pub live_at: Option<DateTime<Utc>>,
    pub retired_at: Option<DateTime<Utc>>,
}

/// One version.
pub async fn find(db: impl PgExecutor<'_>, index_id: Uuid, number: i32) -> Result<Option<Version>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from tidewell.index_versions where index_id = $1 and number = $2"))
        .bind(index_id)
        .bind(number)
        .fetch_optional(db)
        .await
}

/// The versions of an index, newest first; only those of a smaller number than `before`.
pub async fn list(pool: &PgPool, index_id: Uuid, before: Option<i32>, limit: i64) -> Result<Vec<Version>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.index_versions
         where index_id = $1 and ($2::int is null or number < $2)
         order by number desc limit $3"
    ))
    .bind(index_id)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// The version that was live before, if it can be again.
pub async fn previous(db: impl PgExecutor<'_>, index_id: Uuid) -> Result<Option<Version>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.index_versions
         where index_id = $1 and state = 'retired' order by retired_at desc limit 1"
    ))
    .bind(index_id)
    .fetch_optional(db)
    .await
}

/// Notes what a version's vectors are made by, unless it has some; gives what they are made by.
pub async fn settle_fingerprint(
    pool: &PgPool,
    index_id: Uuid,
    number: i32,
    fingerprint: &serde_json::Value,
) -> Result<Option<serde_json::Value>, sqlx::Error> {
    let settled: Option<Json<serde_json::Value>> = sqlx::query_scalar(
        "with settled as (
             update tidewell.index_versions set fingerprint = $3
             where index_id = $1 and number = $2 and fingerprint is null
             returning fingerprint
         )
         select fingerprint from settled
         union all
         select fingerprint from tidewell.index_versions where index_id = $1 and number = $2 and fingerprint is not null
         limit 1",
    )
    .bind(index_id)
    .bind(number)
    .bind(Json(fingerprint))
    .fetch_optional(pool)
    .await?;
    Ok(settled.map(|settled| settled.0))
}

/// Lets go of versions that were retired longer than `kept` ago, and than ten seconds, for some search may just be at one: their
/// collections are to be deleted. One that is about to be live
/// again stays: whoever asks for that holds the index, so what is seen once it is held here is all there is.
pub async fn retire(pool: &PgPool, kept: Duration) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let held: Vec<Uuid> = sqlx::query_scalar(
        "select id from tidewell.indexes
         where exists (select from tidewell.index_versions
                       where index_id = indexes.id and state = 'retired' and retired_at < now() - make_interval(secs => greatest($1, 10)))
         for no key update skip locked",
    )
    .bind(kept.as_secs_f64())
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query(
        "update tidewell.index_versions set state = 'dropping'
         where index_id = any($2) and state = 'retired' and retired_at < now() - make_interval(secs => greatest($1, 10))
           and not exists (select from tidewell.reindexes
                           where reindexes.index_id = index_versions.index_id and status in ('queued', 'running'))",
    )
    .bind(kept.as_secs_f64())
    .bind(held)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Versions whose collection can be deleted: no request to it is under way, or in doubt.
pub async fn droppable(pool: &PgPool) -> Result<Vec<Version>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.index_versions as version
         where state = 'dropping'
           and not exists (select from tidewell.flights
                           where flights.index_id = version.index_id and flights.collection = version.collection)
           and not exists (select from tidewell.version_flights as flight
                           where flight.index_id = version.index_id and flight.number = version.number
                             and doubted_until > clock_timestamp())
         limit 100"
    ))
    .fetch_all(pool)
    .await
}

/// Notes that a version's collection is gone, and forgets what was known of it, but for what it has refused.
pub async fn dropped(pool: &PgPool, index_id: Uuid, number: i32) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with dropped as (
             update tidewell.index_versions set state = 'dropped'
             where index_id = $1 and number = $2 and state = 'dropping' returning index_id, number
         ), flights as (
             delete from tidewell.version_flights using dropped
             where version_flights.index_id = dropped.index_id and version_flights.number = dropped.number
         )
         delete from tidewell.version_changes using dropped
         where version_changes.index_id = dropped.index_id and version_changes.number = dropped.number",
    )
    .bind(index_id)
    .bind(number)
    .execute(pool)
    .await
    .map(drop)
}
