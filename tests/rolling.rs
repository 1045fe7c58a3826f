//! A rolling restart: each process is told to stop and another takes its place, under load. What was under way ends, nobody waits for a
//! lease to run out, and a balancer that asks `/readyz` loses no request.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{
    client::Client,
    eventually,
    oracle::{Oracle, unsettled},
    process::Process,
    stack::{Setting, Stack},
    syncing::Syncing,
};

const BATCH: &str = "/v1/indexes/books/documents:batch";
/// Far longer than any of these tests may take: whoever waited for one to run out would be seen.
const LEASE_SECONDS: u32 = 3000;

fn told_to_stop(process: &Process) {
    kill(Pid::from_raw(process.pid()), Signal::SIGTERM).expect("a signal");
}

/// Sends each request to one of the front ends that say they are ready, as a load balancer does.
#[derive(Clone)]
struct Balancer {
    client: Client,
    fronts: Arc<Mutex<Vec<String>>>,
    turn: Arc<AtomicUsize>,
}

impl Balancer {
    fn next(&self) -> Client {
        let fronts = self.fronts.lock().expect("the front ends");
        self.client.at(&fronts[self.turn.fetch_add(1, Ordering::Relaxed) % fronts.len()])
    }

    fn add(&self, front: &str) {
        self.fronts.lock().expect("the front ends").push(front.to_owned());
    }

    fn remove(&self, gone: &str) {
        self.fronts.lock().expect("the front ends").retain(|front| front != gone);
    }

    /// The answer to a request: sent again where nothing of it was taken (nobody listens, or 503 with `Retry-After`), and not otherwise.
    async fn send(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        eventually(Duration::from_secs(60), || async {
            let front = self.next();
            let ready = front.request(Method::GET, "/readyz").send().await;
            if !ready.is_ok_and(|answer| answer.status() == 200) {
                return Err("not ready".to_owned());
            }
            let request = front.request(Method::POST, path).header("idempotency-key", key).json(body);
            match request.send().await {
                Ok(answer) if answer.status() == 503 => {
                    assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
                    Err("unavailable".to_owned())
                }
                Ok(answer) => Ok((answer.status(), answer.json().await.expect("a whole answer"))),
                Err(error) if error.is_connect() => Err(error.to_string()),
                Err(error) => panic!("a request was lost: {error:?}"),
            }
        })
        .await
    }
}

/// Writes and searches that go on, one after the other.
struct Load {
    enough: CancellationToken,
    acknowledged: Arc<AtomicUsize>,
    writing: JoinHandle<Oracle>,
    searching: JoinHandle<usize>,
}

impl Load {
    fn start(balancer: &Balancer) -> Self {
        let (enough, acknowledged) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (told, counted, writes) = (enough.clone(), acknowledged.clone(), balancer.clone());
        let writing = tokio::spawn(async move {
            let mut oracle = Oracle::default();
            for n in 0.. {
                if told.is_cancelled() {
                    break;
                }
                let documents: Vec<Value> =
                    (0..20).map(|m| json!({ "id": (n * 7 + m).to_string(), "title": format!("write {n}") })).collect();
                let (status, answer) =
                    writes.send(BATCH, &format!("write-{n}"), &json!({ "documents": documents })).await;
                assert_eq!(status, 202, "{answer:#}");
                documents.iter().for_each(|document| oracle.upsert(document));
                counted.fetch_add(documents.len(), Ordering::Relaxed);
            }
            oracle
        });
        let (told, searches) = (enough.clone(), balancer.clone());
        let searching = tokio::spawn(async move {
            let mut answered = 0;
            while !told.is_cancelled() {
                let (status, answer) = searches.send("/v1/indexes/books/search", "", &json!({ "q": "write" })).await;
                assert_eq!(status, 200, "{answer:#}");
                answered += 1;
            }
            answered
        });
        Self { enough, acknowledged, writing, searching }
    }

    /// Returns once so many more documents have been acknowledged.
    async fn goes_on(&self, documents: usize) {
        let until = self.acknowledged.load(Ordering::Relaxed) + documents;
        eventually(Duration::from_secs(60), || async {
            let acknowledged = self.acknowledged.load(Ordering::Relaxed);
            if acknowledged >= until { Ok(()) } else { Err(acknowledged) }
        })
        .await;
    }

