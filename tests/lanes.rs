//! Lanes with little to do are worked on together, each under its own fence.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tidewell::{
    db::{
        flight::{self, Flight, Lifetime},
        lane::{self, Lane, Lease},
    },
    domain::lane::lane_of,
};
use uuid::Uuid;

use crate::support::{
    proxy::{Fault, Proxy},
    stack::{Setting, Stack},
};

const BATCH: &str = "/v1/indexes/books/documents:batch";
const TERM: Duration = Duration::from_secs(60);
/// Rows that are little.
const FEW: i64 = 2;

/// Ids of documents of this lane.
fn ids_in(lane: i16) -> impl Iterator<Item = String> {
    (0..).map(|n| format!("d{n}")).filter(move |id| lane_of(id) == lane)
}

async fn lease(pool: &PgPool, index_id: Uuid, lane: i16) -> Option<Lease> {
    lane::lease(pool, Lane { index_id, lane }, FEW, "a worker", TERM).await.expect("an answer")
}

async fn renewed(pool: &PgPool, lease: &Lease) -> bool {
    let mut conn = pool.acquire().await.expect("a connection");
    lane::renew(&mut conn, lease, 0).await.expect("an answer").is_some()
}

/// So many documents in each of these lanes.
fn documents(lanes: &[(i16, usize)]) -> Value {
    let ids = lanes.iter().flat_map(|(lane, count)| ids_in(*lane).take(*count));
    let documents: Vec<_> = ids.map(|id| json!({ "id": id, "title": "x" })).collect();
    json!({ "documents": documents })
}

/// An index in whose lanes so many rows wait.
async fn index_with(stack: &Stack, slug: &str, rows: &[(i16, usize)]) -> Uuid {
    let tenant = stack.tenant(slug).await;
    tenant.client.post(BATCH, &documents(rows)).await.expect(202);
    tenant.index["id"].as_str().expect("an id").parse().expect("an id")
}

#[tokio::test]
async fn what_the_lanes_of_an_index_have_goes_in_one_import_where_it_is_little() {
    let mut setting = Setting::fresh().await;
    let stack = Stack::without_worker(setting.clone()).await;
    let tenant = stack.tenant("little").await;
    let documents: Vec<_> = (0..64).map(|id| json!({ "id": id.to_string(), "title": "x" })).collect();
    let job = tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    let mut proxy = Proxy::before(&setting.typesense_url).await;
    proxy.set(Fault::Hold);
    setting.typesense_url = proxy.url.clone();
    let _worker = setting.work();
    let import = proxy.held.recv().await.expect("an import");
    assert_eq!(import.body.lines().count(), 64);
    proxy.set(Fault::None);
    import.let_go().await;
    assert_eq!(tenant.client.ended(&job).await["counts"]["succeeded"], 64);
    let documents: i64 = sqlx::query_scalar("select sum(documents)::bigint from tidewell.lanes")
        .fetch_one(&stack.setting.pool().await)
        .await
        .expect("a sum");
    assert_eq!(documents, 64, "they are counted once");
}

#[tokio::test]
async fn a_lane_is_taken_with_those_beside_it_that_have_as_little_to_do() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let pool = stack.setting.pool().await;
    let index_id = index_with(&stack, "beside", &[(0, 2), (2, 1), (3, 3), (5, 1), (6, 1)]).await;
    let held = lease(&pool, index_id, 7).await.expect("an empty lane, and the others");
    assert_eq!(held.lanes, [0, 2, 5, 6, 7], "not the one with more, and none without anything");
    for lane in [0, 2, 7] {
        assert!(lease(&pool, index_id, lane).await.is_none(), "lane {lane} is held");
    }
    lane::release(&pool, &held).await.expect("given back");
    assert_eq!(lease(&pool, index_id, 3).await.expect("the one with more").lanes, [3]);
    assert_eq!(lease(&pool, index_id, 5).await.expect("all others").lanes, [0, 2, 5, 6]);

    let index_id = index_with(&stack, "meant", &[(0, 1), (2, 1)]).await;
    let embedded = "update tidewell.indexes set embedding = '{}' where id = $1";
    sqlx::query(embedded).bind(index_id).execute(&pool).await.expect("an index with vectors");
    assert_eq!(lease(&pool, index_id, 2).await.expect("its lane").lanes, [2], "vectors are made side by side");
}

