//! What must hold whatever breaks: nothing acknowledged is lost, nothing stale stays, only what Typesense refuses is dead.

use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};

use crate::support::{
    eventually,
    flow::Flow,
    oracle::{Oracle, held, unsettled},
    process::{self, Process},
    proxy::{Fault, Proxy},
    servers::own_servers,
    stack::{Setting, Stack},
};

const DOCUMENTS: &str = "/v1/indexes/books/documents";
const BATCH: &str = "/v1/indexes/books/documents:batch";

fn book(id: &str, title: &str) -> Value {
    json!({ "id": id, "title": title })
}

/// How many documents flow in each of these tests. By hand, try a hundred thousand.
fn documents() -> usize {
    std::env::var_os("FLOW_DOCUMENTS")
        .map_or(6000, |text| text.to_str().and_then(|text| text.parse().ok()).expect("a number"))
}

/// Waits until the worker says that its backend is in trouble, and gives the whole status.
async fn breaker_is_open(setting: &Setting) -> Value {
    eventually(Duration::from_secs(60), || async {
        let status = process::run(&["status", "--json"], &setting.variables());
        let status: Value = serde_json::from_slice(&status.stdout).expect("a status");
        if status["workers"][0]["breaker"] == "closed" { Err(status) } else { Ok(status) }
    })
    .await
}

#[tokio::test]
async fn nothing_is_lost_or_stale_when_workers_and_front_ends_are_killed_again_and_again() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_LEASE_SECONDS", 5)).await;
    let tenant = stack.tenant("killed").await;
    let pool = stack.setting.pool().await;
    let mut flow = Flow::new(1, 1500);
    let mut workers: Vec<Process> = vec![stack.setting.work(), stack.setting.work()];
    let mut front = stack.setting.serve();
    let mut next_kill = 0;
    while flow.written < documents() {
        flow.write(&tenant.client.at(&front.operator.base)).await;
        if flow.written > next_kill {
            next_kill += documents() / 8;
            workers.remove(0).kill();
            workers.push(stack.setting.work());
            if flow.random.random_bool(0.5) {
                front.process.kill();
                front = stack.setting.serve();
            }
        }
    }
    flow.holds(&stack.setting, &tenant, &pool).await;
}

#[tokio::test]
async fn nothing_is_lost_or_stale_when_typesense_and_postgres_stop_and_start_again() {
    let mut servers = own_servers().await;
    let setting = Setting {
        database_url: servers.fresh_database().await,
        typesense_url: servers.typesense_url(),
        typesense_api_key: servers.typesense_api_key(),
        more: vec![],
    };
    let stack = Stack::of(setting).await;
    let tenant = stack.tenant("restarted").await;
    let mut flow = Flow::new(2, 1500);
    let third = documents() / 3;
    while flow.written < third {
        flow.write(&tenant.client).await;
    }
    servers.stop_typesense().await;
    while flow.written < 2 * third {
        flow.write(&tenant.client).await;
    }
    breaker_is_open(&stack.setting).await;
    servers.start_typesense().await;
    servers.restart_postgres().await;
    while flow.written < 3 * third {
        flow.write(&tenant.client).await;
    }
    let pool = stack.setting.pool().await;
    flow.holds(&stack.setting, &tenant, &pool).await;
}

