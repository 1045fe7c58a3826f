//! Clients that are slow, silent, endless or enormous get an answer or an end, and keep nobody else out.

use std::{io::Write, pin::pin, time::Duration};

use futures::future::{Either, select};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::stack::{OPERATOR_KEY, Setting, Stack};

const BATCH: &str = "/v1/indexes/books/documents:batch";
const SEARCH: &str = "/v1/indexes/books/search";
/// Beyond anything that a busy machine takes.
const WITHIN: Duration = Duration::from_secs(60);

async fn stack() -> Stack {
    let setting = Setting::fresh().await.with("TIDEWELL_HEAD_SECONDS", 1).with("TIDEWELL_IDLE_SECONDS", 2);
    let mut stack = Stack::without_worker(setting.with("TIDEWELL_STALL_SECONDS", 1)).await;
    // Whose connections are not closed as it sends.
    stack.front.operator.http = anew();
    stack
}

/// A client that makes a connection for each call.
fn anew() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client")
}

async fn connect(stack: &Stack) -> TcpStream {
    TcpStream::connect(stack.operator().base.trim_start_matches("http://")).await.expect("a connection")
}

/// Sends, as far as the other end takes it.
async fn send(stack: &Stack, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(stack).await;
    let _ = stream.write_all(bytes).await;
    stream
}

/// What comes until the connection ends.
async fn until_the_end(mut stream: impl AsyncRead + Unpin) -> String {
    let mut read = Vec::new();
    // A reset is an end, too.
    let _ = timeout(WITHIN, stream.read_to_end(&mut read)).await.expect("an end");
    String::from_utf8_lossy(&read).into_owned()
}

/// What comes until it holds this.
async fn until(stream: &mut TcpStream, mark: &str) -> String {
    let mut read = String::new();
    let mut piece = [0; 4096];
    while !read.contains(mark) {
        let count = timeout(WITHIN, stream.read(&mut piece)).await.expect("an answer").expect("an answer");
        assert_ne!(count, 0, "the connection ended: {read}");
        read.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    read
}

fn head(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: t\r\nx-athena-key: {OPERATOR_KEY}\r\n{more}\r\n")
}

/// Bytes that the front end has in memory now.
fn memory(stack: &Stack) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stack.front.process.pid())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).expect("a number").parse::<usize>().expect("a number") << 10
}

#[tokio::test]
async fn while_others_idle_trickle_and_never_read_a_good_client_is_served() {
    let setting = Setting::fresh().await.with("TIDEWELL_CONNECTIONS", 40).with("TIDEWELL_STALL_SECONDS", 2);
    let stack = Stack::without_worker(setting).await;
    let tenant = stack.tenant("good").await;
    let before = memory(&stack);
    let greedy = "GET /openapi.json HTTP/1.1\r\nhost: t\r\n\r\n".repeat(500);
    let mut held = Vec::new();
    for n in 0..200 {
        held.push(match n % 4 {
            0 => send(&stack, b"GET /healthz HT").await,
            1 if n < 100 => send(&stack, greedy.as_bytes()).await,
            2 if n < 40 => send(&stack, head(BATCH, "content-length: 1000000\r\n").as_bytes()).await,
            _ => connect(&stack).await,
        });
    }
    for n in 0..20 {
        let mut client = tenant.client.clone();
        client.http = anew();
        let document = json!({ "documents": [{ "id": format!("{n}"), "title": "A" }] });
        timeout(WITHIN, client.post(BATCH, &document)).await.expect("an answer").expect(202);
    }
    assert!(memory(&stack) < before + (100 << 20), "{} of {before}", memory(&stack));
    drop(held);
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_answered_408_and_a_silent_connection_is_closed() {
    let stack = stack().await;
    let told = until_the_end(send(&stack, b"GET /healthz HTTP/1.1\r\nhost: t\r\n").await).await;
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("request_timeout"), "{told}");
    // One byte after the other does not help.
    let (reading, mut writing) = send(&stack, b"GET /").await.into_split();
    let trickling = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let told = until_the_end(reading).await;
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    trickling.await.expect("an end");
    assert_eq!(until_the_end(connect(&stack).await).await, "");
    // One that was served before, and has not said a word since.
    let mut served = send(&stack, b"GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n").await;
    until(&mut served, "\r\n\r\n").await;
    let rest = until_the_end(served).await;
    assert!(!rest.contains("HTTP/1.1"), "{rest}");
}

#[tokio::test]
async fn a_body_that_stands_still_is_answered_408_whatever_it_has_announced() {
    let stack = stack().await;
    stack.tenant("slow").await;
    for (announced, part) in
        [("content-length: 1000\r\n", "{\"docu"), ("transfer-encoding: chunked\r\n", "4\r\n{\"do\r\n")]
    {
        let told = until_the_end(send(&stack, (head(BATCH, announced) + part).as_bytes()).await).await;
        assert!(told.starts_with("HTTP/1.1 408"), "{announced}: {told}");
        assert!(told.contains("request_timeout") && told.contains("connection: close"), "{told}");
    }
    // Asked for, and then not sent.
    let told =
        until_the_end(send(&stack, head(BATCH, "expect: 100-continue\r\ncontent-length: 9\r\n").as_bytes()).await)
            .await;
    assert!(told.starts_with("HTTP/1.1 100") && told.contains("HTTP/1.1 408"), "{told}");
}

