//! Organizations, indexes and keys: who may do what.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tidewell::ingest::rate::RateLimiter;

use crate::support::{
    eventually, process,
    stack::{Setting, Stack, key},
};

const SEARCH: &str = "/v1/indexes/books/search";
const BATCH: &str = "/v1/indexes/books/documents:batch";

#[tokio::test]
async fn credentials_are_judged_before_anything_else() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("auth").await;
    let anybody = stack.operator().bearer("ss_search_nonsense");
    for (method, path) in
        [(Method::POST, BATCH), (Method::POST, SEARCH), (Method::GET, "/v1/organizations"), (Method::GET, "/v1/jobs")]
    {
        anybody.send(anybody.request(method.clone(), path).body("{ malformed")).await.problem(401, "unauthorized");
        let bare = anybody.http.request(method, format!("{}{path}", anybody.base)).body("{ malformed");
        anybody.send(bare).await.problem(401, "unauthorized");
    }
    let wrong = anybody.http.get(format!("{}/v1/organizations", anybody.base)).header("x-athena-admin-key", "guess");
    anybody.send(wrong).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say_and_no_more() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("scopes").await;
    let of = |scope: &'static str| {
        let operator = stack.operator().clone();
        async move { operator.bearer(&key(&operator, "scopes", &[scope]).await) }
    };
    let document = json!({ "documents": [{ "id": "a", "title": "A" }] });
    let (searcher, writer) = (of("search").await, of("ingest").await);
    searcher.post(SEARCH, &json!({})).await.expect(200);
    searcher.post(BATCH, &document).await.problem(403, "forbidden");
    writer.post(BATCH, &document).await.expect(202);
    writer.post(SEARCH, &json!({})).await.problem(403, "forbidden");
    of("connector_write").await.post(BATCH, &document).await.expect(202);
    writer.get("/v1/dead-letters").await.problem(403, "forbidden");
    of("admin").await.get("/v1/dead-letters").await.expect(200);
    writer.get("/v1/organizations").await.problem(403, "forbidden");
    writer
        .post("/v1/organizations", &json!({ "slug": "x", "name": "x", "plan": "free" }))
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn a_key_bound_to_an_index_works_for_that_index_alone() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("bound").await;
    let operator = stack.operator();
    let films = json!({ "slug": "films", "fields": [{ "name": "title", "type": "string" }] });
    operator.post("/v1/organizations/bound/indexes", &films).await.expect(201);
    let new = json!({ "name": "films only", "kind": "search", "scopes": ["search"], "index": "films" });
    let raw = operator.post("/v1/organizations/bound/keys", &new).await.expect(201)["rawKey"].clone();
    let client = operator.bearer(raw.as_str().expect("a key"));
    client.post("/v1/indexes/films/search", &json!({})).await.expect(200);
    client.post(SEARCH, &json!({})).await.problem(403, "key_does_not_match_index");
}

#[tokio::test]
async fn the_operator_sees_the_indexes_of_all_organizations_or_of_one() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let (first, second) = (stack.tenant("first").await, stack.tenant("second").await);
    let operator = stack.operator();
    let listed = async |query: &str| {
        let list = operator.get(&format!("/v1/indexes{query}")).await.expect(200);
        let items = list["items"].as_array().expect("items").clone();
        let named = items.iter().map(|item| (item["organization"].clone(), item["id"].clone())).collect::<Vec<_>>();
        (named, list["nextCursor"].as_str().map(str::to_owned))
    };
    let [one, two] = [(json!("first"), first.index["id"].clone()), (json!("second"), second.index["id"].clone())];
    assert_eq!(listed("").await, (vec![two.clone(), one.clone()], None));
    assert_eq!(listed("?organization=first").await, (vec![one.clone()], None));
    let (newest, cursor) = listed("?limit=1").await;
    assert_eq!(newest, [two]);
    assert_eq!(listed(&format!("?cursor={}", cursor.expect("more"))).await, (vec![one], None));
    operator.get("/v1/indexes?organization=third").await.problem(404, "not_found");
    first.client.get("/v1/indexes").await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_list_of_keys_tells_what_is_taken_of_their_minute() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("minute").await;
    let taken = async || {
        let keys = stack.operator().get("/v1/organizations/minute/keys").await.expect(200);
        keys["items"][0]["takenLastMinute"].as_i64().expect("a count")
    };
    assert_eq!(taken().await, 0);
    tenant.client.post(SEARCH, &json!({})).await.expect(200);
    assert!(taken().await > 0);
}

