//! What the front door does with requests that are odd, early, or not meant for it.

use std::io::Write;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    process,
    stack::{OPERATOR_KEY, Setting, Stack, key},
};

const BATCH: &str = "/v1/indexes/books/documents:batch";
const SEARCH: &str = "/v1/indexes/books/search";

#[tokio::test]
async fn text_that_the_database_can_not_hold_is_the_callers_fault() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("nul").await;
    let (client, operator) = (&tenant.client, stack.operator());
    for path in ["/v1/organizations/a%00b", "/v1/organizations/a%00b/keys", "/v1/indexes/a%00b"] {
        operator.get(path).await.problem(404, "not_found");
    }
    client.get("/v1/jobs?index=a%00b").await.problem(404, "index_not_found");
    operator.get("/v1/dead-letters?organization=a%00b").await.problem(404, "not_found");
    client.get("/v1/dead-letters?signature=a%00b").await.problem(400, "invalid_request");
    let search = json!({ "searches": [{ "index": "a\0b" }] });
    client.post("/v1/multi-search", &search).await.problem(404, "index_not_found");
    for since in ["-000001-01-01T00:00:00Z", "%2B262000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"] {
        client.get(&format!("/v1/dead-letters?since={since}")).await.problem(400, "invalid_request");
    }
    let organization = json!({ "slug": "x", "name": "x", "plan": "fr\u{0}ee" });
    let refused = operator.post("/v1/organizations", &organization).await;
    assert!(refused.status.is_client_error(), "{:#}", refused.body);
    let far = json!({ "name": "k", "kind": "search", "expiresAt": "+262000-01-01T00:00:00Z" });
    operator.post("/v1/organizations/nul/keys", &far).await.problem(422, "validation_failed");
    let bound = json!({ "name": "k", "kind": "search", "index": "a\0b" });
    operator.post("/v1/organizations/nul/keys", &bound).await.problem(400, "invalid_request");
    for field in
        [json!({ "name": "a,b", "type": "string" }), json!({ "name": "a", "type": "string", "locale": "\0\0" })]
    {
        let index = json!({ "slug": "odd", "fields": [field] });
        operator.post("/v1/organizations/nul/indexes", &index).await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn jobs_are_not_for_keys_that_only_search() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("jobs").await;
    let job = tenant.client.post(BATCH, &json!({ "documents": [{ "id": "a", "title": "A" }] })).await.expect(202);
    let job = format!("/v1/jobs/{}", job["jobId"].as_str().expect("an id"));
    let searcher = stack.operator().bearer(&key(stack.operator(), "jobs", &["search"]).await);
    searcher.get(&job).await.problem(403, "forbidden");
    searcher.get("/v1/jobs").await.problem(403, "forbidden");
    for scope in ["ingest", "connector_write", "admin"] {
        let client = stack.operator().bearer(&key(stack.operator(), "jobs", &[scope]).await);
        client.get(&job).await.expect(200);
    }
}

#[tokio::test]
async fn a_key_is_made_with_several_scopes_on_the_command_line() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("cli").await;
    for scopes in [&["--scopes", "ingest,search"][..], &["--scope", "ingest", "--scope", "search"]] {
        let command = [&["key", "create", "shop", "--org", "cli", "--kind", "connector", "--json"], scopes].concat();
        let output = process::run(&command, &stack.setting.variables());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let key: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(key["scopes"], json!(["ingest", "search"]));
    }
}

#[tokio::test]
async fn a_browser_may_send_its_key() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let client = stack.operator();
    let preflight = client
        .http
        .request(Method::OPTIONS, format!("{}{SEARCH}", client.base))
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let answer = client.send(preflight).await;
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,content-type"));
}

#[tokio::test]
async fn athenas_routes_judge_credentials_first_and_answer_in_athenas_envelope() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("athena").await;
    let operator = stack.operator();
    let anybody = operator.bearer("ss_search_nonsense");
    for (client, status, code) in
        [(&anybody, 401, "unauthorized"), (&tenant.client, 403, "forbidden"), (operator, 404, "not_found")]
    {
        for path in ["/typesense", "/typesense/nowhere", "/typesense/backends/test/nowhere"] {
            let body = client.post(path, &json!({})).await.expect(status);
            assert_eq!((&body["status"], &body["error"]), (&json!("error"), &json!(code)), "{body:#}");
            assert!(body["message"].is_string(), "{body:#}");
        }
    }
}

#[tokio::test]
async fn a_key_at_its_limit_and_one_from_a_foreign_origin_are_told_the_true_numbers() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("rates").await;
    let new =
        json!({ "name": "k", "kind": "search", "rateLimitPerMinute": 3, "allowedOrigins": ["https://shop.example"] });
    let made = stack.operator().post("/v1/organizations/rates/keys", &new).await.expect(201);
    let client = stack.operator().bearer(made["rawKey"].as_str().expect("a key"));
    let evil = client.request(Method::POST, SEARCH).header("origin", "https://evil.example").json(&json!({}));
    let foreign = client.send(evil).await;
    foreign.problem(403, "origin_not_allowed");
    assert_eq!((foreign.header("ratelimit-limit"), foreign.header("ratelimit-remaining")), (Some("3"), Some("2")));
    for _ in 0..2 {
        client.post(SEARCH, &json!({})).await.expect(200);
    }
    for _ in 0..5 {
        let refused = client.post(SEARCH, &json!({})).await;
        refused.problem(429, "rate_limit_exceeded");
        for header in ["retry-after", "ratelimit-reset"] {
            let seconds: u32 = refused.header(header).expect("a time").parse().expect("seconds");
            assert!((30..=62).contains(&seconds), "{header}: {seconds}");
        }
    }
}