#[tokio::test]
async fn lanes_that_nobody_holds_wait_first_those_with_little_to_do() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let pool = stack.setting.pool().await;
    let index_id = index_with(&stack, "waiting", &[(0, 3), (1, 4), (2, 2), (4, 1), (7, 1)]).await;
    let waiting = async || {
        let waiting = lane::waiting(&pool, index_id, FEW).await.expect("an answer");
        waiting.into_iter().map(|waiting| (waiting.lane, waiting.is_little)).collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, [(2, true), (4, true), (7, true), (0, false), (1, false)]);
    let _held = lease(&pool, index_id, 2).await.expect("those with little");
    assert_eq!(waiting().await, [(0, false), (1, false)]);
    lane::want_all(&pool, index_id, TERM).await.expect("asked for");
    assert_eq!(waiting().await, []);
}

#[tokio::test]
async fn requests_wake_their_index_once_and_none_of_its_lanes_is_left_to_the_scan() {
    let setting = Setting::fresh().await.with("TIDEWELL_POLL_MS", 60_000).with("TIDEWELL_IMPORT_LINES", 16);
    let stack = Stack::without_worker(setting.clone()).await;
    let tenant = stack.tenant("woken").await;
    let lanes = [(0, 9), (2, 2), (3, 7), (4, 1), (5, 40)];
    let write = async || tenant.client.post(BATCH, &documents(&lanes)).await.expect(202);
    let jobs = [write().await, write().await];
    let wake_ups: Vec<String> = sqlx::query_scalar("select job_type from apalis.jobs where status = 'Pending'")
        .fetch_all(&stack.setting.pool().await)
        .await
        .expect("wake-ups");
    assert_eq!(wake_ups, ["project_index"]);
    let _worker = setting.work();
    for job in jobs {
        assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
    }
    let job = write().await;
    assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
}

#[tokio::test]
async fn who_has_lost_one_of_its_lanes_has_lost_them_all() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let pool = stack.setting.pool().await;
    let index_id = index_with(&stack, "lost", &[(1, 1), (4, 1)]).await;
    let held = lease(&pool, index_id, 1).await.expect("both");
    assert!(held.lanes == [1, 4] && renewed(&pool, &held).await);
    let run_out = "update tidewell.lanes set leased_until = '-infinity' where index_id = $1 and lane = 4";
    sqlx::query(run_out).bind(index_id).execute(&pool).await.expect("run out");
    let taken = lease(&pool, index_id, 4).await.expect("the other one's");
    assert_eq!(taken.lanes, [4]);

    assert!(!renewed(&pool, &held).await);
    let flight = Flight {
        id: Uuid::now_v7(),
        index_id,
        collection: "books_v1".to_owned(),
        document_ids: vec!["a".to_owned()],
        versions: vec![1],
    };
    let life = Lifetime { timeout: TERM, doubt: TERM };
    let opened = flight::open(&pool, &held, 0, &flight, "a worker", life).await.expect("an answer");
    let flights: i64 =
        sqlx::query_scalar("select count(*) from tidewell.flights").fetch_one(&pool).await.expect("a count");
    assert!(opened.is_none() && flights == 0, "nothing is sent");
    lane::release(&pool, &held).await.expect("given back");
    assert!(renewed(&pool, &taken).await, "what is another's by now is not given back");
    assert_eq!(lease(&pool, index_id, 1).await.expect("what was its own is").lanes, [1]);
}

#[tokio::test]
async fn a_statement_that_is_prepared_while_a_queue_is_empty_does_not_read_all_of_it_when_it_is_full() {
    let setting = Setting::fresh().await;
    setting.migrate();
    let pool = tidewell::db::connect_lazily(&setting.database_url, 1).expect("a pool");
    sqlx::query("vacuum (analyze) tidewell.outbox").execute(&pool).await.expect("an empty outbox, known to be empty");
    let waits = "explain (generic_plan) select from tidewell.outbox where index_id = $1 and lane = $2 and not retrying";
    let plan: Vec<String> =
        sqlx::raw_sql(waits).fetch_all(&pool).await.expect("a plan").iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("using outbox_pkey")), "{plan:#?}");
}