#[tokio::test]
async fn an_import_that_lands_after_its_workers_death_is_seen_and_repaired() {
    let mut setting = Setting::fresh().await.with("TIDEWELL_DOUBT_SECONDS", 30);
    let typesense_url = setting.typesense_url.clone();
    let mut proxy = Proxy::before(&typesense_url).await;
    let mut stack = Stack::without_worker(setting.clone()).await;
    let tenant = stack.tenant("late").await;
    // The first worker speaks to Typesense through the proxy.
    setting.typesense_url = proxy.url.clone();
    let first = setting.work();
    let seed = json!({ "documents": [book("updated", "old"), book("deleted", "old"), book("untouched", "old")] });
    let job = tenant.client.post(BATCH, &seed).await.expect(202);
    tenant.client.ended(&job).await;

    proxy.set(Fault::Hold);
    let stale = json!({ "documents": [book("updated", "stale"), book("deleted", "stale"), book("untouched", "kept")] });
    tenant.client.post(BATCH, &stale).await.expect(202);
    // Each lane sends an import of its own: all of them are held.
    let mut held_back = vec![];
    let mut seen = 0;
    while seen < 3 {
        let import = proxy.held.recv().await.expect("an import");
        seen += import.body.lines().count();
        held_back.push(import);
    }
    first.kill();
    // Its successor, which knows no proxy, projects newer writes.
    stack.worker = Some(stack.setting.work());
    let job = tenant.client.put(DOCUMENTS, &book("updated", "new")).await.expect(202);
    tenant.client.ended(&job).await;
    let job = tenant.client.delete(&format!("{DOCUMENTS}/deleted")).await.expect(202);
    tenant.client.ended(&job).await;
    let mut oracle = Oracle::default();
    oracle.upsert(&book("updated", "new"));
    oracle.upsert(&book("untouched", "kept"));
    eventually(Duration::from_secs(60), || async {
        let held = held(&stack.setting, tenant.alias()).await;
        if held == oracle.0 { Ok(()) } else { Err(held) }
    })
    .await;

    for import in held_back {
        import.let_go().await;
    }
    let landed = held(&stack.setting, tenant.alias()).await;
    assert_eq!(landed["updated"]["title"], "stale", "the late import did land over the newer write");
    assert!(landed.contains_key("deleted"), "and revived the deleted document");
    let pool = stack.setting.pool().await;
    eventually(Duration::from_secs(60), || unsettled(&pool)).await;
    oracle.equals(&stack.setting, tenant.alias()).await;
}

#[tokio::test]
async fn a_delete_by_filter_is_not_misled_by_a_request_that_landed_late() {
    let mut setting = Setting::fresh().await.with("TIDEWELL_DOUBT_SECONDS", 6);
    let mut proxy = Proxy::before(&setting.typesense_url).await;
    let mut stack = Stack::without_worker(setting.clone()).await;
    let tenant = stack.tenant("misled").await;
    setting.typesense_url = proxy.url.clone();
    let first = setting.work();
    let seed = tenant.client.put(DOCUMENTS, &json!({ "id": "a", "title": "seed", "year": 50 })).await.expect(202);
    tenant.client.ended(&seed).await;
    proxy.set(Fault::Hold);
    tenant.client.put(DOCUMENTS, &json!({ "id": "a", "title": "old", "year": 5 })).await.expect(202);
    let late = proxy.held.recv().await.expect("an import");
    first.kill();
    stack.worker = Some(stack.setting.work());
    let new = json!({ "id": "a", "title": "new", "year": 100 });
    let job = tenant.client.put(DOCUMENTS, &new).await.expect(202);
    tenant.client.ended(&job).await;
    late.let_go().await;
    let delete = tenant.client.delete(&format!("{DOCUMENTS}?filterBy=year:%3C10")).await.expect(202);
    assert_eq!(tenant.client.ended(&delete).await["status"], "succeeded");
    let pool = stack.setting.pool().await;
    eventually(Duration::from_secs(90), || unsettled(&pool)).await;
    let mut oracle = Oracle::default();
    oracle.upsert(&new);
    oracle.equals(&stack.setting, tenant.alias()).await;
}

