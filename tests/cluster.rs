//! A Typesense of three nodes: whichever of them is lost, lags or comes back, nothing acknowledged is lost, stale or double on any of
//! them, and searches are answered.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::typesense::{Client, LineResult, NewCollection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{
    client,
    cluster::{Cluster, cluster},
    eventually,
    flow::Flow,
    oracle::unsettled,
    process,
    proxy::{Fault, Proxy},
    stack::{Setting, Stack, Tenant},
    syncing::Syncing,
};

const BATCH: &str = "/v1/indexes/books/documents:batch";
const ROWS: &str = "select id::text, title, price from books";

/// Writes, searches and a table sync that go on whatever happens to the nodes.
struct Scene {
    syncing: Syncing,
    tenant: Tenant,
    pool: PgPool,
    flow: Flow,
    job: Value,
    searches: Searches,
}

impl Scene {
    async fn start(setting: Setting, nodes: &[String], seed: u64) -> Self {
        let mut syncing = Syncing::without_worker(setting, &nodes[0]).await;
        syncing.stack.worker = Some(syncing.stack.setting.work());
        let operator = syncing.stack.operator();
        let key = &syncing.stack.setting.typesense_api_key;
        let backend = json!({ "name": "cluster", "nodes": nodes, "api_key": key });
        let backend = operator.post("/typesense/backends", &backend).await.expect(201);
        syncing
            .sql(
                "create table books (id bigint primary key, title text not null, price int);
                 insert into books select n, 'Title ' || n, n from generate_series(1, 16000) as n",
            )
            .await;
        let spec = json!({ "typesense_profile_id": backend["data"]["id"], "batch_size": 250, "batch_delay_ms": 150 });
        let job = syncing.job(spec).await;
        let tenant = syncing.stack.tenant("cluster").await;
        let pool = syncing.stack.setting.pool().await;
        let mut flow = Flow::new(seed, 600);
        flow.write(&tenant.client).await;
        eventually(Duration::from_secs(60), || unsettled(&pool)).await;
        let searches = Searches::start(tenant.client.clone());
        Self { syncing, tenant, pool, flow, job, searches }
    }

    /// So many more documents.
    async fn write(&mut self, documents: usize) {
        let until = self.flow.written + documents;
        while self.flow.written < until {
            self.flow.write(&self.tenant.client).await;
        }
    }

    /// Changes rows before and behind where a run stands.
    async fn change_rows(&self, n: usize) {
        self.syncing
            .sql(&format!(
                "update books set title = 'changed {n}' where id % 7 = {n};
                 delete from books where id % 101 = {n};
                 insert into books select 50000 + {n} * 100 + n, 'new', n from generate_series(1, 20) as n"
            ))
            .await;
    }

    /// Once all is quiet every node holds what was written, and what the table does.
    async fn holds(self, cluster: &Cluster, run: &str) {
        cluster.is_whole().await;
        let at_leader =
            Setting { typesense_url: cluster.url(cluster.leader().await), ..self.syncing.stack.setting.clone() };
        self.flow.settles(&at_leader, &self.tenant, &self.pool).await;
        cluster.each_holds(self.tenant.alias(), &self.flow.oracle.0).await;
        let ended: i64 = sqlx::query_scalar("select sum(succeeded + dead + superseded)::bigint from tidewell.jobs")
            .fetch_one(&self.pool)
            .await
            .expect("a count");
        assert_eq!(ended, self.flow.written as i64, "each write was counted once");
        let ended = self.syncing.ended(&self.job, run).await;
        assert_eq!((&ended["status"], &ended["failed_count"]), (&json!("success"), &json!(0)), "{ended:#}");
        // What changed behind the first run is the second one's; one that a lost request has made due may come before it.
        let again = eventually(Duration::from_secs(60), || async {
            let again = self.syncing.call(reqwest::Method::POST, &self.job, "/run?wait=true").await;
            if again.status == 200 { Ok(again.body["data"].clone()) } else { Err(again) }
        })
        .await;
        assert_eq!(again["status"], "success", "{again:#}");
        assert_eq!(self.syncing.letters(&self.job).await, []);
        let name = self.job["collection_name"].as_str().expect("a name");
        cluster.each_holds(name, &self.syncing.rows(ROWS).await).await;
        self.searches.were_answered().await;
    }
}

/// Searches, one after the other.
struct Searches {
    enough: CancellationToken,
    asking: JoinHandle<(usize, Vec<String>)>,
}

