//! A look at a Typesense as it is.

use std::time::Instant;

use futures::future::join_all;

use crate::{
    reach,
    typesense::{self, Client, CollectionInfo},
};

/// A Typesense that can be used.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Of an authenticated call.
    pub latency_ms: u64,
    /// That of the first node that tells.
    pub version: Option<String>,
    pub collections: usize,
    pub nodes: Vec<NodeState>,
}

/// A node as it is.
#[derive(Clone, Debug)]
pub struct NodeState {
    pub url: String,
    pub healthy: bool,
    pub version: Option<String>,
    /// Why it is not healthy.
    pub error: Option<String>,
}

/// A collection with the names of the aliases that point at it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub collection: CollectionInfo,
    pub aliases: Vec<String>,
}

/// Why a Typesense can't be used, for whoever can change that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the backend can't be reached: {0}; check its address, and that this machine may connect to it")]
    Unreachable(String),
    #[error(
        "the backend refuses the key: it takes one that may do everything with collections, aliases \
             and documents, and where there are several nodes ask for /debug, which tells who leads"
    )]
    RefusedKey,
    #[error("the backend is not connected to: {0}")]
    NotConnectedTo(reach::Refused),
}

impl Refusal {
    /// Stable, snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "backend_unreachable",
            Self::RefusedKey => "backend_refused_key",
            Self::NotConnectedTo(_) => "address_not_allowed",
        }
    }
}

impl From<typesense::Error> for Refusal {
    fn from(error: typesense::Error) -> Self {
        match error.status_code() {
            Some(401 | 403) => Self::RefusedKey,
            _ => Self::Unreachable(told(&error)),
        }
    }
}

/// What an answer tells of a server that may be anybody's: not its own words.
fn told(error: &typesense::Error) -> String {
    match error {
        typesense::Error::Status { status: 503, .. } => "it is not ready (it answered 503)".to_owned(),
        typesense::Error::Status { .. } | typesense::Error::Answer(_) | typesense::Error::TooLarge => {
            "its answer is not Typesense's".to_owned()
        }
        error => error.to_string(),
    }
}

/// Asks each node how it is, and the backend for what takes a key.
pub async fn test(client: &Client) -> Result<Inspected, Refusal> {
    let nodes = join_all(client.each_node().map(|(url, node)| look(url, node))).await;
    let begun = Instant::now();
    let collections = client.list_collections().await?.len();
    let latency_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    // In a cluster decisions are read from the leader alone.
    client.leader().await?;
    let version = nodes.iter().find_map(|node| node.version.clone());
    Ok(Inspected { latency_ms, version, collections, nodes })
}

async fn look(url: String, node: Client) -> NodeState {
    match node.health().await {
        Ok(()) => NodeState { url, healthy: true, version: node.version().await.ok(), error: None },
        Err(error) => NodeState { url, healthy: false, version: None, error: Some(told(&error)) },
    }
}

/// The collections of a backend, by name.
pub async fn collections(client: &Client) -> Result<Vec<Listed>, Refusal> {
    let (mut collections, aliases) = tokio::try_join!(client.list_collections(), client.aliases())?;
    collections.sort_by(|one, other| one.name.cmp(&other.name));
    let pointing_at = |name: &str| {
        let pointing = aliases.iter().filter(|(_, collection)| collection == name);
        pointing.map(|(alias, _)| alias.clone()).collect()
    };
    let listed =
        collections.into_iter().map(|collection| Listed { aliases: pointing_at(&collection.name), collection });
    Ok(listed.collect())
}
