//! Three Typesense servers that are one backend, for the tests that break one of them.

use std::{
    collections::BTreeMap,
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::future::join_all;
use serde_json::Value;
use tidewell::dev::{Server, choose_port, default_cache, ensure};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::{eventually, servers::Folder, stack::Setting};

const KEY: &str = "the-key-of-the-cluster-of-the-tests";
/// What `/debug` says of a node that leads.
const LEADS: u64 = 1;

/// The nodes, which listen where they always have, however often they are started again.
pub struct Cluster {
    program: PathBuf,
    folder: Folder,
    nodes: Vec<Node>,
    http: reqwest::Client,
}

struct Node {
    port: u16,
    peering_port: u16,
    /// `None` while it is down.
    process: Option<Child>,
}

/// The cluster that the tests of this process share, one after the other; whole, whatever the one before has left.
pub async fn cluster() -> MutexGuard<'static, Cluster> {
    static CLUSTER: OnceCell<Mutex<Cluster>> = OnceCell::const_new();
    let mut cluster = CLUSTER.get_or_init(|| async { Mutex::new(Cluster::new().await) }).await.lock().await;
    for node in 0..cluster.nodes.len() {
        cluster.start(node);
    }
    // Each test has a runtime of its own, and connections end with it.
    cluster.http = reqwest::Client::builder().no_proxy().build().expect("a client");
    cluster.is_whole().await;
    cluster
}

impl Cluster {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let cache = std::env::var_os("TIDEWELL_CACHE").map_or_else(|| default_cache(home.as_deref()), PathBuf::from);
        let program = ensure(&cache, &[Server::Typesense]).await.expect("Typesense").typesense();
        let node = || Node {
            port: choose_port().expect("a port"),
            peering_port: choose_port().expect("a port"),
            process: None,
        };
        let nodes: Vec<Node> = std::iter::repeat_with(node).take(3).collect();
        let folder = Folder::make("cluster");
        std::fs::create_dir_all(&folder.path).expect("a folder");
        let listed: Vec<String> =
            nodes.iter().map(|node| format!("127.0.0.1:{}:{}", node.peering_port, node.port)).collect();
        std::fs::write(folder.path.join("nodes"), listed.join(",")).expect("a file");
        Self { program, folder, nodes, http: reqwest::Client::new() }
    }

    /// A database of its own, with the cluster as its backend.
    pub async fn setting(&self) -> Setting {
        let typesense_url = self.urls().join(",");
        Setting { typesense_url, typesense_api_key: KEY.to_owned(), ..Setting::fresh().await }
    }

    pub fn urls(&self) -> Vec<String> {
        (0..self.nodes.len()).map(|node| self.url(node)).collect()
    }

    pub fn url(&self, node: usize) -> String {
        format!("http://127.0.0.1:{}", self.nodes[node].port)
    }

    /// Starts a node that is down.
    pub fn start(&mut self, node: usize) {
        let place = self.folder.path.join(node.to_string());
        let Node { port, peering_port, process } = &mut self.nodes[node];
        if process.is_some() {
            return;
        }
        let (data, log) = (place.join("data"), place.join("log"));
        for folder in [&data, &log] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let output = File::options().create(true).append(true).open(place.join("output")).expect("a file");
        let child = Command::new(&self.program)
            .arg(format!("--data-dir={}", data.display()))
            .arg(format!("--log-dir={}", log.display()))
            .arg(format!("--nodes={}", self.folder.path.join("nodes").display()))
            .args(["--api-address=127.0.0.1", "--peering-address=127.0.0.1", "--thread-pool-size=8"])
            .args([format!("--api-port={port}"), format!("--peering-port={peering_port}")])
            .env_clear()
            .env("TYPESENSE_API_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn();
        *process = Some(child.expect("Typesense starts"));
    }

    /// kill -9.
    pub fn kill(&mut self, node: usize) {
        let mut process = self.nodes[node].process.take().expect("it runs");
        process.kill().expect("it is killed");
        process.wait().expect("its end");
    }

    /// The node that leads, once one does and the others know.
    pub async fn leader(&self) -> usize {
        eventually(Duration::from_secs(60), || async {
            let states = join_all((0..self.nodes.len()).map(|node| self.state(node))).await;
            states.iter().position(|state| *state == Some(LEADS)).ok_or(states)
        })
        .await
    }

    /// A node that does not lead.
    pub async fn follower(&self) -> usize {
        (self.leader().await + 1) % self.nodes.len()
    }

    /// Waits until every node takes reads and writes, and none has anything left to replay: one that does calls itself healthy.
    pub async fn is_whole(&self) {
        eventually(Duration::from_secs(240), || async {
            let nodes = 0..self.nodes.len();
            let health = join_all(nodes.clone().map(|node| self.ask(node, "/health"))).await;
            let status = join_all(nodes.map(|node| self.ask(node, "/status"))).await;
            let queued = status.iter().map(|status| status.as_ref()?["queued_writes"].as_u64());
            match health.iter().all(Option::is_some) && queued.eq([Some(0); 3]) {
                true => Ok(()),
                false => Err((health, status)),
            }
        })
        .await;
        self.leader().await;
    }

    async fn state(&self, node: usize) -> Option<u64> {
        self.ask(node, "/debug").await?["state"].as_u64()
    }

    /// What a node says of itself, if it is well.
    async fn ask(&self, node: usize, path: &str) -> Option<Value> {
        let asked = self.http.get(format!("{}{path}", self.url(node))).header("x-typesense-api-key", KEY);
        let answer = asked.timeout(Duration::from_secs(5)).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }

    /// Waits until every node holds exactly these documents, without what Tidewell adds: followers are a moment behind.
    pub async fn each_holds(&self, collection: &str, documents: &BTreeMap<String, Value>) {
        for node in 0..self.nodes.len() {
            eventually(Duration::from_secs(60), || async {
                let held = self.held(node, collection).await?;
                let differing = documents.iter().filter(|(id, document)| held.get(*id) != Some(*document));
                let differing: Vec<_> = differing.map(|(id, document)| (document, held.get(id))).take(5).collect();
                let extra: Vec<_> = held.keys().filter(|id| !documents.contains_key(*id)).take(5).collect();
                match differing.is_empty() && extra.is_empty() {
                    true => Ok(()),
                    false => Err(format!("node {node}: missing or stale {differing:?}, extra {extra:?}")),
                }
            })
            .await;
        }
    }

    async fn held(&self, node: usize, collection: &str) -> Result<BTreeMap<String, Value>, String> {
        let export = self.http.get(format!("{}/collections/{collection}/documents/export", self.url(node)));
        let export = export.header("x-typesense-api-key", KEY).send().await.map_err(|error| error.to_string())?;
        let export = export.error_for_status().map_err(|error| error.to_string())?;
        let lines = export.text().await.map_err(|error| error.to_string())?;
        let documents = lines.lines().map(|line| {
            let mut document: Value = serde_json::from_str(line).expect("a document");
            let fields = document.as_object_mut().expect("an object");
            fields.retain(|name, _| !["tenantId", "_tidewell_version"].contains(&name.as_str()));
            (document["id"].as_str().expect("an id").to_owned(), document)
        });
        Ok(documents.collect())
    }
}
