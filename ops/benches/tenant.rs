//! A Tidewell of its own for a measurement: a database, the processes, and an organization with a key.

use std::{net::TcpListener, time::Duration};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::domain::secret;

use super::{
    connection::Connection,
    process::Process,
    stack::{self, Stack},
};

/// A database with the tables of Tidewell in it, and what is needed to run on it.
pub(crate) struct Site<'a> {
    stack: &'a Stack,
    pub(crate) url: String,
    /// For looking on.
    pub(crate) pool: PgPool,
    operator_key: String,
    /// Settings of the measurement's own.
    more: Vec<(&'static str, String)>,
}

impl<'a> Site<'a> {
    pub(crate) async fn open(stack: &'a Stack, name: &str) -> anyhow::Result<Self> {
        let url = stack.database(name).await?;
        let site =
            Self { stack, pool: stack::pool(&url, 2).await?, url, operator_key: secret::random_token(), more: vec![] };
        Process::complete(&stack.folder, "migrate", &site.settings()).await?;
        Ok(site)
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.more.push((name, value.to_owned()));
        self
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let typesense = &self.stack.typesense;
        let mut settings = vec![
            ("TIDEWELL_DATABASE_URL", self.url.clone()),
            ("TIDEWELL_TYPESENSE_URL", typesense.url.clone()),
            ("TIDEWELL_TYPESENSE_API_KEY", typesense.key.clone()),
            ("TIDEWELL_SECRET", self.operator_key.clone()),
            ("ATHENA_KEY_12", self.operator_key.clone()),
            ("ATHENA_TYPESENSE_ALLOW_HTTP", "true".to_owned()),
        ];
        settings.extend(self.more.iter().cloned());
        settings
    }

    /// Starts `tidewell work`.
    pub(crate) fn work(&self) -> anyhow::Result<Process> {
        Process::start(&self.stack.folder, "work", &self.settings())
    }

    /// Starts `tidewell serve`, with a tenant to write as.
    pub(crate) async fn serve(&self) -> anyhow::Result<(Process, Tenant)> {
        let (process, operator) = self.serve_operator().await?;
        let tenant = Tenant::create(operator, self.stack).await?;
        Ok((process, tenant))
    }

    /// Starts `tidewell serve` and waits until it serves; to be called as the operator.
    pub(crate) async fn serve_operator(&self) -> anyhow::Result<(Process, Connection)> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut settings = self.settings();
        settings.push(("TIDEWELL_LISTEN", format!("127.0.0.1:{port}")));
        let mut process = Process::start(&self.stack.folder, "serve", &settings)?;
        let operator = Connection::new(&format!("http://127.0.0.1:{port}"), ("x-athena-key", &self.operator_key))?;
        while operator.get("/readyz").await.is_err() {
            process.check()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok((process, operator))
    }

    /// Rows of an index that have ended so far, of the index's whole life.
    pub(crate) async fn settled(&self, index: &Index) -> anyhow::Result<i64> {
        let settled = sqlx::query_scalar("select sum(settled)::bigint from tidewell.lanes where index_id = $1::uuid");
        Ok(settled.bind(&index.id).fetch_one(&self.pool).await?)
    }

    /// Waits until so many rows of an index have ended, and fails where one became a dead letter.
    pub(crate) async fn wait_settled(&self, index: &Index, count: usize, work: &mut Process) -> anyhow::Result<()> {
        while (self.settled(index).await? as usize) < count {
            work.check()?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let dead: i64 = sqlx::query_scalar("select count(*) from tidewell.dead_letters").fetch_one(&self.pool).await?;
        if dead > 0 {
            bail!("{dead} documents became dead letters");
        }
        Ok(())
    }
}

/// An organization and a key that may do everything in it.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(crate) organization: String,
    /// As the tenant.
    pub(crate) api: Connection,
    operator: Connection,
    typesense: super::raw::Typesense,
}

/// An index of the tenant.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) id: String,
    /// Its name in Typesense.
    pub(crate) alias: String,
}

impl Tenant {
    async fn create(operator: Connection, stack: &Stack) -> anyhow::Result<Self> {
        let slug = format!("bench-{}", secret::new_short_id());
        let organization = json!({ "slug": slug, "name": "Bench", "plan": "enterprise" });
        operator.post("/v1/organizations", &organization).await?;
        let shown: Value = serde_json::from_slice(&operator.get(&format!("/v1/organizations/{slug}")).await?)?;
        let key = json!({ "name": "bench", "kind": "connector", "scopes": ["ingest", "search", "admin"],
                          "rateLimitPerMinute": 1_000_000 });
        let key = operator.post(&format!("/v1/organizations/{slug}/keys"), &key).await?;
        let bearer = format!("Bearer {}", text(&key, "rawKey")?);
        let api = Connection::new(operator.base(), ("authorization", &bearer))?;
        let organization = text(&shown, "id")?;
        Ok(Self { organization, api, operator, typesense: stack.typesense.clone() })
    }

    pub(crate) async fn index(&self, slug: &str, fields: &[Value]) -> anyhow::Result<Index> {
        self.make_index(&json!({ "slug": slug, "fields": fields })).await
    }

    /// An index as it is described.
    pub(crate) async fn make_index(&self, new: &Value) -> anyhow::Result<Index> {
        let path = format!("/v1/organizations/{}/indexes", self.organization);
        let made = self.operator.post(&path, new).await?;
        let index = Index { id: text(&made, "id")?, alias: text(&made, "alias")? };
        self.typesense.remember(&index.alias);
        Ok(index)
    }
}

impl Index {
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/indexes/{}/{rest}", self.id)
    }
}

fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    let text = value.get(name).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("no {name} in {value}"))
}
