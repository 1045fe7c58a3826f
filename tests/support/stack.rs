//! A whole Tidewell: a database of its own, front ends and workers as processes.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    client::Client,
    process::{self, Process},
    servers::servers,
};

pub const OPERATOR_KEY: &str = "the-operator-key-of-the-tests";

/// Where a stack finds its servers, and how it is set.
#[derive(Clone)]
pub struct Setting {
    pub database_url: String,
    pub typesense_url: String,
    pub typesense_api_key: String,
    /// Over the ones that make tests quick.
    pub more: Vec<(&'static str, String)>,
}

impl Setting {
    /// A database of its own on the shared servers.
    pub async fn fresh() -> Self {
        let servers = servers().await;
        Self {
            database_url: servers.fresh_database().await,
            typesense_url: servers.typesense_url.clone(),
            typesense_api_key: servers.typesense_api_key.clone(),
            more: vec![],
        }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.more.push((name, value.to_string()));
        self
    }

    /// As environment variables.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("ATHENA_KEY_12", OPERATOR_KEY.to_owned()),
            ("TIDEWELL_SECRET", "the-master-secret-of-all-of-the-tests".to_owned()),
            ("TIDEWELL_DATABASE_URL", self.database_url.clone()),
            ("TIDEWELL_TYPESENSE_URL", self.typesense_url.clone()),
            ("TIDEWELL_TYPESENSE_API_KEY", self.typesense_api_key.clone()),
            ("TIDEWELL_LISTEN", "127.0.0.1:0".to_owned()),
            ("TIDEWELL_LOG_FORMAT", "json".to_owned()),
            ("TIDEWELL_LEASE_SECONDS", "5".to_owned()),
            ("TIDEWELL_IMPORT_TIMEOUT_SECONDS", "2".to_owned()),
            ("TIDEWELL_DOUBT_SECONDS", "4".to_owned()),
            ("TIDEWELL_RETRY_BASE_MS", "100".to_owned()),
            ("TIDEWELL_POLL_MS", "300".to_owned()),
        ];
        all.extend(self.more.iter().cloned());
        // The last of a name wins.
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub fn migrate(&self) {
        let output = process::run(&["migrate"], &self.variables());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn serve(&self) -> FrontEnd {
        let process = Process::start(&["serve"], &self.variables());
        let address = process.logged("serving", "address");
        FrontEnd { operator: Client::new(&format!("http://{address}"), "x-athena-key", OPERATOR_KEY), process }
    }

    pub fn work(&self) -> Process {
        let process = Process::start(&["work"], &self.variables());
        process.logged("working", "worker");
        process
    }

    pub async fn pool(&self) -> PgPool {
        PgPool::connect(&self.database_url).await.expect("the database")
    }
}

/// A front end that serves.
pub struct FrontEnd {
    pub process: Process,
    pub operator: Client,
}

/// One front end and one worker.
pub struct Stack {
    pub setting: Setting,
    pub front: FrontEnd,
    pub worker: Option<Process>,
}

impl Stack {
    pub async fn start() -> Self {
        Self::of(Setting::fresh().await).await
    }

    pub async fn of(setting: Setting) -> Self {
        let stack = Self::without_worker(setting).await;
        Self { worker: Some(stack.setting.work()), ..stack }
    }

    pub async fn without_worker(setting: Setting) -> Self {
        setting.migrate();
        Self { front: setting.serve(), worker: None, setting }
    }

    pub fn operator(&self) -> &Client {
        &self.front.operator
    }

    /// An organization with the index `books`, and keys for it.
    pub async fn tenant(&self, slug: &str) -> Tenant {
        Tenant::make(self.operator(), slug, json!({})).await
    }
}

/// An organization with one index.
pub struct Tenant {
    pub organization: Value,
    pub index: Value,
    /// With all scopes.
    pub client: Client,
}

impl Tenant {
    /// The alias of its index.
    pub fn alias(&self) -> &str {
        self.index["alias"].as_str().expect("an alias")
    }

    /// `index` adds to the index's properties.
    pub async fn make(operator: &Client, slug: &str, index: Value) -> Self {
        let new = json!({ "slug": slug, "name": slug, "plan": "enterprise" });
        let organization = operator.post("/v1/organizations", &new).await.expect(201);
        let mut new = json!({
            "slug": "books",
            "fields": [
                { "name": "title", "type": "string" },
                { "name": "genre", "type": "string", "facet": true, "optional": true },
                { "name": "year", "type": "int32", "optional": true },
            ],
        });
        new.as_object_mut().expect("an object").extend(index.as_object().expect("an object").clone());
        let index = operator.post(&format!("/v1/organizations/{slug}/indexes"), &new).await.expect(201);
        let client = operator.bearer(&key(operator, slug, &["ingest", "search", "admin"]).await);
        Self { organization, index, client }
    }
}

/// A new key of an organization.
pub async fn key(operator: &Client, organization: &str, scopes: &[&str]) -> String {
    let new = json!({ "name": "test", "kind": "connector", "scopes": scopes, "rateLimitPerMinute": 1_000_000 });
    let key = operator.post(&format!("/v1/organizations/{organization}/keys"), &new).await.expect(201);
    key["rawKey"].as_str().expect("a key").to_owned()
}
