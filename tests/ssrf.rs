//! Addresses that callers name lead nowhere but where the operator lets them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{
    client::Answer,
    stack::{Setting, Stack},
};

const BACKENDS: &str = "/typesense/backends";
const TEST: &str = "/typesense/backends/test";
const COLLECTIONS: &str = "/typesense/collections/list";
const CLIENTS: &str = "/v1/clients";

async fn stack(settings: &[(&'static str, &str)]) -> Stack {
    let setting = Setting::fresh().await.with("ATHENA_TYPESENSE_ALLOW_HTTP", true);
    Stack::without_worker(settings.iter().fold(setting, |setting, (name, value)| setting.with(name, value))).await
}

/// A server on this machine that nobody should reach: it counts who does, and answers all alike.
async fn inner(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, visits)
}

fn backend(base_url: &str) -> Value {
    json!({ "base_url": base_url, "api_key": "k", "timeout_ms": 2000 })
}

/// The message of a refusal.
#[track_caller]
fn refusal(answer: Answer, code: &str) -> String {
    let body = answer.expect(422);
    let told = body["error"].as_str().or(body["code"].as_str());
    assert_eq!(told, Some(code), "{body:#}");
    body.to_string()
}

#[tokio::test]
async fn a_clouds_metadata_is_refused_at_the_door_in_every_notation() {
    let stack = stack(&[]).await;
    let operator = stack.operator();
    for host in
        ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]", "0.0.0.0"]
    {
        let url = format!("http://{host}");
        for path in [TEST, COLLECTIONS] {
            let told = refusal(operator.post(path, &backend(&url)).await, "validation_failed");
            assert!(told.contains("TIDEWELL_ALLOWED_ADDRESSES"), "{url} at {path}: {told}");
        }
        let new = json!({ "name": "x", "nodes": ["https://search.example.com", url], "api_key": "k" });
        let told = refusal(operator.post(BACKENDS, &new).await, "validation_failed");
        assert!(told.contains("nodes[1]"), "{told}");
        let client = json!({ "name": "x", "url": format!("postgres://reader@{host}/shop") });
        let told = refusal(operator.post(CLIENTS, &client).await, "validation_failed");
        assert!(told.contains("TIDEWELL_ALLOWED_ADDRESSES"), "{told}");
    }
}

#[tokio::test]
async fn a_name_is_judged_by_where_it_leads_when_it_is_connected_to() {
    let closed = stack(&[("TIDEWELL_PRIVATE_ADDRESSES", "false")]).await;
    let (port, visits) = inner("").await;
    let url = format!("http://localhost:{port}");
    let told = refusal(closed.operator().post(TEST, &backend(&url)).await, "backend_unreachable");
    assert!(told.contains("TIDEWELL_PRIVATE_ADDRESSES") && !told.contains("127.0.0.1"), "{told}");
    refusal(closed.operator().post(COLLECTIONS, &backend(&url)).await, "backend_unreachable");
    for (name, parameters) in [("pinned", "?sslmode=disable"), ("by-name", "")] {
        let client = json!({ "name": name, "url": format!("postgres://reader@localhost:{port}/shop{parameters}") });
        closed.operator().post(CLIENTS, &client).await.expect(201);
        let told = closed.operator().get(&format!("{CLIENTS}/{name}/tables")).await;
        assert!(told.status.is_client_error(), "{:#}", told.body);
        assert!(told.body.to_string().contains("TIDEWELL_PRIVATE_ADDRESSES"), "{:#}", told.body);
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);

    let open =
        stack(&[("TIDEWELL_PRIVATE_ADDRESSES", "false"), ("TIDEWELL_ALLOWED_ADDRESSES", "127.0.0.0/8, ::1")]).await;
    refusal(open.operator().post(TEST, &backend(&url)).await, "backend_unreachable");
    assert_ne!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_stored_before_it_was_barred_is_not_connected_to() {
    let before = stack(&[]).await;
    let (port, visits) = inner("").await;
    let new = json!({ "name": "old", "base_url": format!("http://127.0.0.1:{port}"), "api_key": "k" });
    let made = before.operator().post(BACKENDS, &new).await.expect(201);
    let after = before.setting.clone().with("TIDEWELL_PRIVATE_ADDRESSES", "false").serve();
    let test = json!({ "profile_id": made["data"]["id"] });
    refusal(after.operator.post(TEST, &test).await, "address_not_allowed");
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_nothing_is_told_of_what_answers() {
    let stack = stack(&[]).await;
    let (port, visits) = inner("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let location = format!("http://127.0.0.1:{port}/");
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let secret = "HTTP/1.1 418 Teapot\r\nconnection: close\r\ncontent-length: 19\r\n\r\nthe-inner-password!";
    for answer in [&*redirect.leak(), secret] {
        let (door, _) = inner(answer).await;
        let told = refusal(
            stack.operator().post(TEST, &backend(&format!("http://127.0.0.1:{door}"))).await,
            "backend_unreachable",
        );
        for inner in ["the-inner-password", "418", "302", "location"] {
            assert!(!told.contains(inner), "{told}");
        }
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}
