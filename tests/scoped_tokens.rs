//! Scoped tokens: a search key narrowed, and never widened.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    eventually,
    stack::{Setting, Stack, Tenant},
};

const TOKENS: &str = "/v1/scoped-tokens";
const SEARCH: &str = "/v1/indexes/books/search";

/// A library of poetry and prose, and its search key.
struct Library {
    stack: Stack,
    tenant: Tenant,
    key: Value,
    searcher: Client,
}

impl Library {
    async fn open() -> Self {
        Self::of(Stack::start().await).await
    }

    async fn closed() -> Self {
        Self::of(Stack::without_worker(Setting::fresh().await).await).await
    }

    async fn of(stack: Stack) -> Self {
        let tenant = stack.tenant("library").await;
        if stack.worker.is_some() {
            let books: Vec<_> = (0..30)
                .map(|n| json!({ "id": n.to_string(), "title": "the sea", "year": 1990 + n, "genre": if n % 2 == 0 { "poetry" } else { "prose" } }))
                .collect();
            let job = tenant.client.post("/v1/indexes/books/documents:batch", &json!({ "documents": books })).await;
            tenant.client.ended(&job.expect(202)).await;
        }
        let (key, searcher) = key(&stack, json!({ "name": "k", "kind": "search" })).await;
        Self { stack, tenant, key, searcher }
    }

    async fn token(&self, filter: &str) -> Client {
        let made = self.searcher.post(TOKENS, &json!({ "index": "books", "filterBy": filter })).await.expect(201);
        self.searcher.bearer(made["token"].as_str().expect("a token"))
    }
}

async fn key(stack: &Stack, new: Value) -> (Value, Client) {
    let key = stack.operator().post("/v1/organizations/library/keys", &new).await.expect(201);
    let client = stack.operator().bearer(key["rawKey"].as_str().expect("a key"));
    (key, client)
}

async fn found(client: &Client, search: Value) -> Value {
    client.post(SEARCH, &search).await.expect(200)["found"].clone()
}

async fn refused_soon(client: &Client) -> Answer {
    eventually(Duration::from_secs(1), || async {
        let answer = client.post(SEARCH, &json!({})).await;
        if answer.status == 200 { Err("still let in") } else { Ok(answer) }
    })
    .await
}

#[tokio::test]
async fn a_token_finds_what_its_filter_lets_through_whatever_is_asked_for() {
    let library = Library::open().await;
    let token = library.token("genre:=poetry || year:<1992").await;
    assert_eq!(found(&library.searcher, json!({})).await, 30);
    assert_eq!(found(&token, json!({})).await, 16);
    for (filter, count) in [
        ("genre:=prose", 1),
        ("genre:=prose || genre:=poetry", 16),
        ("year:>=0 || year:<0", 16),
        ("title:!=nothing", 16),
        ("genre:!=poetry && year:>1992", 0),
    ] {
        assert_eq!(found(&token, json!({ "filterBy": filter })).await, count, "{filter}");
    }
    let facets = token.post(SEARCH, &json!({ "facetBy": "genre", "filterBy": "year:>1991" })).await.expect(200);
    assert_eq!(facets["facetCounts"][0]["counts"].as_array().map(Vec::len), Some(1), "{facets:#}");
    let several = json!({ "searches": [{ "index": "books" }, { "index": "books", "filterBy": "year:>=2000" }] });
    let several = token.post("/v1/multi-search", &several).await.expect(200);
    assert_eq!((&several["results"][0]["found"], &several["results"][1]["found"]), (&json!(16), &json!(10)));
    token.post(SEARCH, &json!({ "filterBy": "year:>0) || (year:>0" })).await.problem(400, "invalid_filter");
}

#[tokio::test]
async fn the_longest_filters_of_a_token_and_of_its_holder_go_together() {
    let library = Library::open().await;
    let many = |condition: &str, count: usize| vec![condition; count].join(" && ");
    // Of 93 parts 47 are the token's.
    let token = library.token(&many("year:>1990", 24)).await;
    assert_eq!(found(&token, json!({ "filterBy": many("year:>1991", 23) })).await, 28);
    assert_eq!(found(&token, json!({ "filterBy": many("(year:>1991)", 11) })).await, 28);
    for too_many in [many("year:>1991", 24), many("(year:>1991)", 12)] {
        let answer = token.post(SEARCH, &json!({ "filterBy": too_many })).await;
        answer.problem(400, "invalid_filter");
        assert!(answer.body["detail"].as_str().expect("a detail").contains("93"), "{:#}", answer.body);
    }
    let alone = json!({ "filterBy": many("year:>1990", 47) });
    assert_eq!(found(&library.searcher, alone).await, 29);
}

