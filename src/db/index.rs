//! Indexes: a tenant's schema, and the collection that holds its documents.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::plan::{self, CapReached};
use crate::domain::{embedding::Embedding, lane::LANES};

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "id, organization_id, slug, fields, default_sorting_field, embedding, alias, version, collection, max_attempts,
         cache_seconds, created_at,
         (select fingerprint from tidewell.index_versions where index_id = indexes.id and number = indexes.version) as fingerprint"
    };
}

/// An index as stored.
#[derive(Clone, Debug, FromRow)]
pub struct Index {
    pub id: Uuid,
    pub organization_id: Uuid,
    pub slug: String,
    /// Typesense fields, as the operator gave them.
    pub fields: Json<Vec<serde_json::Value>>,
    pub default_sorting_field: Option<String>,
    /// What its documents are embedded from; `None`: they have no vectors.
    pub embedding: Option<Json<Embedding>>,
    pub alias: String,
    /// The live version.
    pub version: i32,
    /// The live version's collection, once made.
    pub collection: Option<String>,
    pub max_attempts: i32,
    /// For how long the answer to a search may be given again; 0: never.
    pub cache_seconds: i32,
    pub created_at: DateTime<Utc>,
    /// What the live version's vectors were made by, as the worker wrote it down; `None` before the first.
    pub fingerprint: Option<Json<serde_json::Value>>,
}

/// An index to be made.
#[derive(Debug)]
pub struct NewIndex<'a> {
    pub slug: &'a str,
    pub fields: &'a [serde_json::Value],
    pub default_sorting_field: Option<&'a str>,
    pub embedding: Option<&'a Embedding>,
    pub max_attempts: Option<i32>,
    pub cache_seconds: Option<i32>,
}

/// Makes an index with its lanes, if the plan has room for one more. Breaks the constraint `indexes_organization_id_slug_key` or `indexes_alias_key` where the slug is taken.
pub async fn insert(
    pool: &PgPool,
    organization_id: Uuid,
    new: &NewIndex<'_>,
) -> Result<Result<Index, CapReached>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let holding = plan::lock_holding(&mut tx, organization_id).await?;
    if let Err(reached) = plan::room("indexes", holding.max_indexes, holding.indexes) {
        return Ok(Err(reached));
    }
    let index: Index = sqlx::query_as(concat!(
        "insert into tidewell.indexes (id, organization_id, slug, fields, default_sorting_field, embedding, alias,
                                       max_attempts, cache_seconds)
         select $1, id, $3, $4, $5, $6, short_id || '_' || $3, coalesce($7, 8), coalesce($8, 0)
         from tidewell.organizations where id = $2
         returning ",
        columns!()
    ))
    .bind(Uuid::now_v7())
    .bind(organization_id)
    .bind(new.slug)
    .bind(Json(new.fields))
    .bind(new.default_sorting_field)
    .bind(new.embedding.map(Json))
    .bind(new.max_attempts)
    .bind(new.cache_seconds)
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query("insert into tidewell.lanes (index_id, lane) select $1, generate_series(0, $2 - 1)")
        .bind(index.id)
        .bind(i32::from(LANES))
        .execute(&mut *tx)
        .await?;
    sqlx::query("insert into tidewell.backlogs (index_id, slot) select $1, generate_series(0, $2 - 1)")
        .bind(index.id)
        .bind(super::backlog::SLOTS)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "insert into tidewell.index_versions
             (index_id, number, collection, fields, default_sorting_field, embedding, state, live_at)
         select id, version, alias || '_v' || version, fields, default_sorting_field, embedding, 'live', now()
         from tidewell.indexes where id = $1",
    )
    .bind(index.id)
    .execute(&mut *tx)
    .await?;
    sqlx::query("insert into tidewell.index_checks (index_id, due_at) values ($1, now() + interval '1 day')")
        .bind(index.id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Ok(index))
}

/// One index, by its id.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Index>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from tidewell.indexes where id = $1"))
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// One index, which nobody changes until the transaction ends.
pub async fn lock(conn: &mut PgConnection, id: Uuid) -> Result<Option<Index>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from tidewell.indexes where id = $1 for no key update"))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Indexes of that id or slug, within an organization where one is given; two at most, enough to see an ambiguity.
pub async fn resolve(pool: &PgPool, organization_id: Option<Uuid>, name: &str) -> Result<Vec<Index>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.indexes
         where (id = $1 or slug = $2) and ($3::uuid is null or organization_id = $3)
         limit 2"
    ))
    .bind(Uuid::try_parse(name).ok())
    .bind(name)
    .bind(organization_id)
    .fetch_all(pool)
    .await
}

/// Indexes of an organization, newest first; only those older than `before`.
pub async fn list(
    pool: &PgPool,
    organization_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Index>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.indexes
         where organization_id = $1 and ($2::uuid is null or id < $2)
         order by id desc limit $3"
    ))
    .bind(organization_id)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// An index among those of all organizations.
#[derive(Clone, Debug, FromRow)]
pub struct Listed {
    #[sqlx(flatten)]
    pub index: Index,
    /// Its slug.
    pub organization: String,
}

/// Indexes of all organizations or of one, newest first; only those older than `before`.
pub async fn list_all(
    pool: &PgPool,
    organization_id: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        ", (select slug from tidewell.organizations where id = indexes.organization_id) as organization
         from tidewell.indexes
         where ($1::uuid is null or organization_id = $1) and ($2::uuid is null or id < $2)
         order by id desc limit $3"
    ))
    .bind(organization_id)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// What may be changed of an index; what is `None` stays.
#[derive(Debug, Default)]
pub struct Changes {
    pub max_attempts: Option<i32>,
    pub cache_seconds: Option<i32>,
}

/// Changes an index; `None` where there is none.
pub async fn update(pool: &PgPool, id: Uuid, changes: &Changes) -> Result<Option<Index>, sqlx::Error> {
    sqlx::query_as(concat!(
        "update tidewell.indexes
         set max_attempts = coalesce($2, max_attempts), cache_seconds = coalesce($3, cache_seconds)
         where id = $1 returning ",
        columns!()
    ))
    .bind(id)
    .bind(changes.max_attempts)
    .bind(changes.cache_seconds)
    .fetch_optional(pool)
    .await
}

/// Remembers which collection holds the index's documents.
pub async fn set_collection(pool: &PgPool, id: Uuid, collection: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.indexes set collection = $2 where id = $1 and collection is distinct from $2")
        .bind(id)
        .bind(collection)
        .execute(pool)
        .await
        .map(drop)
}

/// Each index's alias, with the collection that it is to point at.
pub async fn aliases(pool: &PgPool) -> Result<Vec<(Uuid, String, String)>, sqlx::Error> {
    sqlx::query_as("select id, alias, collection from tidewell.indexes where collection is not null")
        .fetch_all(pool)
        .await
}

/// The live version's collection, which stays that until the transaction ends.
pub async fn lock_collection(conn: &mut PgConnection, id: Uuid) -> Result<Option<String>, sqlx::Error> {
    let collection: Option<Option<String>> =
        sqlx::query_scalar("select collection from tidewell.indexes where id = $1 for share")
            .bind(id)
            .fetch_optional(conn)
            .await?;
    Ok(collection.flatten())
}

/// Whether an index's documents are in a collection of that name, or found by it.
pub async fn owns_collection(pool: &PgPool, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from tidewell.indexes where alias = $1)
             or exists (select from tidewell.index_versions where collection = $1)",
    )
    .bind(name)
    .fetch_one(pool)
    .await
}
