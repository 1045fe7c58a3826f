//! Clients: logical names of source databases, each with its URL, sealed.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::domain::{
    seal::{self, Column, Sealer},
    sensitive::Sensitive,
};

macro_rules! columns {
    () => {
        "id, name, url_encrypted, created_at, updated_at"
    };
}

/// A source database by its logical name.
#[derive(Clone, Debug, FromRow)]
pub struct SourceClient {
    pub id: Uuid,
    pub name: String,
    pub url_encrypted: Vec<u8>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl SourceClient {
    /// Where the database is, with whatever opens it.
    pub fn url(&self, sealer: &Sealer) -> Result<Sensitive, seal::Error> {
        sealer.open(Column::ClientUrl, self.id, &self.url_encrypted)
    }
}

/// Stores a new client. Breaks `clients_name_key` where there is one of that name.
pub async fn insert(pool: &PgPool, sealer: &Sealer, name: &str, url: &Sensitive) -> Result<SourceClient, sqlx::Error> {
    let id = Uuid::now_v7();
    sqlx::query_as(concat!(
        "insert into tidewell.clients (id, name, url_encrypted) values ($1, $2, $3) returning ",
        columns!()
    ))
    .bind(id)
    .bind(name)
    .bind(sealer.seal(Column::ClientUrl, id, url.expose()))
    .fetch_one(pool)
    .await
}

/// The client of that id or name.
pub async fn resolve(pool: &PgPool, name: &str) -> Result<Option<SourceClient>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from tidewell.clients where id = $1 or name = $2"))
        .bind(Uuid::try_parse(name).ok())
        .bind(name)
        .fetch_optional(pool)
        .await
}

/// Clients, newest first; only those older than `before`.
pub async fn list(pool: &PgPool, before: Option<Uuid>, limit: i64) -> Result<Vec<SourceClient>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.clients where ($1::uuid is null or id < $1) order by id desc limit $2"
    ))
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Changes what is given; sync jobs follow a new name. `None` where there is no client of that id; breaks `clients_name_key` where
/// another has the name.
pub async fn update(
    pool: &PgPool,
    id: Uuid,
    name: Option<&str>,
    url: Option<(&Sealer, &Sensitive)>,
) -> Result<Option<SourceClient>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let before: Option<String> = sqlx::query_scalar("select name from tidewell.clients where id = $1 for update")
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
    let changed = sqlx::query_as(concat!(
        "update tidewell.clients
         set name = coalesce($2, name), url_encrypted = coalesce($3, url_encrypted), updated_at = clock_timestamp()
         where id = $1 returning ",
        columns!()
    ))
    .bind(id)
    .bind(name)
    .bind(url.map(|(sealer, url)| sealer.seal(Column::ClientUrl, id, url.expose())))
    .fetch_optional(&mut *transaction)
    .await?;
    if let (Some(before), Some(after)) = (&before, name)
        && before != after
    {
        sqlx::query("update public.typesense_sync_jobs set source_client_name = $2 where source_client_name = $1")
            .bind(before)
            .bind(after)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(changed)
}

/// What became of a client that was to be deleted.
#[derive(Debug)]
pub enum Deletion {
    Deleted(SourceClient),
    /// This sync job reads from it.
    InUse(String),
    NotFound,
}

/// Deletes a client that no sync job names.
pub async fn delete(pool: &PgPool, id: Uuid) -> Result<Deletion, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let found = sqlx::query_as(concat!("delete from tidewell.clients where id = $1 returning ", columns!()))
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(client): Option<SourceClient> = found else { return Ok(Deletion::NotFound) };
    let job = sqlx::query_scalar("select name from public.typesense_sync_jobs where source_client_name = $1 limit 1")
        .bind(&client.name)
        .fetch_optional(&mut *transaction)
        .await?;
    match job {
        Some(job) => Ok(Deletion::InUse(job)),
        None => transaction.commit().await.map(|()| Deletion::Deleted(client)),
    }
}