#[tokio::test]
async fn a_token_may_search_its_index_and_nothing_else() {
    let library = Library::closed().await;
    let operator = library.stack.operator();
    let films = json!({ "slug": "films", "fields": [{ "name": "title", "type": "string" }] });
    operator.post("/v1/organizations/library/indexes", &films).await.expect(201);
    let foreign = Tenant::make(operator, "foreign", json!({ "slug": "theirs" })).await;
    // Of a key that may do everything.
    let made = json!({ "index": library.tenant.index["id"], "filterBy": "year:>0" });
    let made = library.tenant.client.post(TOKENS, &made).await.expect(201);
    let token = operator.bearer(made["token"].as_str().expect("a token"));
    token.post(SEARCH, &json!({})).await.expect(200);
    token.post("/v1/indexes/films/search", &json!({})).await.problem(403, "key_does_not_match_index");
    let theirs = format!("/v1/indexes/{}/search", foreign.index["id"].as_str().expect("an id"));
    token.post(&theirs, &json!({})).await.problem(404, "index_not_found");
    token.post("/v1/indexes/theirs/search", &json!({})).await.problem(404, "index_not_found");
    let both = json!({ "searches": [{ "index": "books" }, { "index": "films" }] });
    token.post("/v1/multi-search", &both).await.problem(403, "key_does_not_match_index");
    token.put("/v1/indexes/books/documents", &json!({ "id": "a" })).await.problem(403, "forbidden");
    token.delete("/v1/indexes/books/documents/a").await.problem(403, "forbidden");
    for path in ["/v1/jobs", "/v1/dead-letters", "/v1/organizations/library/usage", "/v1/indexes/books", "/v1/plans"] {
        token.get(path).await.problem(403, "forbidden");
    }
    token.post(TOKENS, &json!({ "index": "books", "filterBy": "year:>0" })).await.problem(403, "forbidden");
    token.get("/typesense/x").await.expect(403);
    Client::new(&operator.base, "x-athena-key", made["token"].as_str().unwrap())
        .post(SEARCH, &json!({}))
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn a_token_is_made_by_a_search_key_within_that_keys_bounds() {
    let library = Library::closed().await;
    let (stack, searcher) = (&library.stack, &library.searcher);
    let good = json!({ "index": "books", "filterBy": "year:>0", "expiresAt": "2098-01-01T00:00:00Z" });
    let made = searcher.post(TOKENS, &good).await.expect(201);
    assert_eq!((&made["keyId"], &made["indexId"]), (&library.key["id"], &library.tenant.index["id"]));
    assert!(made["token"].as_str().expect("a token").starts_with("ss_scoped_"));
    stack.operator().post(TOKENS, &good).await.problem(403, "forbidden");
    let (_, writer) = key(stack, json!({ "name": "w", "kind": "connector", "scopes": ["ingest"] })).await;
    writer.post(TOKENS, &good).await.problem(403, "forbidden");
    let ends = json!({ "name": "e", "kind": "search", "expiresAt": "2097-01-01T00:00:00Z" });
    key(stack, ends).await.1.post(TOKENS, &good).await.problem(422, "validation_failed");
    let films = json!({ "slug": "films", "fields": [{ "name": "title", "type": "string" }] });
    stack.operator().post("/v1/organizations/library/indexes", &films).await.expect(201);
    let (_, bound) = key(stack, json!({ "name": "b", "kind": "search", "index": "films" })).await;
    bound.post(TOKENS, &good).await.problem(403, "key_does_not_match_index");
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, status, code) in [
        (with("index", json!("nowhere")), 404, "index_not_found"),
        (with("filterBy", json!("")), 400, "invalid_filter"),
        (with("filterBy", json!("tenantId:=x")), 400, "invalid_filter"),
        (with("filterBy", json!("year:>0) || (year:<0")), 400, "invalid_filter"),
        (with("filterBy", json!(format!("title:={}", "x".repeat(3900)))), 422, "validation_failed"),
        (with("filterBy", json!(format!("title:={}", "x".repeat(5000)))), 400, "invalid_filter"),
        (with("filterBy", Value::Null), 422, "validation_failed"),
        (with("expiresAt", json!("2001-01-01T00:00:00Z")), 422, "validation_failed"),
        (with("expiresAt", json!("tomorrow")), 422, "validation_failed"),
        (with("scopes", json!(["ingest"])), 422, "validation_failed"),
    ] {
        searcher.post(TOKENS, &body).await.problem(status, code);
    }
}

