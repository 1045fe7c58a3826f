//! A look at a Typesense, whether it is stored as a backend or not.

use axum::{Json as Answer, extract::State as Shared};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    backends,
    envelope::{Failures, Success, ok},
};
use crate::{
    backend::{self, Inspected, Listed, NodeState},
    domain::{
        backend::{DEFAULT_TIMEOUT_MS, key_fault, node_urls, timeout_fault},
        sensitive::Sensitive,
    },
    http::{Error, State, body::Json, page::Page, validate::Faults},
    reach, typesense,
};

/// Test a backend
///
/// Its nodes are asked how they are, and one is asked for what takes a key.
#[utoipa::path(post, path = "/typesense/backends/test", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), request_body = Target,
    responses((status = 200, body = Success<TestView>), Failures))]
pub(super) async fn test(
    Shared(state): Shared<State>,
    Json(target): Json<Target>,
) -> Result<Answer<Success<TestView>>, Error> {
    let found = backend::test(&target.client(&state).await?).await?;
    Ok(ok("the backend can be used", found.into()))
}

/// List a backend's collections
#[utoipa::path(post, path = "/typesense/collections/list", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), request_body = Target,
    responses((status = 200, body = Success<Page<CollectionView>>), Failures))]
pub(super) async fn collections(
    Shared(state): Shared<State>,
    Json(target): Json<Target>,
) -> Result<Answer<Success<Page<CollectionView>>>, Error> {
    let found = backend::collections(&target.client(&state).await?).await?;
    let message = format!("the backend has {} collections", found.len());
    let items = found.into_iter().map(CollectionView::from).collect();
    Ok(ok(message, Page { items, next_cursor: None }))
}

/// Either `base_url` and `api_key`, or `profile_id`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// A stored backend.
    profile_id: Option<Uuid>,
    /// Such as `https://search.example.com:8108`.
    base_url: Option<String>,
    #[schema(value_type = Option<String>)]
    api_key: Option<Sensitive>,
    /// How long a call may take; that of the stored backend where left out, or 10000.
    #[schema(minimum = 100, maximum = 600_000)]
    timeout_ms: Option<i32>,
}

impl Target {
    async fn client(self, state: &State) -> Result<typesense::Client, Error> {
        let mut faults = Faults::default();
        if let Some(fault) = self.timeout_ms.and_then(timeout_fault) {
            faults.add("timeout_ms", fault);
        }
        match (self.profile_id, self.base_url, self.api_key) {
            (Some(id), None, None) => {
                faults.check()?;
                let mut profile = backends::find(state, id).await?;
                profile.timeout_ms = self.timeout_ms.unwrap_or(profile.timeout_ms);
                Ok(backend::client(&profile, state.sealer()?)?)
            }
            (None, Some(base_url), Some(api_key)) => {
                if let Some(fault) = key_fault(api_key.expose()) {
                    faults.add("api_key", fault);
                }
                let nodes = node_urls(&[base_url], state.plain_http, reach::policy()).unwrap_or_else(|(_, fault)| {
                    faults.add("base_url", fault);
                    Vec::new()
                });
                faults.check()?;
                Ok(backend::at(&nodes, &api_key, self.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS))?)
            }
            _ => {
                faults.add("body", "must hold base_url and api_key, or profile_id and neither of these");
                Err(faults.into())
            }
        }
    }
}

/// A backend that can be used.
#[derive(Serialize, ToSchema)]
#[schema(as = BackendTest)]
pub(super) struct TestView {
    ok: bool,
    /// Of a call that takes the key.
    latency_ms: u64,
    /// The release of Typesense, where the key may ask for it.
    version: Option<String>,
    /// How many there are.
    collections: usize,
    nodes: Vec<NodeView>,
}

/// A node as it is.
#[derive(Serialize, ToSchema)]
#[schema(as = BackendNode)]
struct NodeView {
    url: String,
    healthy: bool,
    version: Option<String>,
    /// Why it is not healthy.
    error: Option<String>,
}

impl From<Inspected> for TestView {
    fn from(found: Inspected) -> Self {
        let Inspected { latency_ms, version, collections, nodes } = found;
        Self { ok: true, latency_ms, version, collections, nodes: nodes.into_iter().map(NodeView::from).collect() }
    }
}

impl From<NodeState> for NodeView {
    fn from(NodeState { url, healthy, version, error }: NodeState) -> Self {
        Self { url, healthy, version, error }
    }
}

/// A collection of a backend.
#[derive(Serialize, ToSchema)]
#[schema(as = BackendCollection)]
pub(super) struct CollectionView {
    name: String,
    num_documents: u64,
    /// In Typesense's own words.
    #[schema(value_type = Vec<Object>)]
    fields: Vec<Value>,
    default_sorting_field: Option<String>,
    enable_nested_fields: bool,
    created_at: Option<DateTime<Utc>>,
    /// What else it is called.
    aliases: Vec<String>,
}

impl From<Listed> for CollectionView {
    fn from(Listed { collection, aliases }: Listed) -> Self {
        Self {
            name: collection.name,
            num_documents: collection.num_documents,
            fields: collection.fields,
            default_sorting_field: collection.default_sorting_field,
            enable_nested_fields: collection.enable_nested_fields,
            created_at: DateTime::from_timestamp(collection.created_at, 0),
            aliases,
        }
    }
}