impl Searches {
    fn start(client: client::Client) -> Self {
        let enough = CancellationToken::new();
        let told = enough.clone();
        let asking = tokio::spawn(async move {
            let (mut answered, mut refused) = (0, vec![]);
            while !told.is_cancelled() {
                match client.post("/v1/indexes/books/search", &json!({ "q": "write" })).await {
                    answer if answer.status == 200 => answered += 1,
                    answer => refused.push(format!("{} {}", answer.status, answer.body)),
                }
                // So that they do not take the machine from what is tested.
                let _ = tokio::time::timeout(Duration::from_millis(30), told.cancelled()).await;
            }
            (answered, refused)
        });
        Self { enough, asking }
    }

    async fn were_answered(self) {
        self.enough.cancel();
        let (answered, refused) = self.asking.await.expect("its end");
        assert!(answered > 0 && refused.is_empty(), "{answered} answered; {refused:?}");
    }
}

#[tokio::test]
async fn nothing_is_lost_where_a_follower_is_killed_and_comes_back() {
    let mut cluster = cluster().await;
    let follower = cluster.follower().await;
    // The one that is asked first.
    let mut nodes = cluster.urls();
    nodes.swap(0, follower);
    let setting = Setting { typesense_url: nodes.join(", "), ..cluster.setting().await };
    let mut scene = Scene::start(setting, &nodes, 11).await;
    let run = scene.syncing.begin(&scene.job).await;
    scene.syncing.read(&scene.job, &run, 300).await;
    scene.write(500).await;
    cluster.kill(follower);
    scene.change_rows(1).await;
    scene.write(1000).await;
    cluster.start(follower);
    scene.change_rows(2).await;
    scene.write(1000).await;
    scene.holds(&cluster, &run).await;
}

#[tokio::test]
async fn nothing_is_lost_where_the_leader_is_killed_and_comes_back() {
    let mut cluster = cluster().await;
    let leader = cluster.leader().await;
    let mut scene = Scene::start(cluster.setting().await, &cluster.urls(), 12).await;
    let run = scene.syncing.begin(&scene.job).await;
    scene.syncing.read(&scene.job, &run, 300).await;
    scene.write(500).await;
    cluster.kill(leader);
    scene.change_rows(1).await;
    scene.write(1000).await;
    assert_ne!(cluster.leader().await, leader);
    scene.write(500).await;
    cluster.start(leader);
    scene.change_rows(2).await;
    scene.write(500).await;
    scene.holds(&cluster, &run).await;
}

#[tokio::test]
async fn writes_and_searches_go_on_where_one_node_is_not_ready() {
    let cluster = cluster().await;
    let mut nodes = cluster.urls();
    let proxy = Proxy::before(&nodes[0]).await;
    nodes[0] = proxy.url.clone();
    let setting = Setting { typesense_url: nodes.join(","), ..cluster.setting().await };
    let mut scene = Scene::start(setting, &nodes, 13).await;
    let run = scene.syncing.begin(&scene.job).await;
    proxy.set(Fault::NotReady);
    scene.write(1000).await;
    scene.change_rows(1).await;
    eventually(Duration::from_secs(60), || unsettled(&scene.pool)).await;
    proxy.set(Fault::None);
    scene.write(500).await;
    scene.holds(&cluster, &run).await;
}

#[tokio::test]
async fn without_a_quorum_writes_are_accepted_and_wait_and_spend_no_attempts() {
    let mut cluster = cluster().await;
    let setting = cluster.setting().await;
    let stack = Stack::of(setting).await;
    let tenant = stack.tenant("quorum").await;
    let pool = stack.setting.pool().await;
    let mut flow = Flow::new(14, 300);
    flow.write(&tenant.client).await;
    eventually(Duration::from_secs(60), || unsettled(&pool)).await;
    let leader = cluster.leader().await;
    let followers: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    for follower in &followers {
        cluster.kill(*follower);
    }
    let job =
        tenant.client.post(BATCH, &json!({ "documents": [{ "id": "waits", "title": "waits" }] })).await.expect(202);
    flow.oracle.upsert(&json!({ "id": "waits", "title": "waits" }));
    flow.written += 1;
    eventually(Duration::from_secs(60), || async {
        let status = process::run(&["status", "--json"], &stack.setting.variables());
        let status: Value = serde_json::from_slice(&status.stdout).expect("a status");
        if status["workers"][0]["breaker"] == "open" { Ok(()) } else { Err(status) }
    })
    .await;
    while flow.written < 1000 {
        flow.write(&tenant.client).await;
    }
    let job =
        tenant.client.get(&format!("/v1/jobs/{}?wait=5", job["jobId"].as_str().expect("a job"))).await.expect(200);
    assert_eq!((&job["status"], &job["counts"]["pending"]), (&json!("queued"), &json!(1)), "{job:#}");
    let attempts: i64 = sqlx::query_scalar("select coalesce(max(attempts), 0)::bigint from tidewell.outbox")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(attempts, 0);
    for follower in followers {
        cluster.start(follower);
    }
    cluster.is_whole().await;
    let at_leader = Setting { typesense_url: cluster.url(cluster.leader().await), ..stack.setting.clone() };
    flow.holds(&at_leader, &tenant, &pool).await;
    cluster.each_holds(tenant.alias(), &flow.oracle.0).await;
}