#[tokio::test]
async fn what_is_too_long_or_too_many_is_said_so() {
    let stack = stack().await;
    let get = |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{more}\r\n");
    let many = |count: usize| format!("/healthz?{}", "a=1&".repeat(count));
    for (request, status, code) in [
        (get(&format!("/{}", "x".repeat(20_000)), ""), 414, "uri_too_long"),
        (get(&many(600), ""), 400, "invalid_request"),
        (get(&many(100_000), ""), 431, ""),
        (get("/healthz", &format!("x-long: {}\r\n", "x".repeat(40_000))), 431, ""),
        (get("/healthz", &"x: y\r\n".repeat(200)), 431, ""),
        (get("/healthz", "content-length: 5\r\ncontent-length: 6\r\n"), 400, ""),
        (get("/healthz", "content-length: -1\r\n"), 400, ""),
    ] {
        let told = until_the_end(send(&stack, request.as_bytes()).await).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")) && told.contains(code), "{}: {told}", &request[..40]);
    }
    // More than was announced is another request, and none.
    let body = "{\"documents\":[]}".repeat(2);
    let told =
        until_the_end(send(&stack, [head(BATCH, "content-length: 16\r\n"), body].concat().as_bytes()).await).await;
    assert_eq!(told.matches("HTTP/1.1 ").count(), 2, "{told}");
    let (_, second) = told.rsplit_once("HTTP/1.1 ").expect("two answers");
    assert!(second.starts_with("400"), "{told}");
    let pipelined = ["GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n".repeat(3), get("/healthz", "")].concat();
    let told = until_the_end(send(&stack, pipelined.as_bytes()).await).await;
    assert_eq!(told.matches("HTTP/1.1 200").count(), 4, "{told}");
}

#[tokio::test]
async fn what_unfolds_or_nests_without_end_takes_no_memory_with_it() {
    let stack = stack().await;
    let tenant = stack.tenant("bombs").await;
    let before = memory(&stack);
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..512 {
        bomb.write_all(&[b' '; 1 << 20]).expect("gzip");
    }
    let bomb = bomb.finish().expect("gzip");
    for (path, json) in [(BATCH, "application/json"), (BATCH, "application/x-ndjson"), (SEARCH, "application/json")] {
        let request = tenant.client.request(Method::POST, path).header("content-type", json).body(bomb.clone());
        let answer = tenant.client.send(request.header("content-encoding", "gzip")).await;
        answer.problem(413, "payload_too_large");
    }
    let nested = ["[".repeat(500_000), "]".repeat(500_000)].concat();
    for (path, body) in [(BATCH, nested.clone()), (SEARCH, format!("{{\"q\":{nested}}}"))] {
        let request = tenant.client.request(Method::POST, path).header("content-type", "application/json").body(body);
        let answer = tenant.client.send(request).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{path}: {:#}", answer.body);
    }
    let documents = format!("{{\"documents\":[{{\"id\":\"a\",\"title\":{nested}}}]}}");
    let request = tenant.client.request(Method::POST, BATCH).header("content-type", "application/json").body(documents);
    let answer = tenant.client.send(request).await;
    assert!(answer.body.to_string().contains("document_too_deep"), "{:#}", answer.body);
    assert!(memory(&stack) < before + (150 << 20), "{} of {before}", memory(&stack));
}

#[tokio::test]
async fn beyond_its_number_of_requests_a_process_says_503_and_still_tells_that_it_is_alive() {
    let setting = Setting::fresh().await.with("TIDEWELL_REQUESTS_AT_ONCE", 1);
    let stack = Stack::without_worker(setting).await;
    stack.tenant("busy").await;
    let mut holding = send(&stack, head(BATCH, "expect: 100-continue\r\ncontent-length: 16\r\n").as_bytes()).await;
    until(&mut holding, "100 Continue").await;
    let refused = stack.operator().get("/v1/plans").await;
    refused.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    stack.operator().get("/healthz").await.expect(200);
    holding.write_all(b"{\"documents\":[]}").await.expect("the rest");
    until(&mut holding, "HTTP/1.1 ").await;
    stack.operator().get("/v1/plans").await.expect(200);
}

#[tokio::test]
async fn who_waits_for_jobs_takes_a_quarter_of_the_requests_and_one_more_is_told_how_its_job_stands() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_REQUESTS_AT_ONCE", 4)).await;
    let client = stack.tenant("patient").await.client;
    let job = client.put("/v1/indexes/books/documents", &json!({ "id": "a", "title": "x" })).await.expect(202);
    let path = format!("/v1/jobs/{}?wait=30", job["jobId"].as_str().expect("an id"));
    let (one, other) = (pin!(client.get(&path)), pin!(client.get(&path)));
    let (told, waiting) = match select(one, other).await {
        Either::Left((told, waiting)) | Either::Right((told, waiting)) => (told, waiting),
    };
    assert_eq!(told.expect(200)["status"], "queued");
    assert!(timeout(Duration::from_secs(1), waiting).await.is_err(), "the first one waits");
}
