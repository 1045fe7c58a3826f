//! A whole Tidewell between proxies: its replicas, its tenants, its tables.

use std::sync::Arc;

use anyhow::Context;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};
use tokio::sync::Mutex;

use crate::{
    api::{Api, Call, Strange},
    process::Process,
    proxy::{
        database::DatabaseProxy,
        http::HttpProxy,
        trick::{Tally, Tricks},
    },
    replica::Replica,
    stage::{self, Stage},
};

const OPERATOR_KEY: &str = "the-operator-key-of-a-chaotic-site";
/// Where the tables are that are kept in sync.
const SOURCE: &str = "source";

/// Under a plan with a cap and a wallet.
pub(crate) const BOOKS: &str = "books";
/// Documents are deleted by filter here.
pub(crate) const SHELF: &str = "shelf";
/// Written to by Typesense's own routes.
pub(crate) const COMPAT: &str = "compat";
/// Searched.
pub(crate) const FOUND: &str = "found";

pub(crate) struct Site {
    pub(crate) stage: Mutex<Stage>,
    pub(crate) pool: PgPool,
    pub(crate) source: PgPool,
    pub(crate) typesense: (String, String),
    pub(crate) operator: Api,
    pub(crate) strange: Strange,
    pub(crate) serves: Vec<Arc<Mutex<Replica>>>,
    pub(crate) works: Vec<Arc<Mutex<Replica>>>,
    pub(crate) typesense_proxy: HttpProxy,
    pub(crate) fronts: Vec<HttpProxy>,
    /// Before the tables.
    pub(crate) source_proxy: DatabaseProxy,
    pub(crate) tally: Tally,
    /// The job of a table that runs compare, and that of one that is followed.
    pub(crate) compared: SyncJob,
    pub(crate) followed: SyncJob,
}

/// An organization with one index of the same name.
pub(crate) struct Tenant {
    pub(crate) name: &'static str,
    pub(crate) alias: String,
    pub(crate) api: Api,
}

pub(crate) struct SyncJob {
    pub(crate) id: String,
    /// The table's name, and the collection's.
    pub(crate) name: &'static str,
}