#[tokio::test]
async fn a_secret_is_shown_once_and_stored_as_a_hash() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("secret").await;
    let operator = stack.operator();
    let new = json!({ "name": "k", "kind": "search" });
    let made = operator.post("/v1/organizations/secret/keys", &new).await.expect(201);
    let raw = made["rawKey"].as_str().expect("a key");
    assert!(raw.starts_with("ss_search_") && raw.len() == "ss_search_".len() + 43);
    assert_eq!(made["scopes"], json!(["search"]));
    let listed = operator.get("/v1/organizations/secret/keys").await.expect(200);
    assert!(!listed.to_string().contains(raw));
    assert_eq!(listed["items"][0]["prefix"], raw["ss_search_".len()..][..12]);
    let dump: String = sqlx::query_scalar("select string_agg(keys::text, ' ') from tidewell.keys")
        .fetch_one(&stack.setting.pool().await)
        .await
        .expect("the keys");
    assert!(!dump.contains(raw));
}

#[tokio::test]
async fn expired_and_revoked_keys_and_foreign_origins_are_refused() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("refused").await;
    let (operator, pool) = (stack.operator(), stack.setting.pool().await);
    let new = json!({ "name": "k", "kind": "search", "allowedOrigins": ["https://shop.example"], "expiresAt": "2099-01-01T00:00:00Z" });
    let made = operator.post("/v1/organizations/refused/keys", &new).await.expect(201);
    let client = operator.bearer(made["rawKey"].as_str().expect("a key"));
    let from =
        |origin: &str| client.send(client.request(Method::POST, SEARCH).header("origin", origin).json(&json!({})));
    from("https://shop.example").await.expect(200);
    from("https://evil.example").await.problem(403, "origin_not_allowed");
    sqlx::query("update tidewell.keys set expires_at = now() where prefix = $1")
        .bind(made["prefix"].as_str())
        .execute(&pool)
        .await
        .expect("expired");
    eventually(Duration::from_secs(1), || async {
        let answer = client.post(SEARCH, &json!({})).await;
        if answer.status == 401 { Ok(answer) } else { Err(answer.status) }
    })
    .await
    .problem(401, "token_expired");
    let past = json!({ "name": "k", "kind": "search", "expiresAt": "2001-01-01T00:00:00Z" });
    operator.post("/v1/organizations/refused/keys", &past).await.problem(422, "validation_failed");
}

#[tokio::test]
async fn when_a_key_was_last_used_is_written_off_the_requests_path() {
    let mut stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("used").await;
    let pool = stack.setting.pool().await;
    tenant.client.post(SEARCH, &json!({})).await.expect(200);
    let other = stack.setting.serve();
    std::mem::replace(&mut stack.front, other).process.stop();
    let used: i64 = sqlx::query_scalar("select count(*) from tidewell.keys where last_used_at is not null")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(used, 1, "written at a clean stop at the latest");
}

