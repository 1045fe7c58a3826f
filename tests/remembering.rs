//! What front ends remember of keys and indexes, and how soon they forget it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    client::{Answer, Client},
    database_proxy::DatabaseProxy,
    eventually,
    stack::{Setting, Stack},
};

const SEARCH: &str = "/v1/indexes/books/search";
/// Within which what was changed must show.
const SOON: Duration = Duration::from_secs(1);

/// A search key of an organization: what the operator knows of it, and its holder.
async fn key(operator: &Client, organization: &str) -> (Value, Client) {
    let new = json!({ "name": "k", "kind": "search" });
    let key = operator.post(&format!("/v1/organizations/{organization}/keys"), &new).await.expect(201);
    let client = operator.bearer(key["rawKey"].as_str().expect("a key"));
    (key, client)
}

async fn revoke(operator: &Client, organization: &str, key: &Value) {
    let id = key["id"].as_str().expect("an id");
    operator.delete(&format!("/v1/organizations/{organization}/keys/{id}")).await.expect(200);
}

async fn refused_soon(client: &Client) -> Answer {
    eventually(SOON, || async {
        let answer = client.post(SEARCH, &json!({})).await;
        if answer.status == 200 { Err("still let in") } else { Ok(answer) }
    })
    .await
}

#[tokio::test]
async fn a_key_that_is_revoked_is_refused_by_every_front_end_within_a_second() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("revoked").await;
    let second = stack.setting.serve();
    let (key, client) = key(stack.operator(), "revoked").await;
    let there = client.at(&second.operator.base);
    for client in [&client, &there] {
        client.post(SEARCH, &json!({})).await.expect(200);
    }
    revoke(stack.operator(), "revoked", &key).await;
    let (here, there) = tokio::join!(refused_soon(&client), refused_soon(&there));
    here.problem(401, "unauthorized");
    there.problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_is_refused_within_a_second_while_the_front_end_is_cut_off_from_changes() {
    let setting = Setting::fresh().await;
    let mut proxy = DatabaseProxy::before(&setting.database_url).await;
    setting.migrate();
    let front = Setting { database_url: proxy.url.clone(), ..setting.clone() }.serve();
    let stack = Stack { setting, front, worker: None };
    stack.tenant("cut").await;
    let keys =
        [key(stack.operator(), "cut").await, key(stack.operator(), "cut").await, key(stack.operator(), "cut").await];
    proxy.listening(1).await;
    for (_, client) in &keys {
        client.post(SEARCH, &json!({})).await.expect(200);
    }
    let [(first, first_client), (second, second_client), (third, third_client)] = &keys;
    proxy.cut();
    revoke(stack.operator(), "cut", first).await;
    refused_soon(first_client).await.problem(401, "unauthorized");
    // By now it knows that it is cut off.
    proxy.listening(2).await;
    second_client.post(SEARCH, &json!({})).await.expect(200);
    revoke(stack.operator(), "cut", second).await;
    refused_soon(second_client).await.problem(401, "unauthorized");
    proxy.mend();
    third_client.post(SEARCH, &json!({})).await.expect(200);
    revoke(stack.operator(), "cut", third).await;
    refused_soon(third_client).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn what_is_changed_by_hand_in_the_database_shows_within_a_second() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("edited").await;
    let (pool, (_, client)) = (stack.setting.pool().await, key(stack.operator(), "edited").await);
    client.post(SEARCH, &json!({})).await.expect(200);
    execute(&pool, "update tidewell.keys set rate_limit_per_minute = 77 where name = 'k'").await;
    eventually(SOON, || async {
        let answer = client.post(SEARCH, &json!({})).await;
        if answer.header("ratelimit-limit") == Some("77") { Ok(()) } else { Err("still the old limit") }
    })
    .await;
    execute(&pool, "update tidewell.indexes set slug = 'novels'").await;
    refused_soon(&client).await.problem(404, "index_not_found");
    client.post("/v1/indexes/novels/search", &json!({})).await.expect(200);
    execute(&pool, "update tidewell.keys set expires_at = clock_timestamp() where name = 'k'").await;
    eventually(SOON, || async {
        let answer = client.post("/v1/indexes/novels/search", &json!({})).await;
        if answer.status == 200 { Err("still let in") } else { Ok(answer) }
    })
    .await
    .problem(401, "token_expired");
}

#[tokio::test]
async fn what_has_not_changed_is_not_asked_for_again() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("kept").await;
    let pool = stack.setting.pool().await;
    execute(&pool, "alter table tidewell.keys disable trigger notify_changed").await;
    // A machine that is too busy to prove in time that it hears has to ask: that is seen, and tried again.
    for _ in 0..10 {
        let (_, client) = key(stack.operator(), "kept").await;
        client.post(SEARCH, &json!({})).await.expect(200);
        execute(&pool, "update tidewell.keys set revoked_at = clock_timestamp() where name = 'k'").await;
        let began = Instant::now();
        while began.elapsed() < 2 * SOON && client.post(SEARCH, &json!({})).await.status == 200 {}
        if began.elapsed() >= 2 * SOON {
            execute(&pool, "notify tidewell_changed").await;
            refused_soon(&client).await.problem(401, "unauthorized");
            return;
        }
    }
    panic!("a key was asked for again, time after time");
}

#[tokio::test]
async fn a_key_ends_at_its_hour_though_nothing_has_changed() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("hour").await;
    let pool = stack.setting.pool().await;
    let soon: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select clock_timestamp() + interval '3 seconds'").fetch_one(&pool).await.expect("the time");
    let new = json!({ "name": "k", "kind": "search", "expiresAt": soon });
    let key = stack.operator().post("/v1/organizations/hour/keys", &new).await.expect(201);
    let client = stack.operator().bearer(key["rawKey"].as_str().expect("a key"));
    let answer = eventually(Duration::from_secs(60), || async {
        let answer = client.post(SEARCH, &json!({})).await;
        if answer.status == 200 { Err("still let in") } else { Ok(answer) }
    })
    .await;
    answer.problem(401, "token_expired");
    let late: f64 = sqlx::query_scalar("select extract(epoch from clock_timestamp() - $1)::float8")
        .bind(soon)
        .fetch_one(&pool)
        .await
        .expect("the time");
    assert!((-0.5..5.0).contains(&late), "{late} s late");
}

#[tokio::test]
async fn an_index_that_was_missing_is_there_as_soon_as_it_is_made() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("made").await;
    let films = json!({ "slug": "films", "fields": [{ "name": "title", "type": "string" }] });
    tenant.client.post("/v1/indexes/films/search", &json!({})).await.problem(404, "index_not_found");
    stack.operator().post("/v1/organizations/made/indexes", &films).await.expect(201);
    tenant.client.post("/v1/indexes/films/search", &json!({})).await.expect(200);
}

async fn execute(pool: &PgPool, statement: &'static str) {
    sqlx::query(statement).execute(pool).await.expect("done");
}