    /// What was acknowledged, once the load has ended without a fault.
    async fn ends(self) -> Oracle {
        self.enough.cancel();
        assert!(self.searching.await.expect("no search failed") > 0);
        self.writing.await.expect("no write failed")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_is_replaced_under_load_and_no_request_is_lost() {
    let setting = Setting::fresh().await;
    let setting = setting.with("TIDEWELL_SHUTDOWN_DELAY_SECONDS", 4).with("TIDEWELL_LEASE_SECONDS", LEASE_SECONDS);
    let stack = Stack::of(setting).await;
    let tenant = stack.tenant("rolled").await;
    let Stack { setting, front, worker } = stack;
    let (mut fronts, mut workers) = (vec![front, setting.serve()], vec![worker.expect("a worker"), setting.work()]);
    let bases = fronts.iter().map(|front| front.operator.base.clone()).collect();
    let balancer =
        Balancer { client: tenant.client.clone(), fronts: Arc::new(Mutex::new(bases)), turn: Arc::default() };
    let load = Load::start(&balancer);
    for _ in 0..2 {
        load.goes_on(200).await;
        let (old, new) = (fronts.remove(0), setting.serve());
        balancer.add(&new.operator.base);
        fronts.push(new);
        let base = old.operator.base.clone();
        // The balancer hears of it by `/readyz` alone.
        tokio::task::spawn_blocking(move || old.process.stop()).await.expect("its orderly end");
        balancer.remove(&base);
        workers.push(setting.work());
        let old = workers.remove(0);
        tokio::task::spawn_blocking(move || old.stop()).await.expect("its orderly end");
    }
    load.goes_on(200).await;
    let oracle = load.ends().await;
    let pool = setting.pool().await;
    eventually(Duration::from_secs(120), || unsettled(&pool)).await;
    oracle.equals(&setting, tenant.alias()).await;
    let jobs: (i64, i64) =
        sqlx::query_as("select sum(dead)::bigint, sum(total - succeeded - superseded)::bigint from tidewell.jobs")
            .fetch_one(&pool)
            .await
            .expect("counts");
    assert_eq!(jobs, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_the_lanes_of_a_worker_that_is_told_to_stop_go_on_elsewhere_at_once() {
    let mut syncing = Syncing::of(Setting::fresh().await.with("TIDEWELL_LEASE_SECONDS", LEASE_SECONDS)).await;
    syncing
        .sql(
            "create table books (id bigint primary key, title text not null, price int);
             insert into books select n, 'Title ' || n, n from generate_series(1, 16000) as n",
        )
        .await;
    let tenant = syncing.stack.tenant("given").await;
    let job = syncing.job(json!({ "batch_size": 250, "batch_delay_ms": 150 })).await;
    let run = syncing.begin(&job).await;
    let read = syncing.read(&job, &run, 1000).await;
    let documents: Vec<Value> = (0..500).map(|n| json!({ "id": n.to_string(), "title": "x" })).collect();
    let write = tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    let next = syncing.stack.setting.work();
    let old = syncing.stack.worker.replace(next).expect("a worker");
    tokio::task::spawn_blocking(move || old.stop()).await.expect("its orderly end");
    assert_eq!(tenant.client.ended(&write).await["counts"]["succeeded"], 500);
    let ended = syncing.until(&job, &run, |run| {
        assert!(run["source_row_count"].as_i64() >= Some(read), "not from the beginning: {run:#}");
        !run["finished_at"].is_null()
    });
    assert_eq!(ended.await["status"], "success");
    syncing.equals(&job, "select id::text, title, price from books").await;
}

#[tokio::test]
async fn a_front_end_that_is_told_to_stop_says_so_and_serves_until_its_delay_is_over() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_SHUTDOWN_DELAY_SECONDS", 600)).await;
    let tenant = stack.tenant("delayed").await;
    let readyz = stack.operator().get("/readyz").await;
    assert_eq!((readyz.status.as_u16(), readyz.header("connection")), (200, None));
    told_to_stop(&stack.front.process);
    let refused = eventually(Duration::from_secs(10), || async {
        let answer = stack.operator().get("/readyz").await;
        if answer.status == 503 { Ok(answer) } else { Err(answer) }
    })
    .await;
    refused.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    let write = tenant.client.post(BATCH, &json!({ "documents": [{ "id": "a", "title": "A" }] })).await;
    assert_eq!(write.header("connection"), Some("close"), "so that no connection is idle when the process ends");
    write.expect(202);
    let again = Pid::from_raw(stack.front.process.pid());
    kill(again, Signal::SIGINT).expect("a signal");
    assert!(stack.front.process.failed().contains("stopped at once"));
}

#[tokio::test]
async fn who_waits_for_a_job_is_answered_when_its_front_end_is_told_to_stop() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("waiting").await;
    let job = tenant.client.post(BATCH, &json!({ "documents": [{ "id": "a", "title": "A" }] })).await.expect(202);
    let path = format!("/v1/jobs/{}?wait=30", job["jobId"].as_str().expect("a job"));
    let waiting = tokio::spawn(async move { tenant.client.get(&path).await });
    let pool = stack.setting.pool().await;
    // Until its request is under way.
    eventually(Duration::from_secs(10), || async {
        let looks: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and query like '%from tidewell.jobs join%'
             and pid <> pg_backend_pid()",
        )
        .fetch_one(&pool)
        .await
        .expect("a count");
        if looks > 0 { Ok(()) } else { Err("nobody looks") }
    })
    .await;
    told_to_stop(&stack.front.process);
    let answer = waiting.await.expect("an answer").expect(200);
    assert_eq!(answer["status"], "queued");
    stack.front.process.ended();
}
