//! Several front ends at once are as one: what one of them has promised binds the others.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    eventually,
    oracle::{held, unsettled},
    stack::{FrontEnd, Setting, Stack, Tenant, key},
};

const BATCH: &str = "/v1/indexes/books/documents:batch";

/// A tenant that speaks to two front ends.
struct Pair {
    stack: Stack,
    _other: FrontEnd,
    tenant: Tenant,
    clients: [Client; 2],
}

impl Pair {
    async fn of(stack: Stack, slug: &str) -> Self {
        let tenant = stack.tenant(slug).await;
        let other = stack.setting.serve();
        let clients = [tenant.client.clone(), tenant.client.at(&other.operator.base)];
        Self { stack, _other: other, tenant, clients }
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.stack.setting.pool().await).await.expect("a count")
    }
}

async fn write(client: &Client, key: &str, documents: &[Value]) -> Answer {
    let request = client.request(Method::POST, BATCH).header("idempotency-key", key);
    client.send(request.json(&json!({ "documents": documents }))).await
}

#[tokio::test]
async fn a_request_that_reaches_two_front_ends_at_once_is_one_write() {
    let pair = Pair::of(Stack::without_worker(Setting::fresh().await).await, "once").await;
    for n in 0..30 {
        let (key, documents) = (format!("key-{n}"), [json!({ "id": n.to_string(), "title": "x" })]);
        let [one, other] = &pair.clients;
        let (first, second) = tokio::join!(write(one, &key, &documents), write(other, &key, &documents));
        for answer in [first, second].into_iter().filter(|answer| answer.status != 202) {
            answer.problem(409, "idempotency_in_progress");
        }
        let (again, once_more) = (write(one, &key, &documents).await, write(other, &key, &documents).await);
        assert_eq!(again.expect(202)["jobId"], once_more.expect(202)["jobId"]);
    }
    assert_eq!(pair.count("select count(*) from tidewell.jobs").await, 30);
    assert_eq!(pair.count("select count(*) from tidewell.outbox").await, 30);
    assert_eq!(pair.count("select sum(used)::bigint from tidewell.usage").await, 30);
}

#[tokio::test]
async fn a_plan_is_used_up_to_its_last_unit_and_not_beyond_whichever_front_end_is_asked() {
    let pair = Pair::of(Stack::without_worker(Setting::fresh().await).await, "cap").await;
    pair.stack.operator().put("/v1/plans/own", &json!({ "monthlyUnits": 1000 })).await.expect(200);
    pair.stack.operator().patch("/v1/organizations/cap", &json!({ "plan": "own" })).await.expect(200);
    let documents: Vec<Value> = (0..50).map(|n| json!({ "id": n.to_string(), "title": "x" })).collect();
    let writes = (0..40).map(|n| {
        let (client, documents) = (&pair.clients[n % 2], &documents);
        async move { write(client, &format!("write-{n}"), documents).await }
    });
    let (accepted, refused): (Vec<Answer>, Vec<Answer>) =
        join_all(writes).await.into_iter().partition(|answer| answer.status == 202);
    refused.iter().for_each(|answer| answer.problem(429, "quota_exceeded"));
    assert_eq!((accepted.len(), refused.len()), (20, 20));
    assert_eq!(pair.count("select sum(used)::bigint from tidewell.usage").await, 1000);
    assert_eq!(pair.count("select count(*) from tidewell.outbox").await, 1000);
}

#[tokio::test]
async fn changes_of_one_document_by_two_front_ends_are_all_kept() {
    let pair = Pair::of(Stack::of(Setting::fresh().await).await, "merged").await;
    let raw = key(pair.stack.operator(), "merged", &["connector_write"]).await;
    let clients = pair.clients.each_ref().map(|client| Client::new(&client.base, "x-typesense-api-key", &raw));
    write(&pair.clients[0], "first", &[json!({ "id": "a", "title": "A" })]).await.expect(202);
    let changes =
        (0..24).map(|n| {
            let client = &clients[n % 2];
            async move {
                client.patch("/collections/books/documents/a", &json!({ format!("field{n}"): n })).await.expect(200)
            }
        });
    join_all(changes).await;
    let pool = pair.stack.setting.pool().await;
    eventually(Duration::from_secs(60), || unsettled(&pool)).await;
    let mut wanted = json!({ "id": "a", "title": "A" });
    (0..24).for_each(|n| wanted[format!("field{n}")] = json!(n));
    assert_eq!(held(&pair.stack.setting, pair.tenant.alias()).await["a"], wanted);
}
