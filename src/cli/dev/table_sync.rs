//! The demo's table sync: a client, and a job that keeps a collection like its table of packages.

use anyhow::Context;
use serde_json::json;
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        sync::{
            job::{self, Job},
            run::Trigger,
        },
    },
    domain::{seal::Sealer, sensitive::Sensitive, sync_job::Spec},
    sync::{check::check, request},
};

use super::{
    backend,
    files::DevJson,
    source::{self, Source, TABLE},
};

const CLIENT: &str = "demo";
const JOB: &str = "packages";
/// Not `packages`, which might be a collection of the user's.
const COLLECTION: &str = "demo_packages";
const EVERY_MINUTES: i32 = 15;

/// Makes what is missing of it, and asks for the first run of a new job. One that is there stays as somebody may have changed it.
pub(super) async fn make(pool: &PgPool, sealer: &Sealer, place: &DevJson, is_embedded: bool) -> anyhow::Result<Job> {
    let source = source::make(pool, place, is_embedded).await.context("the demo's table can't be made")?;
    client(pool, sealer, &source.url).await?;
    if let Some(found) = job::resolve(pool, JOB).await? {
        return Ok(found);
    }
    let spec = spec(pool, &source).await?;
    check(pool, sealer, &spec, None).await?;
    let made = job::insert(pool, &spec).await?.context("the demo's client was deleted meanwhile")?;
    let mut tx = pool.begin().await?;
    request::queue(&mut tx, made.id, Trigger::Manual).await?;
    tx.commit().await?;
    Ok(made)
}

/// Stores the client, or brings its URL up to date where that has changed since the last start.
async fn client(pool: &PgPool, sealer: &Sealer, url: &Sensitive) -> anyhow::Result<()> {
    match db::client::resolve(pool, CLIENT).await? {
        None => drop(db::client::insert(pool, sealer, CLIENT, url).await?),
        Some(found) if found.url(sealer).ok().as_ref() == Some(url) => {}
        // One that can't be opened was sealed with a secret that is no more.
        Some(found) => drop(db::client::update(pool, found.id, None, Some((sealer, url))).await?),
    }
    Ok(())
}

async fn spec(pool: &PgPool, source: &Source) -> anyhow::Result<Spec> {
    let backend = db::profile::resolve(pool, backend::NAME).await?;
    let backend = backend.with_context(|| format!("the backend {} has gone", backend::NAME))?;
    Ok(serde_json::from_value(json!({
        "name": JOB,
        "source_client_name": CLIENT,
        "source_schema_name": source.schema,
        "source_table_name": TABLE,
        "typesense_profile_id": backend.id,
        "collection_name": COLLECTION,
        "document_id_column": "name",
        "query_by_fields": ["name", "description"],
        "facet_by_fields": ["section", "priority"],
        "sort_by_fields": ["installed_size"],
        "default_sort_field": "installed_size",
        "sync_interval_minutes": EVERY_MINUTES,
    }))?)
}
