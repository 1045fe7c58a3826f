//! Profiles: the backends of table syncs, each a Typesense with its nodes and keys, sealed.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::domain::{
    seal::{self, Column, Sealer},
    sensitive::Sensitive,
};

macro_rules! columns {
    () => {
        "id, name, base_url, further_urls, timeout_ms, api_key_encrypted, search_api_key_encrypted, created_at, updated_at"
    };
}

/// A Typesense to sync into.
#[derive(Clone, Debug, FromRow)]
pub struct Profile {
    pub id: Uuid,
    pub name: String,
    /// The node that is asked first.
    pub base_url: String,
    /// Those that take its place.
    pub further_urls: Vec<String>,
    pub timeout_ms: i32,
    pub api_key_encrypted: Vec<u8>,
    pub search_api_key_encrypted: Option<Vec<u8>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Profile {
    /// The addresses of all nodes, in the order in which they are asked.
    pub fn nodes(&self) -> Vec<String> {
        std::iter::once(&self.base_url).chain(&self.further_urls).cloned().collect()
    }

    pub fn api_key(&self, sealer: &Sealer) -> Result<Sensitive, seal::Error> {
        sealer.open(Column::BackendKey, self.id, &self.api_key_encrypted)
    }

    /// The key that searches are made with: one of their own where there is one.
    pub fn search_key(&self, sealer: &Sealer) -> Result<Sensitive, seal::Error> {
        match &self.search_api_key_encrypted {
            Some(sealed) => sealer.open(Column::BackendSearchKey, self.id, sealed),
            None => self.api_key(sealer),
        }
    }
}

/// A profile to be stored.
#[derive(Debug)]
pub struct NewProfile<'a> {
    pub name: &'a str,
    /// At least one.
    pub nodes: &'a [String],
    pub timeout_ms: i32,
    pub api_key: &'a Sensitive,
    pub search_api_key: Option<&'a Sensitive>,
}

/// Stores a new profile. Breaks `typesense_profiles_name_key` where there is one of that name.
pub async fn insert(pool: &PgPool, sealer: &Sealer, new: &NewProfile<'_>) -> Result<Profile, sqlx::Error> {
    let id = Uuid::now_v7();
    let (first, further) = first_and_further(new.nodes);
    sqlx::query_as(concat!(
        "insert into public.typesense_profiles
             (id, name, base_url, further_urls, timeout_ms, api_key_encrypted, search_api_key_encrypted)
         values ($1, $2, $3, $4, $5, $6, $7)
         returning ",
        columns!()
    ))
    .bind(id)
    .bind(new.name)
    .bind(first)
    .bind(further)
    .bind(new.timeout_ms)
    .bind(sealer.seal(Column::BackendKey, id, new.api_key.expose()))
    .bind(new.search_api_key.map(|key| sealer.seal(Column::BackendSearchKey, id, key.expose())))
    .fetch_one(pool)
    .await
}

fn first_and_further(nodes: &[String]) -> (Option<&String>, &[String]) {
    nodes.split_first().map_or((None, &[]), |(first, further)| (Some(first), further))
}

/// The profile of that id.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Profile>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from public.typesense_profiles where id = $1"))
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// The profile of that id or name.
pub async fn resolve(pool: &PgPool, name: &str) -> Result<Option<Profile>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from public.typesense_profiles where id = $1 or name = $2"))
        .bind(Uuid::try_parse(name).ok())
        .bind(name)
        .fetch_optional(pool)
        .await
}

/// Profiles, newest first; only those older than `before`.
pub async fn list(pool: &PgPool, before: Option<Uuid>, limit: i64) -> Result<Vec<Profile>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from public.typesense_profiles where ($1::uuid is null or id < $1) order by id desc limit $2"
    ))
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// What may be changed of a profile; `None` leaves it as it is.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    pub name: Option<&'a str>,
    /// All of them, at least one.
    pub nodes: Option<&'a [String]>,
    pub timeout_ms: Option<i32>,
    pub api_key: Option<&'a Sensitive>,
    /// `Some(None)` takes it away.
    pub search_api_key: Option<Option<&'a Sensitive>>,
}

/// Changes a profile; `None` where there is none of that id. Breaks `typesense_profiles_name_key` where another has the name.
pub async fn update(
    pool: &PgPool,
    sealer: &Sealer,
    id: Uuid,
    changes: &Changes<'_>,
) -> Result<Option<Profile>, sqlx::Error> {
    let (first, further) = changes.nodes.map(first_and_further).unzip();
    sqlx::query_as(concat!(
        "update public.typesense_profiles
         set name = coalesce($2, name), base_url = coalesce($3, base_url), further_urls = coalesce($4, further_urls),
             timeout_ms = coalesce($5, timeout_ms), api_key_encrypted = coalesce($6, api_key_encrypted),
             search_api_key_encrypted = case when $7 then $8 else search_api_key_encrypted end,
             updated_at = clock_timestamp()
         where id = $1 returning ",
        columns!()
    ))
    .bind(id)
    .bind(changes.name)
    .bind(first.flatten())
    .bind(further)
    .bind(changes.timeout_ms)
    .bind(changes.api_key.map(|key| sealer.seal(Column::BackendKey, id, key.expose())))
    .bind(changes.search_api_key.is_some())
    .bind(changes.search_api_key.flatten().map(|key| sealer.seal(Column::BackendSearchKey, id, key.expose())))
    .fetch_optional(pool)
    .await
}

/// Deletes a profile; `None` where there is none of that id. Breaks `typesense_sync_jobs_profile_fkey` while a sync job writes into it.
pub async fn delete(pool: &PgPool, id: Uuid) -> Result<Option<Profile>, sqlx::Error> {
    sqlx::query_as(concat!("delete from public.typesense_profiles where id = $1 returning ", columns!()))
        .bind(id)
        .fetch_optional(pool)
        .await
}