#[tokio::test]
async fn codings_and_types_are_known_in_any_case_and_others_are_415_after_401() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("codings").await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(
        b"{\"id\":\"a\",\"title\":\"A\"}\n{\"id\":\"b\",\"title\":\"\xff\"}\n{\"id\":\"c\",\"title\":\"C\"}",
    )
    .expect("gzip");
    let lines = tenant.client.request(Method::POST, BATCH).header("content-encoding", "GZIP");
    let lines = lines.header("content-type", "APPLICATION/X-NDJSON; charset=UTF-8").body(gzip.finish().expect("gzip"));
    let job = tenant.client.send(lines).await.expect(202);
    assert_eq!((&job["accepted"], &job["rejected"][0]["position"]), (&json!(2), &json!(1)), "{job:#}");
    assert_eq!(job["rejected"][0]["code"], "invalid_json", "only the line that is not UTF-8: {job:#}");
    let anybody = tenant.client.bearer("ss_search_nonsense");
    for (client, status, code) in [(&tenant.client, 415, "unsupported_media_type"), (&anybody, 401, "unauthorized")] {
        let brotli = client.request(Method::POST, BATCH).header("content-encoding", "br").body("x");
        client.send(brotli).await.problem(status, code);
    }
}

#[tokio::test]
async fn shapes_are_objects_and_ids_are_judged_one_by_one() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("shapes").await;
    let (client, operator) = (&tenant.client, stack.operator());
    client.post(BATCH, &json!([[{ "id": "a" }]])).await.problem(422, "validation_failed");
    client.post(BATCH, &json!({ "documents": [["a"]] })).await.problem(422, "validation_failed");
    client.post("/v1/multi-search", &json!([[]])).await.problem(422, "validation_failed");
    client.post("/v1/multi-search", &json!({ "searches": [["books"]] })).await.problem(422, "validation_failed");
    operator.post("/v1/organizations", &json!(["x", "x", "free"])).await.problem(422, "validation_failed");
    let filter = json!({ "filter": ["shapes", null, null, null, null], "dryRun": true });
    client.post("/v1/dead-letters:discard", &filter).await.problem(422, "validation_failed");
    let ids = json!({ "ids": [1, "good", null, "\u{7}"] });
    let job = client.post("/v1/indexes/books/documents:batchDelete", &ids).await.expect(202);
    let rejected: Vec<_> = job["rejected"].as_array().expect("a list").iter().map(|one| &one["position"]).collect();
    assert_eq!((&job["accepted"], rejected), (&json!(1), vec![&json!(0), &json!(2), &json!(3)]), "{job:#}");
}

#[tokio::test]
async fn after_an_early_answer_the_connection_goes_on_or_is_said_to_end() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let address = stack.operator().base.trim_start_matches("http://").to_owned();
    let head = |length: usize, more: &str| {
        format!("POST {BATCH} HTTP/1.1\r\nhost: t\r\n{more}content-length: {length}\r\n\r\n")
    };
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    for _ in 0..3 {
        stream.write_all(head(200_000, "").as_bytes()).await.expect("sent");
        stream.write_all(&[b' '; 200_000]).await.expect("sent");
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("connection: close"), "{answer}");
    }
    // More than is read in vain.
    stream.write_all(head(2_000_000, "").as_bytes()).await.expect("sent");
    let _ = stream.write_all(&[b' '; 2_000_000]).await;
    assert!(answer(&mut stream).await.contains("connection: close"));
    // Never asked for.
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    stream.write_all(head(10, "expect: 100-continue\r\n").as_bytes()).await.expect("sent");
    let told = answer(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 401") && told.contains("connection: close"), "{told}");
}

#[tokio::test]
async fn a_body_beyond_the_budget_gets_its_503() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_BODY_MB_IN_FLIGHT", 32)).await;
    stack.tenant("budget").await;
    let address = stack.operator().base.trim_start_matches("http://").to_owned();
    let head = format!(
        "POST {BATCH} HTTP/1.1\r\nhost: t\r\nx-athena-key: {OPERATOR_KEY}\r\ncontent-length: {}\r\n\r\n",
        30 << 20
    );
    let send = async || {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&vec![b' '; 20 << 20]).await.expect("sent");
        stream
    };
    // Both are 20 MB along: the first holds them, the second found no room, and is told so once it has sent the rest.
    let (_held, mut refused) = (send().await, send().await);
    refused.write_all(&vec![b' '; 10 << 20]).await.expect("the rest is read, too");
    let answer = answer(&mut refused).await;
    assert!(answer.starts_with("HTTP/1.1 503") && !answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_front_end_goes_on_while_columns_are_added() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_DATABASE_CONNECTIONS", 2)).await;
    let tenant = stack.tenant("columns").await;
    let job = tenant.client.post(BATCH, &json!({ "documents": [{ "id": "a", "title": "A" }] })).await.expect(202);
    let job = format!("/v1/jobs/{}", job["jobId"].as_str().expect("an id"));
    let pool = stack.setting.pool().await;
    for round in 0..2 {
        for _ in 0..4 {
            tenant.client.get(&job).await.expect(200);
            for path in ["", "/columns", "/columns/indexes", "/columns/keys"] {
                stack.operator().get(&format!("/v1/organizations{path}")).await.expect(200);
            }
            stack.operator().get("/v1/plans").await.expect(200);
        }
        for table in ["organizations", "indexes", "keys", "jobs", "plans"] {
            let sql = format!("alter table tidewell.{table} add column added_{round} int");
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.expect("a column");
        }
    }
}

/// One answer, head and body.
async fn answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() >= length.parse().expect("a number") {
                return String::from_utf8(read).expect("text");
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await.expect("an answer") {
            0 => panic!("the connection ended: {text}"),
            n => read.extend_from_slice(&chunk[..n]),
        }
    }
}
