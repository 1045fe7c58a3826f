//! Typesense, spoken to directly: what the gateway is compared with.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tidewell::domain::{
    document::{TENANT_FIELD, VERSION_FIELD},
    fields,
};

use super::load;

/// A client without anything that costs time.
#[derive(Clone)]
pub(crate) struct Typesense {
    pub(crate) url: String,
    pub(crate) key: String,
    http: Client,
    /// To be deleted in the end: collections, or aliases with the collection behind them.
    made: Arc<Mutex<Vec<String>>>,
}

impl Typesense {
    pub(crate) fn new(url: &str, key: &str) -> anyhow::Result<Self> {
        let http = Client::builder().no_proxy().tcp_nodelay(true).timeout(Duration::from_secs(120)).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), key: key.to_owned(), http, made: Arc::default() })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).header("x-typesense-api-key", &self.key)
    }

    /// To be deleted when things are tidied up.
    pub(crate) fn remember(&self, name: &str) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    /// A new collection of the very schema that the gateway gives an index of these fields.
    pub(crate) async fn create(&self, name: &str, fields: &[Value]) -> anyhow::Result<()> {
        self.create_plain(name, &fields::collection_fields(fields, None)).await
    }

    /// A new collection of these fields and no more.
    pub(crate) async fn create_plain(&self, name: &str, fields: &[Value]) -> anyhow::Result<()> {
        self.remember(name);
        let schema = json!({ "name": name, "fields": fields, "enable_nested_fields": true });
        self.request(Method::POST, "/collections").json(&schema).send().await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.request(Method::DELETE, &format!("/collections/{name}")).send().await?;
        self.request(Method::DELETE, &format!("/aliases/{name}")).send().await?;
        Ok(())
    }

    pub(crate) async fn tidy(&self) -> anyhow::Result<()> {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        for name in made {
            self.delete(&name).await?;
        }
        Ok(())
    }

    /// Imports lines, each of which must be taken.
    pub(crate) async fn import(&self, collection: &str, lines: Bytes) -> anyhow::Result<()> {
        let path = format!("/collections/{collection}/documents/import?action=upsert");
        let answer = self.request(Method::POST, &path).body(lines).send().await?.error_for_status()?.bytes().await?;
        if memchr(&answer, b"\"success\":false") {
            bail!("a raw import was refused: {}", String::from_utf8_lossy(&answer[..answer.len().min(500)]));
        }
        Ok(())
    }

    /// A document; null where there is none.
    pub(crate) async fn document(&self, collection: &str, id: &str) -> anyhow::Result<Value> {
        let answer = self.request(Method::GET, &format!("/collections/{collection}/documents/{id}")).send().await?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?)
    }

    /// How many documents a collection, or the one behind an alias, holds; 0 where there is none.
    pub(crate) async fn count(&self, collection: &str) -> anyhow::Result<u64> {
        let answer = self.request(Method::GET, &format!("/collections/{collection}")).send().await?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(0);
        }
        let told: Value = answer.error_for_status()?.json().await?;
        told["num_documents"].as_u64().with_context(|| format!("no num_documents in {told}"))
    }

    /// How many documents of a collection pass a filter.
    pub(crate) async fn found(&self, collection: &str, filter: &str) -> anyhow::Result<u64> {
        let found = self.search(&json!({ "collection": collection, "q": "*", "filter_by": filter })).await?;
        found["found"].as_u64().with_context(|| format!("nothing found in {found}"))
    }

    /// All documents of a collection, one a line.
    pub(crate) async fn export(&self, collection: &str) -> anyhow::Result<Bytes> {
        let call = self.request(Method::GET, &format!("/collections/{collection}/documents/export"));
        Ok(call.send().await?.error_for_status()?.bytes().await?)
    }

    /// Sends a body to `/multi_search`; the answer as it came.
    pub(crate) async fn multi_search(&self, body: Bytes) -> anyhow::Result<Bytes> {
        let call = self.request(Method::POST, "/multi_search").body(body);
        Ok(call.send().await?.error_for_status()?.bytes().await?)
    }

    /// Runs one search; its result.
    pub(crate) async fn search(&self, search: &Value) -> anyhow::Result<Value> {
        let answer = self.multi_search(json!({ "searches": [search] }).to_string().into()).await?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        let result = answer.get_mut("results").and_then(|results| results.get_mut(0)).map(Value::take);
        let result = result.context("no result")?;
        if let Some(error) = result.get("error") {
            bail!("a raw search failed: {error}");
        }
        Ok(result)
    }

    /// Documents a second that go into a new collection with so many lines a request and connections.
    pub(crate) async fn import_rate(&self, fields: &[Value], lines: &Lines, settings: Settings) -> anyhow::Result<f64> {
        const NAME: &str = "tidewell_bench_raw";
        self.delete(NAME).await?;
        self.create(NAME, fields).await?;
        let requests = lines.requests(settings.lines);
        let (typesense, count) = (self.clone(), requests.len());
        let load = load::run(settings.connections, count, move |n| {
            let (typesense, request) = (typesense.clone(), requests[n].clone());
            async move { typesense.import(NAME, request).await }
        })
        .await?;
        self.delete(NAME).await?;
        Ok(load.a_second(lines.0.len()))
    }
}

fn memchr(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// How an import is cut and sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) lines: usize,
    pub(crate) connections: usize,
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lines × {} connections", self.lines, self.connections)
    }
}

/// Documents as the gateway sends them: with the fields that it adds.
pub(crate) struct Lines(Vec<String>);

impl Lines {
    pub(crate) fn new(organization: &str, documents: &[String]) -> Self {
        let line = |(n, json): (usize, &String)| {
            format!("{{\"{TENANT_FIELD}\":\"{organization}\",\"{VERSION_FIELD}\":{},{}\n", n + 1, &json[1..])
        };
        Self(documents.iter().enumerate().map(line).collect())
    }

    /// As they were exported.
    pub(crate) fn exported(lines: &[u8]) -> Self {
        Self(String::from_utf8_lossy(lines).lines().map(|line| format!("{line}\n")).collect())
    }

    /// The first ones alone.
    pub(crate) fn first(&self, count: usize) -> Self {
        Self(self.0.iter().take(count).cloned().collect())
    }

    /// All of them at once.
    pub(crate) fn request(&self) -> Bytes {
        Bytes::from(self.0.concat())
    }

    fn requests(&self, lines: usize) -> Vec<Bytes> {
        self.0.chunks(lines).map(|chunk| Bytes::from(chunk.concat())).collect()
    }
}