#[tokio::test]
async fn what_is_decided_is_decided_by_what_was_written_last_though_a_follower_is_asked_first() {
    let cluster = cluster().await;
    let mut nodes = cluster.urls();
    nodes.swap(0, cluster.follower().await);
    let setting = Setting { typesense_url: nodes.join(","), ..cluster.setting().await };
    let stack = Stack::of(setting).await;
    let tenant = stack.tenant("decided").await;
    for round in 0..20 {
        let genre = format!("round{round}");
        let documents: Vec<Value> =
            (0..200).map(|n| json!({ "id": format!("{round}-{n}"), "title": "x", "genre": genre })).collect();
        tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
        let path = format!("/v1/indexes/books/documents?filterBy=genre:={genre}");
        let job = tenant.client.delete(&path).await.expect(202);
        assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
    }
    let kept = json!({ "id": "kept", "title": "kept" });
    let job = tenant.client.post(BATCH, &json!({ "documents": [kept] })).await.expect(202);
    tenant.client.ended(&job).await;
    let id = tenant.index["id"].as_str().expect("an id");
    let drift = process::run(&["index", "verify", id, "--json"], &stack.setting.variables());
    let drift: Value = serde_json::from_slice(&drift.stdout).expect("a comparison");
    assert_eq!(
        (&drift["documents"], &drift["missing"], &drift["extra"]),
        (&json!(1), &json!(0), &json!(0)),
        "{drift:#}"
    );
    cluster.each_holds(tenant.alias(), &[("kept".to_owned(), kept)].into()).await;
}

#[tokio::test]
async fn the_node_that_has_caught_up_tells_what_was_written_before() {
    let cluster = cluster().await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let key = cluster.setting().await.typesense_api_key;
    let within = Duration::from_secs(10);
    let client = Client::of_nodes(&[cluster.url(follower), cluster.url(leader)], &key, within).expect("a client");
    let name = format!("caught_up_{}", uuid::Uuid::new_v4().simple());
    assert!(client.caught_up(&name).await.expect("an answer").is_none(), "there is no such collection yet");
    let fields = vec![json!({ "name": "n", "type": "int32" })];
    let new = NewCollection { name: &name, fields, default_sorting_field: None, enable_nested_fields: true };
    assert!(client.create_collection(&new).await.expect("an answer"));
    for round in 0..20 {
        let lines: Vec<String> = (0..1000).map(|id| format!("{{\"id\":\"{id}\",\"n\":{round}}}")).collect();
        let results = client.import(&name, lines.join("\n").into(), 1000, within).await.expect("an answer");
        assert!(results.iter().all(|result| *result == LineResult::Imported));
        let caught_up = client.caught_up(&name).await.expect("an answer").expect("the collection");
        let asked: Vec<String> = caught_up.each_node().map(|(url, _)| url).collect();
        assert_eq!(asked, [cluster.url(leader)]);
        let read = caught_up.field_of(&name, &["0", "999"], "n").await.expect("an answer");
        assert!(read.len() == 2 && read.values().all(|n| *n == Some(json!(round))), "in round {round}: {read:?}");
    }
}

#[tokio::test]
async fn a_cluster_of_which_no_node_leads_is_not_taken_for_one_that_has_caught_up() {
    let cluster = cluster().await;
    let key = cluster.setting().await.typesense_api_key;
    let follower = cluster.url(cluster.follower().await);
    // All that is named of the cluster: one node that follows, and one that is down.
    let nodes = ["http://127.0.0.1:1".to_owned(), follower];
    let client = Client::of_nodes(&nodes, &key, Duration::from_secs(10)).expect("a client");
    let refused = client.caught_up("any").await.err().expect("no answer");
    assert!(refused.is_transient() && refused.to_string().contains("name all of its nodes"), "{refused}");
    assert!(client.takes_writes().await, "which the follower passes on");
}