/// How everything is set: leases and doubts that are over soon, so that a short run sees many of them.
fn settings(typesense_url: &str, typesense_key: &str) -> Vec<(String, String)> {
    let settings = [
        ("PATH", "/usr/bin:/bin"),
        ("ATHENA_KEY_12", OPERATOR_KEY),
        ("ATHENA_TYPESENSE_ALLOW_HTTP", "true"),
        ("ATHENA_TYPESENSE_SYNC_WORKER_POLL_MS", "1000"),
        ("TIDEWELL_SECRET", "the-master-secret-of-a-chaotic-site"),
        ("TIDEWELL_TYPESENSE_URL", typesense_url),
        ("TIDEWELL_TYPESENSE_API_KEY", typesense_key),
        ("TIDEWELL_LOG_FORMAT", "json"),
        ("TIDEWELL_LEASE_SECONDS", "5"),
        ("TIDEWELL_IMPORT_TIMEOUT_SECONDS", "2"),
        ("TIDEWELL_DOUBT_SECONDS", "12"),
        ("TIDEWELL_RETRY_BASE_MS", "100"),
        ("TIDEWELL_RETRY_CAP_SECONDS", "2"),
        ("TIDEWELL_POLL_MS", "300"),
        ("TIDEWELL_IMPORT_LINES", "100"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

impl Site {
    pub(crate) async fn open(stage: Stage, random: &mut StdRng) -> anyhow::Result<(Self, [Tenant; 4])> {
        let tally = Tally::default();
        let mut tricks = || Tricks::new(StdRng::seed_from_u64(random.random()), tally.clone());
        let (typesense_url, typesense_key) = stage.typesense_at()?;
        let typesense_proxy = HttpProxy::before(&typesense_url, tricks()).await?;
        let database_url = stage.database_url("tidewell")?;
        let settings = settings(&typesense_proxy.url, &typesense_key);
        let mut direct = settings.clone();
        direct.push(("TIDEWELL_DATABASE_URL".to_owned(), database_url.clone()));
        Process::complete(stage.folder(), "migrate", &direct).await?;
        let pool = stage::direct(&database_url).await?;
        pool.execute(sqlx::AssertSqlSafe(format!("create database {SOURCE}"))).await?;
        let source_url = stage.database_url(SOURCE)?;
        let source = stage::direct(&source_url).await?;
        let port = database_url.parse::<reqwest::Url>()?.port().context("a URL without a port")?;
        let source_proxy = DatabaseProxy::before(port).await?;

        let (mut serves, mut works, mut fronts) = (vec![], vec![], vec![]);
        for number in 1..=2 {
            let (serve, front) =
                Replica::serve(stage.folder().to_owned(), number, settings.clone(), &database_url, tricks()).await?;
            serves.push(serve);
            fronts.push(front);
            works.push(Replica::work(stage.folder().to_owned(), number, settings.clone(), &database_url).await?);
        }
        serves.iter_mut().chain(&mut works).try_for_each(Replica::start)?;
        let strange = Strange::default();
        let urls = fronts.iter().map(|front| front.url.clone()).collect();
        let operator = Api::new(urls, "x-athena-key", OPERATOR_KEY.to_owned(), strange.clone())?;
        let tenants = tenants(&operator, random).await?;
        let source_through = source_proxy.through(&source_url)?;
        let backend = (typesense_proxy.url.as_str(), typesense_key.as_str());
        let (compared, followed) = tables(&operator, random, &source, &source_through, backend).await?;
        let together = |replicas: Vec<Replica>| replicas.into_iter().map(|one| Arc::new(Mutex::new(one))).collect();
        let site = Self {
            stage: Mutex::new(stage),
            pool,
            source,
            typesense: (typesense_url, typesense_key),
            operator,
            strange,
            serves: together(serves),
            works: together(works),
            typesense_proxy,
            fronts,
            source_proxy,
            tally,
            compared,
            followed,
        };
        Ok((site, tenants))
    }

    /// Ends all tricks.
    pub(crate) fn calm(&self) {
        self.typesense_proxy.tricks.end();
        self.fronts.iter().for_each(|front| front.tricks.end());
    }

    /// Starts what has ended by itself, as whoever looks after processes does. One that something is done to just now is left alone.
    pub(crate) fn look_after(&self) -> anyhow::Result<()> {
        let mut free = self.serves.iter().chain(&self.works).filter_map(|replica| replica.try_lock().ok());
        free.try_for_each(|mut replica| replica.start())
    }
}

async fn tenants(operator: &Api, random: &mut StdRng) -> anyhow::Result<[Tenant; 4]> {
    let plan = json!({ "monthlyUnits": 500, "overageMinorPerThousand": 30 });
    operator.call(random, Call::json(Method::PUT, "/v1/plans/small", &plan), &[200]).await?;
    let books = tenant(operator, random, BOOKS, "small").await?;
    let shelf = tenant(operator, random, SHELF, "enterprise").await?;
    let compat = tenant(operator, random, COMPAT, "enterprise").await?;
    let found = tenant(operator, random, FOUND, "small").await?;
    Ok([books, shelf, compat, found])
}

async fn tenant(operator: &Api, random: &mut StdRng, name: &'static str, plan: &str) -> anyhow::Result<Tenant> {
    let mut post = async |path: &str, body: &Value, expected: u16| -> anyhow::Result<Value> {
        Ok(operator.call(random, Call::json(Method::POST, path, body), &[expected]).await?.json())
    };
    post("/v1/organizations", &json!({ "slug": name, "name": name, "plan": plan }), 201).await?;
    let path = format!("/v1/organizations/{name}");
    post(&format!("{path}/wallet:topUp"), &json!({ "amountMinor": 1_000_000 }), 200).await?;
    // A fault that passes is never to spend the last attempt.
    let index = json!({ "slug": name, "maxAttempts": 100, "fields": fields(None) });
    let index = post(&format!("{path}/indexes"), &index, 201).await?;
    let key = json!({ "name": name, "kind": "connector", "scopes": ["ingest", "search", "admin", "connector_write"],
                      "rateLimitPerMinute": 1_000_000 });
    let key = post(&format!("{path}/keys"), &key, 201).await?;
    operator.call(random, Call::json(Method::PATCH, &path, &json!({ "overageEnabled": true })), &[200]).await?;
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned).context("an answer without it");
    let api = operator.with("authorization", format!("Bearer {}", text(&key, "rawKey")?));
    Ok(Tenant { name, alias: text(&index, "alias")?, api })
}

/// The fields of every index, and one more.
pub(crate) fn fields(more: Option<&str>) -> Value {
    let mut fields = vec![
        json!({ "name": "title", "type": "string" }),
        json!({ "name": "year", "type": "int32", "optional": true }),
    ];
    fields.extend(more.map(|name| json!({ "name": name, "type": "string", "optional": true })));
    Value::Array(fields)
}

/// Two tables of the same kind, each with a sync job. Their collections take only rows whose `tags` are a list.
async fn tables(
    operator: &Api,
    random: &mut StdRng,
    source: &PgPool,
    source_url: &str,
    (typesense_url, key): (&str, &str),
) -> anyhow::Result<(SyncJob, SyncJob)> {
    for table in ["items", "notes"] {
        let make = format!(
            "create table {table} (id bigint primary key, title text not null, tags jsonb not null);
             insert into {table} select n, 'first ' || n, '[\"first\"]' from generate_series(1, 500) as n"
        );
        source.execute(sqlx::AssertSqlSafe(make)).await?;
    }
    let client = json!({ "name": "shop", "url": source_url });
    operator.call(random, Call::json(Method::POST, "/v1/clients", &client), &[201]).await?;
    let backend = json!({ "name": "main", "base_url": typesense_url, "api_key": key, "timeout_ms": 2000 });
    let backend =
        operator.call(random, Call::json(Method::POST, "/typesense/backends", &backend), &[201]).await?.json();
    let mut job = async |name: &'static str, mode: &str| -> anyhow::Result<SyncJob> {
        let spec = json!({
            "name": name, "source_client_name": "shop", "source_table_name": name, "collection_name": name,
            "typesense_profile_id": backend["data"]["id"], "document_id_column": "id", "mode": mode,
            "field_config": { "tags": { "type": "string[]" } }, "batch_size": 100,
        });
        let made = operator.call(random, Call::json(Method::POST, "/typesense/sync-jobs", &spec), &[201]).await?.json();
        let id = made["data"]["id"].as_str().context("a job without an id")?.to_owned();
        Ok(SyncJob { id, name })
    };
    Ok((job("items", "scheduled").await?, job("notes", "live").await?))
}