#[tokio::test]
async fn another_organizations_things_are_not_found() {
    let stack = Stack::start().await;
    let (mine, theirs) = (stack.tenant("mine").await, stack.tenant("theirs").await);
    let job = theirs.client.put("/v1/indexes/books/documents", &json!({ "id": "a", "title": 1 })).await.expect(202);
    theirs.client.ended(&job).await;
    let letter = theirs.client.get("/v1/dead-letters").await.expect(200)["items"][0]["id"].clone();
    let index = theirs.index["id"].as_str().expect("an id");
    let client = &mine.client;
    client.post(&format!("/v1/indexes/{index}/search"), &json!({})).await.problem(404, "index_not_found");
    client.put(&format!("/v1/indexes/{index}/documents"), &json!({ "id": "a" })).await.problem(404, "index_not_found");
    client.get(&format!("/v1/jobs/{}", job["jobId"].as_str().unwrap())).await.problem(404, "not_found");
    client.get(&format!("/v1/dead-letters/{}", letter.as_str().unwrap())).await.problem(404, "not_found");
    assert_eq!(client.get("/v1/jobs").await.expect(200)["items"], json!([]));
    assert_eq!(client.get("/v1/dead-letters").await.expect(200)["items"], json!([]));
    let discard = json!({ "ids": [letter] });
    assert_eq!(client.post("/v1/dead-letters:discard", &discard).await.expect(200)["discarded"], 0);
    let discard = json!({ "filter": { "organization": "theirs" } });
    let discarded = client.post("/v1/dead-letters:discard", &discard).await;
    assert!(discarded.status == 404 || discarded.body["discarded"] == 0, "{:#}", discarded.body);
    client.get(&format!("/v1/jobs?index={index}")).await.problem(404, "index_not_found");
}

#[tokio::test]
async fn a_key_makes_no_more_requests_a_minute_than_it_may_over_all_front_ends() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("rate").await;
    let second = stack.setting.serve();
    let new = json!({ "name": "slow", "kind": "search", "rateLimitPerMinute": 40 });
    let raw = stack.operator().post("/v1/organizations/rate/keys", &new).await.expect(201)["rawKey"].clone();
    let alone = stack.operator().bearer(raw.as_str().expect("a key"));
    let mut admitted = 0;
    for _ in 0..60 {
        let answer = alone.post(SEARCH, &json!({})).await;
        assert_eq!(answer.header("ratelimit-limit"), Some("40"));
        match answer.status.as_u16() {
            200 => admitted += 1,
            _ => {
                answer.problem(429, "rate_limit_exceeded");
                assert_eq!(answer.header("ratelimit-remaining"), Some("0"));
                assert!(answer.header("retry-after").is_some());
            }
        }
    }
    assert_eq!(admitted, 40, "a lone front end admits exactly the limit");
    let raw = stack.operator().post("/v1/organizations/rate/keys", &new).await.expect(201)["rawKey"].clone();
    let pair = [stack.operator().bearer(raw.as_str().unwrap()), second.operator.bearer(raw.as_str().unwrap())];
    let requests = (0..120).map(|n| {
        let client = pair[n % 2].clone();
        async move { client.post(SEARCH, &json!({})).await.status.as_u16() }
    });
    let statuses = futures::future::join_all(requests).await;
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    assert!((38..=40).contains(&admitted), "{admitted} were admitted");
}

#[tokio::test]
async fn idle_front_ends_cost_a_busy_one_little_of_the_limit() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("rate").await;
    let id: uuid::Uuid = stack.operator().get("/v1/organizations/rate/keys").await.expect(200)["items"][0]["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("a key");
    let pool = stack.setting.pool().await;
    for _ in 0..4 {
        let idle = RateLimiter::new(pool.clone());
        assert!(idle.admit(id, 1000).await.expect("a decision").admitted);
    }
    let busy = RateLimiter::new(pool);
    let mut admitted = 4;
    while busy.admit(id, 1000).await.expect("a decision").admitted {
        admitted += 1;
    }
    assert!((950..=1000).contains(&admitted), "{admitted} were admitted");
}

