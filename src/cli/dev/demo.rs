//! The demo: an organization, an index full of products, and a key for each side of it.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use sqlx::PgPool;
use tidewell::{
    config::Config,
    db::{
        self,
        index::{Index, NewIndex},
        key::{By, NewKey},
        organization::Organization,
    },
    domain::{
        document::Document,
        secret::{self, KeyKind},
    },
    ingest::{self, Refusal, Write, Writes},
};
use tokio_util::sync::CancellationToken;

use super::{files::Secrets, products};
use crate::cli::job;

const ORGANIZATION: &str = "demo";
/// Roomy: nobody should meet the end of a quota while trying things out.
const PLAN: &str = "pro";
pub(super) const INDEX: &str = "products";
const RATE_LIMIT_PER_MINUTE: i32 = 6000;
/// How long the demo's products may take until they are found; then the start goes on without them.
const PROJECTED_WITHIN: Duration = Duration::from_secs(30);

/// The demo's keys.
pub(super) struct Keys {
    pub(super) search: String,
    pub(super) connector: String,
}

/// Makes what is missing of the demo, and waits until its products can be searched.
pub(super) async fn make(
    pool: &PgPool,
    config: &Config,
    folder: &Path,
    secrets: &mut Secrets,
    shutdown: &CancellationToken,
) -> anyhow::Result<Keys> {
    let organization = organization(pool).await?;
    let index = index(pool, &organization).await?;
    let search = key(pool, &organization, KeyKind::Search, secrets.search_key.take()).await?;
    let connector = key(pool, &organization, KeyKind::Connector, secrets.connector_key.take()).await?;
    secrets.search_key = Some(search.clone());
    secrets.connector_key = Some(connector.clone());
    secrets.keep(folder)?;
    if db::backlog::is_untouched(pool, index.id).await? {
        let job_id = write_products(pool, &index, config).await?;
        tokio::select! {
            waited = job::wait_for(pool, job_id, PROJECTED_WITHIN) => {
                if !waited?.has_ended() {
                    tracing::warn!(%job_id, "the demo's products are not all searchable yet");
                }
            }
            () = shutdown.cancelled() => {}
        }
    }
    Ok(Keys { search, connector })
}

async fn organization(pool: &PgPool) -> Result<Organization, sqlx::Error> {
    match db::organization::resolve(pool, ORGANIZATION).await? {
        Some(found) => Ok(found),
        None => db::organization::insert(pool, ORGANIZATION, "Demo", PLAN).await,
    }
}

async fn index(pool: &PgPool, organization: &Organization) -> anyhow::Result<Index> {
    if let Some(found) = db::index::resolve(pool, Some(organization.id), INDEX).await?.pop() {
        return Ok(found);
    }
    let fields = products::fields();
    let default_sorting_field = Some(products::DEFAULT_SORTING_FIELD);
    let new = NewIndex {
        slug: INDEX,
        fields: &fields,
        default_sorting_field,
        embedding: None,
        max_attempts: None,
        cache_seconds: None,
    };
    Ok(db::index::insert(pool, organization.id, &new).await??)
}

/// The key kept from an earlier start if it still works, else a new one.
async fn key(
    pool: &PgPool,
    organization: &Organization,
    kind: KeyKind,
    kept: Option<String>,
) -> anyhow::Result<String> {
    if let Some(raw) = kept
        && let Some((key, clock)) = db::key::authenticate(pool, By::Hash(secret::hash(&raw))).await?
        && !clock.is_past(key.expires_at)
    {
        return Ok(raw);
    }
    let scopes: &[&str] = match kind {
        KeyKind::Search => &["search"],
        KeyKind::Connector => &["connector_write", "ingest", "admin"],
    };
    let secret = secret::new_key(kind);
    let new = NewKey {
        organization_id: organization.id,
        index_id: None,
        name: &format!("demo {}", kind.as_str()),
        kind: kind.as_str(),
        scopes: &scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>(),
        allowed_origins: &[],
        rate_limit_per_minute: RATE_LIMIT_PER_MINUTE,
        expires_at: None,
    };
    db::key::insert(pool, &new, &secret).await??;
    Ok(secret.raw)
}

/// Puts the products in by the way that every write goes.
async fn write_products(pool: &PgPool, index: &Index, config: &Config) -> anyhow::Result<uuid::Uuid> {
    let texts: Vec<String> = products::all().map(|product| product.to_string()).collect();
    let documents: Result<Vec<_>, _> = texts.iter().enumerate().map(|(n, text)| Document::parse(text, n)).collect();
    let documents =
        documents.map_err(|rejection| anyhow::anyhow!("a demo product is refused: {}", rejection.message))?;
    let write = Write {
        index,
        request_id: "demo",
        writes: Writes::Upserts(documents),
        rejected: Vec::new(),
        idempotency: None,
        backlog_limit: i64::from(config.backlog_limit),
    };
    match ingest::accept(pool, write).await {
        Ok((accepted, _)) => Ok(accepted.job_id),
        Err(Refusal::Database(error)) => Err(error).context("the demo's products can't be written"),
        Err(refusal) => bail!("the demo's products are refused ({refusal:?}): try --no-demo"),
    }
}