#[tokio::test]
async fn a_token_ends_with_its_key_and_at_its_own_hour() {
    let library = Library::closed().await;
    let pool = library.stack.setting.pool().await;
    let (kept, operator) = (library.token("year:>0").await, library.stack.operator());
    let soon: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select clock_timestamp() + interval '2 seconds'").fetch_one(&pool).await.expect("the time");
    let short = json!({ "index": "books", "filterBy": "year:>0", "expiresAt": soon });
    let short = library.searcher.post(TOKENS, &short).await.expect(201);
    let short = operator.bearer(short["token"].as_str().expect("a token"));
    eventually(Duration::from_secs(60), || async {
        let answer = short.post(SEARCH, &json!({})).await;
        if answer.status == 200 { Err("still let in") } else { Ok(answer) }
    })
    .await
    .problem(401, "token_expired");
    kept.post(SEARCH, &json!({})).await.expect(200);
    let change = async |statement: &'static str| sqlx::query(statement).execute(&pool).await.expect("done");
    change("update tidewell.keys set expires_at = clock_timestamp() where name = 'k'").await;
    refused_soon(&kept).await.problem(401, "token_expired");
    change("update tidewell.keys set expires_at = null").await;
    eventually(Duration::from_secs(1), || async {
        let answer = kept.post(SEARCH, &json!({})).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.status) }
    })
    .await;
    change("update tidewell.keys set scopes = '{ingest}' where name = 'k'").await;
    refused_soon(&kept).await.problem(403, "forbidden");
    change("update tidewell.keys set scopes = '{search}', revoked_at = clock_timestamp() where name = 'k'").await;
    eventually(Duration::from_secs(1), || async {
        let answer = kept.post(SEARCH, &json!({})).await;
        if answer.status == 401 { Ok(answer) } else { Err(answer.status) }
    })
    .await
    .problem(401, "unauthorized");
}

#[tokio::test]
async fn a_token_that_was_tampered_with_or_signed_elsewhere_is_refused() {
    let library = Library::closed().await;
    let made = json!({ "index": "books", "filterBy": "year:>0" });
    let made = library.searcher.post(TOKENS, &made).await.expect(201);
    let token = made["token"].as_str().expect("a token");
    library.searcher.bearer(token).post(SEARCH, &json!({})).await.expect(200);
    let elsewhere =
        library.stack.setting.clone().with("TIDEWELL_SECRET", "another-secret-of-enough-characters").serve();
    library
        .searcher
        .bearer(token)
        .at(&elsewhere.operator.base)
        .post(SEARCH, &json!({}))
        .await
        .problem(401, "unauthorized");
    let (payload, hmac) = token.split_once('.').expect("a dot");
    for faulty in [
        format!("{payload}A.{hmac}"),
        format!("{payload}.{}", "A".repeat(43)),
        format!("{payload}."),
        payload.to_owned(),
        "ss_scoped_.".to_owned(),
        "ss_scoped_".to_owned(),
        format!("ss_scoped_{}.{hmac}", "A".repeat(20_000)),
    ] {
        library.searcher.bearer(&faulty).post(SEARCH, &json!({})).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_tokens_rate_and_origins_are_its_keys() {
    let library = Library::closed().await;
    let new = json!({ "name": "slow", "kind": "search", "rateLimitPerMinute": 10, "allowedOrigins": ["https://shop.example"] });
    let (_, client) = key(&library.stack, new).await;
    let made = client.post(TOKENS, &json!({ "index": "books", "filterBy": "year:>0" })).await.expect(201);
    let token = client.bearer(made["token"].as_str().expect("a token"));
    let evil = token.request(Method::POST, SEARCH).header("origin", "https://evil.example").json(&json!({}));
    token.send(evil).await.problem(403, "origin_not_allowed");
    let shop = token.request(Method::POST, SEARCH).header("origin", "https://shop.example").json(&json!({}));
    token.send(shop).await.expect(200);
    let mut admitted = 3;
    loop {
        let answer = token.post(SEARCH, &json!({})).await;
        assert_eq!(answer.header("ratelimit-limit"), Some("10"));
        if answer.status == 429 {
            break;
        }
        admitted += 1;
    }
    assert_eq!(admitted, 10);
    client.post(SEARCH, &json!({})).await.problem(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn without_a_master_secret_there_are_no_tokens_and_all_else_works() {
    let setting = Setting::fresh().await.with("TIDEWELL_SECRET", "");
    let library = Library::of(Stack::without_worker(setting).await).await;
    library.searcher.post(SEARCH, &json!({})).await.expect(200);
    let answer = library.searcher.post(TOKENS, &json!({ "index": "books", "filterBy": "year:>0" })).await;
    answer.problem(503, "unavailable");
    assert!(answer.body["detail"].as_str().expect("a detail").contains("TIDEWELL_SECRET"));
    library.searcher.bearer("ss_scoped_e30.AA").post(SEARCH, &json!({})).await.problem(401, "unauthorized");
}
