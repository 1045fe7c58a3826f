//! A look at a backend as it is, stored or not.

use chrono::DateTime;
use clap::Args;
use serde_json::{Value, json};
use tidewell::{
    backend::{self, Inspected, Listed},
    domain::{backend::DEFAULT_TIMEOUT_MS, sensitive::Sensitive},
    typesense::Client,
};

use super::{check_timeout, find, key, nodes};
use crate::cli::{
    Session,
    output::{maybe, record, table},
};

#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Its id or name
    #[arg(required_unless_present = "nodes")]
    backend: Option<String>,
    /// A node of one that is not stored; again for each further one
    #[arg(
        long = "node",
        visible_alias = "base-url",
        requires = "api_key",
        conflicts_with = "backend",
        value_name = "URL"
    )]
    nodes: Vec<String>,
    /// The key of one that is not stored; - reads it from stdin
    #[arg(long, requires = "nodes", value_name = "KEY|-")]
    api_key: Option<Sensitive>,
    /// How long a call may take [default: as stored, or 10000]
    #[arg(long, value_name = "MILLISECONDS")]
    timeout_ms: Option<i32>,
}

impl Target {
    async fn client(&self, session: &Session) -> anyhow::Result<Client> {
        self.timeout_ms.map_or(Ok(()), check_timeout)?;
        match (&self.backend, &self.api_key) {
            (None, Some(given)) => {
                let key = key(given, "API key")?;
                let nodes = nodes(session, &self.nodes)?;
                Ok(backend::at(&nodes, &key, self.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS))?)
            }
            (name, _) => {
                let mut profile = find(&session.database().await?, name.as_deref().unwrap_or_default()).await?;
                profile.timeout_ms = self.timeout_ms.unwrap_or(profile.timeout_ms);
                Ok(backend::client(&profile, &session.sealer()?)?)
            }
        }
    }
}

pub(super) async fn test(session: &Session, target: &Target) -> anyhow::Result<()> {
    let Inspected { latency_ms, version, collections, nodes } = backend::test(&target.client(session).await?).await?;
    let node_views: Vec<Value> = nodes
        .iter()
        .map(|node| json!({ "url": node.url, "healthy": node.healthy, "version": node.version, "error": node.error }))
        .collect();
    let view = json!({
        "ok": true,
        "latency_ms": latency_ms,
        "version": version,
        "collections": collections,
        "nodes": node_views,
    });
    session.show(&view, || {
        let about = record([
            ("latency", format!("{latency_ms} ms")),
            ("version", maybe(version.as_ref())),
            ("collections", collections.to_string()),
        ]);
        let lines = nodes.iter().map(|node| {
            let state = node.error.clone().unwrap_or_else(|| "healthy".to_owned());
            [node.url.clone(), maybe(node.version.as_ref()), state]
        });
        format!("the backend can be used\n\n{about}\n\n{}", table(["node", "version", "state"], &[], lines))
    })
}

pub(super) async fn collections(session: &Session, target: &Target) -> anyhow::Result<()> {
    let found = backend::collections(&target.client(session).await?).await?;
    let items: Vec<Value> = found.iter().map(collection).collect();
    session.show(&json!({ "items": items, "nextCursor": null }), || {
        let lines = found.iter().map(|Listed { collection, aliases }| {
            let (documents, fields) = (collection.num_documents.to_string(), collection.fields.len().to_string());
            [collection.name.clone(), documents, fields, aliases.join(" ")]
        });
        table(["name", "documents", "fields", "aliases"], &["documents", "fields"], lines)
    })
}

fn collection(Listed { collection, aliases }: &Listed) -> Value {
    json!({
        "name": collection.name,
        "num_documents": collection.num_documents,
        "fields": collection.fields,
        "default_sorting_field": collection.default_sorting_field,
        "enable_nested_fields": collection.enable_nested_fields,
        "created_at": DateTime::from_timestamp(collection.created_at, 0),
        "aliases": aliases,
    })
}
