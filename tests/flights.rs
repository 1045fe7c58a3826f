//! Requests in doubt: cases that the model of the protocol (`tests/model`) has found.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use tidewell::{
    db::{
        flight::{self, Doubted},
        settlement::{Death, Settlement, settle},
    },
    domain::lane::lane_of,
};
use uuid::Uuid;

use crate::support::{
    proxy::{Fault, Proxy},
    stack::{Setting, Stack},
};

/// How long requests are taken to live.
const LIVES: Duration = Duration::from_secs(60);
const DOCUMENTS: &str = "/v1/indexes/books/documents";

/// The flight of one document whose sender is lost, and which nothing can be alive of.
async fn lost(pool: &PgPool, index_id: Uuid, document_id: &str, version: i64) -> Uuid {
    sqlx::query_scalar(
        "insert into tidewell.flights
             (id, index_id, collection, document_ids, versions, worker, deadline, doubted_until, next_read_at)
         values ($1, $2, 'books_v1', array['beside ' || $3, $3], array[1, $4], 'gone', now(), now(), now())
         returning id",
    )
    .bind(Uuid::now_v7())
    .bind(index_id)
    .bind(document_id)
    .bind(version)
    .fetch_one(pool)
    .await
    .expect("a flight")
}

async fn doubted(pool: &PgPool) -> Vec<Doubted> {
    let mut doubted = vec![];
    while let Some(flight) = flight::next_doubted(pool, Duration::from_secs(3600), LIVES).await.expect("a look") {
        doubted.push(flight);
    }
    doubted.sort_by_key(|flight| flight.id);
    doubted
}

#[tokio::test]
async fn a_lost_request_is_judged_for_good_only_when_others_about_its_documents_have_settled() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let pool = stack.setting.pool().await;
    let index_id = Uuid::now_v7();
    let first = lost(&pool, index_id, "a", 5).await;
    let newer = lost(&pool, index_id, "a", 6).await;
    lost(&pool, index_id, "b", 4).await;
    lost(&pool, Uuid::now_v7(), "a", 7).await;
    let overlapped = |doubted: Vec<Doubted>| doubted.iter().map(|flight| flight.is_overlapped).collect::<Vec<_>>();
    assert_eq!(overlapped(doubted(&pool).await), [true, true, false, false], "an older version may come after a newer");

    flight::confirm(&pool, newer).await.expect("given up");
    let mut conn = pool.acquire().await.expect("a connection");
    assert!(!flight::keep(&mut conn, newer).await.expect("asked"), "what was done of it does not count any more");
    assert!(!flight::close(&mut conn, newer).await.expect("asked"), "nor does its answer");
    sqlx::query("update tidewell.flights set next_read_at = now()").execute(&mut *conn).await.expect("due");
    assert_eq!(overlapped(doubted(&pool).await), [false, true, false, false], "nor is it waited for");

    flight::forget(&pool, first).await.expect("forgotten");
    let later = lost(&pool, index_id, "a", 8).await;
    let opened = "update tidewell.flights set deadline = deadline + interval '2 minutes' where id = $1";
    sqlx::query(opened).bind(later).execute(&mut *conn).await.expect("opened when nothing of the first can be alive");
    sqlx::query("update tidewell.flights set next_read_at = now()").execute(&mut *conn).await.expect("due");
    assert_eq!(overlapped(doubted(&pool).await), [false, false, false, false]);
}

#[tokio::test]
async fn an_answer_to_a_request_that_was_given_up_for_lost_does_not_count() {
    let mut setting = Setting::fresh().await;
    let stack = Stack::without_worker(setting.clone()).await;
    let mut proxy = Proxy::before(&setting.typesense_url).await;
    setting.typesense_url = proxy.url.clone();
    let _worker = setting.work();
    let tenant = stack.tenant("late").await;
    let pool = stack.setting.pool().await;
    proxy.set(Fault::Hold);
    let job = tenant.client.put(DOCUMENTS, &json!({ "id": "a", "title": "once" })).await.expect(202);
    let first = proxy.held.recv().await.expect("an import");
    sqlx::query("update tidewell.flights set confirmed = true").execute(&pool).await.expect("given up");
    first.let_go().await;
    let again = proxy.held.recv().await.expect("the same import, once more");
    proxy.set(Fault::None);
    again.let_go().await;
    assert_eq!(tenant.client.ended(&job).await["counts"]["succeeded"], 1);
}

#[tokio::test]
async fn what_was_done_of_a_broken_request_counts_only_while_its_flight_stands() {
    let mut setting = Setting::fresh().await;
    let stack = Stack::without_worker(setting.clone()).await;
    let tenant = stack.tenant("broken").await;
    let pool = stack.setting.pool().await;
    let beside = (0..).map(|n| format!("b{n}")).find(|id| lane_of(id) == lane_of("a")).expect("an id");
    tenant.client.put(DOCUMENTS, &json!({ "id": "a", "title": "x" })).await.expect(202);
    let deleted = tenant.client.delete(&format!("{DOCUMENTS}/{beside}")).await.expect(202);
    let mut proxy = Proxy::before(&setting.typesense_url).await;
    proxy.set(Fault::Hold);
    setting.typesense_url = proxy.url.clone();
    let _worker = setting.work();
    let first = proxy.held.recv().await.expect("an import, beside which the delete is sent");
    sqlx::query("update tidewell.flights set confirmed = true").execute(&pool).await.expect("given up");
    drop(first);
    let again = proxy.held.recv().await.expect("the same import, once more");
    let waiting: i64 =
        sqlx::query_scalar("select count(*) from tidewell.outbox").fetch_one(&pool).await.expect("a count");
    assert_eq!(waiting, 2, "the delete is done once more, too");
    proxy.set(Fault::None);
    again.let_go().await;
    assert_eq!(tenant.client.ended(&deleted).await["counts"]["succeeded"], 1);
}

#[tokio::test]
async fn a_row_that_dies_after_it_may_have_been_applied_has_its_document_written_as_the_record_has_it() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("dying").await;
    let pool = stack.setting.pool().await;
    for id in ["tried", "fresh"] {
        tenant.client.put(DOCUMENTS, &json!({ "id": id, "title": "x" })).await.expect(202);
    }
    sqlx::query("update tidewell.outbox set attempts = 3 where document_id = 'tried'")
        .execute(&pool)
        .await
        .expect("tried");
    let rows: Vec<(Uuid, i16, i64)> =
        sqlx::query_as("select index_id, lane, version from tidewell.outbox").fetch_all(&pool).await.expect("rows");
    let mut repairs = vec![];
    let mut conn = pool.acquire().await.expect("a connection");
    for (index_id, lane, version) in rows {
        let death = Death {
            letter_id: Uuid::now_v7(),
            version,
            code: "failed".to_owned(),
            message: "no".to_owned(),
            signature: "no".to_owned(),
        };
        let settlement = Settlement { deaths: vec![death], ..Settlement::default() };
        repairs.push(settle(&mut conn, index_id, &[lane], &settlement).await.expect("settled"));
    }
    repairs.sort_unstable();
    assert_eq!(repairs, [0, 1]);
    let left: Vec<(String, String)> = sqlx::query_as("select operation::text, document_id from tidewell.outbox")
        .fetch_all(&mut *conn)
        .await
        .expect("rows");
    assert_eq!(left, [("reproject".to_owned(), "tried".to_owned())]);
}