#[tokio::test]
async fn what_is_wrong_with_an_organization_an_index_or_a_key_is_said_field_by_field() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("valid").await;
    let operator = stack.operator();
    let faults = |body: &Value| -> Vec<String> {
        let errors = body["errors"].as_array().expect("errors");
        errors.iter().map(|fault| fault["field"].as_str().expect("a field").to_owned()).collect()
    };
    let answer = operator.post("/v1/organizations", &json!({ "slug": "No Slug", "name": "", "plan": "free" })).await;
    answer.problem(422, "validation_failed");
    assert_eq!(faults(&answer.body), ["slug", "name"]);
    operator
        .post("/v1/organizations", &json!({ "slug": "valid", "name": "x", "plan": "free" }))
        .await
        .problem(409, "conflict");
    operator
        .post("/v1/organizations", &json!({ "slug": "x", "name": "x", "plan": "gold" }))
        .await
        .problem(422, "validation_failed");
    operator.post("/v1/organizations", &json!({ "slug": "x" })).await.problem(422, "validation_failed");
    let indexes = "/v1/organizations/valid/indexes";
    for fields in [
        json!([{ "name": "tenantId", "type": "string" }]),
        json!([{ "name": "a", "type": "strin" }]),
        json!([{ "name": "a", "type": "string" }, { "name": "a", "type": "int32" }]),
        json!([{ "type": "string" }]),
        json!([]),
    ] {
        operator.post(indexes, &json!({ "slug": "x", "fields": fields })).await.problem(422, "validation_failed");
    }
    let keys = "/v1/organizations/valid/keys";
    operator
        .post(keys, &json!({ "name": "k", "kind": "search", "scopes": ["everything"] }))
        .await
        .problem(422, "validation_failed");
    operator
        .post(keys, &json!({ "name": "k", "kind": "search", "rateLimitPerMinute": 0 }))
        .await
        .problem(422, "validation_failed");
    operator
        .post("/v1/organizations/none/keys", &json!({ "name": "k", "kind": "search" }))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn the_command_line_makes_the_same_things() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let run = |arguments: &[&str]| -> Value {
        let output = process::run(arguments, &stack.setting.variables());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let organization = run(&["org", "create", "cli", "--name", "Cli", "--plan", "pro", "--json"]);
    assert_eq!(stack.operator().get("/v1/organizations/cli").await.expect(200)["id"], organization["id"]);
    run(&["index", "create", "--org", "cli", "books", "--fields", r#"[{"name":"title","type":"string"}]"#, "--json"]);
    let key = run(&["key", "create", "--org", "cli", "k", "--kind", "search", "--json"]);
    let client = stack.operator().bearer(key["rawKey"].as_str().expect("a key"));
    client.post(SEARCH, &json!({})).await.expect(200);
    run(&["key", "revoke", "--org", "cli", key["id"].as_str().expect("an id"), "--json"]);
    let plans = run(&["plan", "list", "--json"]);
    assert_eq!(plans["items"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn every_answer_to_a_tenant_key_tells_its_rate_and_no_route_is_told_to_anybody_else() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("told").await;
    let (client, nobody) = (&tenant.client, stack.operator().bearer("ss_search_nonsense"));
    let too_many = json!({ "documents": vec![json!({ "id": "a" }); 1001] });
    for (method, path, body, status) in [
        (Method::GET, "/v1/no-such-route", json!(null), 404),
        (Method::GET, "/v1", json!(null), 404),
        (Method::GET, "/v1/", json!(null), 404),
        (Method::GET, SEARCH, json!(null), 405),
        (Method::DELETE, "/v1/jobs", json!(null), 405),
        (Method::GET, "/v1/jobs", json!(null), 200),
        (Method::GET, "/v1/organizations", json!(null), 403),
        (Method::POST, "/v1/indexes/nowhere/search", json!({}), 404),
        (Method::POST, SEARCH, json!({ "page": 0 }), 422),
        (Method::POST, BATCH, too_many, 413),
    ] {
        let answer = client.send(client.request(method.clone(), path).json(&body)).await;
        assert_eq!(answer.status, status, "{method} {path}: {:#}", answer.body);
        for name in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
            assert!(answer.header(name).is_some(), "{method} {path} lacks {name}");
        }
        if status == 405 {
            assert!(answer.header("allow").is_some(), "{method} {path} does not say what it takes");
        }
        nobody.send(nobody.request(method, path).json(&body)).await.problem(401, "unauthorized");
    }
    let garbled = client.request(Method::POST, BATCH).header("content-encoding", "br").body("x");
    let answer = client.send(garbled).await;
    assert_eq!((answer.status.as_u16(), answer.header("ratelimit-limit")), (415, Some("1000000")));
}