#[tokio::test]
async fn a_backend_that_answers_503_pauses_the_lanes_and_spends_no_attempts() {
    let mut setting = Setting::fresh().await;
    let proxy = Proxy::before(&setting.typesense_url).await;
    let direct = setting.clone();
    setting.typesense_url = proxy.url.clone();
    let stack = Stack::of(setting).await;
    let tenant = stack.tenant("paused").await;
    proxy.set(Fault::Unavailable);
    let job = tenant.client.post(BATCH, &json!({ "documents": [book("a", "A"), book("b", "B")] })).await.expect(202);
    let status = breaker_is_open(&stack.setting).await;
    assert_eq!(status["indexes"][0]["backlog"], 2, "{status:#}");
    proxy.set(Fault::None);
    assert_eq!(tenant.client.ended(&job).await["counts"]["succeeded"], 2);
    let pool = stack.setting.pool().await;
    let dead: i64 =
        sqlx::query_scalar("select count(*) from tidewell.dead_letters").fetch_one(&pool).await.expect("a count");
    assert_eq!(dead, 0);
    assert_eq!(held(&direct, tenant.alias()).await.len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_loses_and_doubles_nothing() {
    let mut setting = Setting::fresh().await;
    let proxy = Proxy::before(&setting.typesense_url).await;
    setting.typesense_url = proxy.url.clone();
    let stack = Stack::of(setting).await;
    let tenant = stack.tenant("cut").await;
    proxy.set(Fault::CutAnswer);
    let documents: Vec<_> = (0..40).map(|n| book(&n.to_string(), "x")).collect();
    let job = tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    let pool = stack.setting.pool().await;
    // Until at least one request has been lost.
    eventually(Duration::from_secs(60), || async {
        let flights: i64 =
            sqlx::query_scalar("select count(*) from tidewell.flights").fetch_one(&pool).await.expect("a count");
        if flights > 0 { Ok(()) } else { Err("none yet") }
    })
    .await;
    proxy.set(Fault::None);
    let job = tenant.client.ended(&job).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    eventually(Duration::from_secs(60), || unsettled(&pool)).await;
    assert_eq!(held(&stack.setting, tenant.alias()).await.len(), 40);
}

#[tokio::test]
async fn two_front_ends_and_two_workers_behave_as_one() {
    let stack = Stack::of(Setting::fresh().await).await;
    let tenant = stack.tenant("pair").await;
    let (front, _worker) = (stack.setting.serve(), stack.setting.work());
    let clients = [tenant.client.clone(), tenant.client.at(&front.operator.base)];
    let mut flow = Flow::new(3, 800);
    for n in 0.. {
        if flow.written >= documents() / 2 {
            break;
        }
        flow.write(&clients[n % 2]).await;
    }
    let pool = stack.setting.pool().await;
    flow.holds(&stack.setting, &tenant, &pool).await;
    let revoked = crate::support::stack::key(stack.operator(), "pair", &["search"]).await;
    let searcher = clients[1].bearer(&revoked);
    searcher.post("/v1/indexes/books/search", &json!({})).await.expect(200);
    let keys = stack.operator().get("/v1/organizations/pair/keys").await.expect(200);
    let key = keys["items"][0]["id"].as_str().expect("an id");
    stack.operator().delete(&format!("/v1/organizations/pair/keys/{key}")).await.expect(200);
    eventually(Duration::from_secs(1), || async {
        match searcher.post("/v1/indexes/books/search", &json!({})).await.status.as_u16() {
            401 => Ok(()),
            status => Err(status),
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_ends_in_order_and_the_next_goes_on() {
    let mut stack = Stack::of(Setting::fresh().await).await;
    let tenant = stack.tenant("term").await;
    let mut flow = Flow::new(4, 500);
    while flow.written < 1000 {
        flow.write(&tenant.client).await;
    }
    stack.worker.take().expect("a worker").stop();
    let pool = stack.setting.pool().await;
    let (leased,): (i64,) = sqlx::query_as("select count(*) from tidewell.lanes where leased_until > now()")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(leased, 0, "no lane has to wait for a lease to run out");
    stack.worker = Some(stack.setting.work());
    flow.holds(&stack.setting, &tenant, &pool).await;
}
