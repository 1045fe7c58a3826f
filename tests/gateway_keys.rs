//! Gateway keys: for Athena's routes, and nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    client::Client,
    eventually, process,
    stack::{Setting, Stack},
};

const ROUTE: &str = "/typesense/no-such-route";

fn holder(stack: &Stack, raw: &str) -> Client {
    Client::new(&stack.operator().base, "x-athena-key", raw)
}

#[tokio::test]
async fn a_gateway_key_opens_athenas_routes_and_no_other() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("gateway").await;
    let made = stack.operator().post("/v1/gateway-keys", &json!({ "name": "athena" })).await.expect(201);
    assert_eq!(made["rights"], json!(["gateway.typesense_proxy"]));
    let raw = made["rawKey"].as_str().expect("a key");
    let (public_id, secret) = raw.strip_prefix("ath_").expect("ath_").split_once('.').expect("a dot");
    assert_eq!((made["publicId"].as_str(), secret.len()), (Some(public_id), 43));
    let client = holder(&stack, raw);
    assert_eq!(client.get(ROUTE).await.expect(404)["status"], "error");
    for path in ["/v1/organizations", "/v1/gateway-keys", "/v1/jobs", "/v1/no-such-route"] {
        client.get(path).await.problem(403, "forbidden");
    }
    client.post("/v1/indexes/books/search", &json!({})).await.problem(403, "forbidden");
    stack.operator().bearer(raw).post("/v1/indexes/books/search", &json!({})).await.problem(401, "unauthorized");
    let as_operator = Client::new(&stack.operator().base, "x-athena-admin-key", raw);
    as_operator.get(ROUTE).await.expect(401);
    for wrong in [format!("ath_{public_id}.{}", "A".repeat(43)), raw[..raw.len() - 1].to_owned(), "ath_.".to_owned()] {
        holder(&stack, &wrong).get(ROUTE).await.expect(401);
    }
}

#[tokio::test]
async fn a_gateway_key_without_the_right_or_revoked_or_expired_is_refused_within_a_second() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let (operator, pool) = (stack.operator(), stack.setting.pool().await);
    let answers = async |client: &Client, status: u16| {
        eventually(Duration::from_secs(1), || async {
            let answer = client.get(ROUTE).await;
            if answer.status == status { Ok(()) } else { Err(answer.status) }
        })
        .await;
    };
    let made = operator.post("/v1/gateway-keys", &json!({ "name": "k" })).await.expect(201);
    let client = holder(&stack, made["rawKey"].as_str().expect("a key"));
    client.get(ROUTE).await.expect(404);
    for (change, status) in [
        ("update tidewell.gateway_keys set rights = '{gateway.other}'", 403),
        ("update tidewell.gateway_keys set rights = '{gateway.typesense_proxy}'", 404),
        ("update tidewell.gateway_keys set expires_at = clock_timestamp()", 401),
        ("update tidewell.gateway_keys set expires_at = null", 404),
    ] {
        sqlx::query(change).execute(&pool).await.expect("done");
        answers(&client, status).await;
    }
    let path = format!("/v1/gateway-keys/{}", made["id"].as_str().expect("an id"));
    assert!(operator.delete(&path).await.expect(200)["revokedAt"].is_string());
    answers(&client, 401).await;
    operator.delete("/v1/gateway-keys/00000000-0000-0000-0000-000000000000").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_gateway_keys_secret_is_shown_once_and_its_faults_are_told() {
    let mut stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("other").await;
    let operator = stack.operator().clone();
    let made = operator.post("/v1/gateway-keys", &json!({ "name": "k" })).await.expect(201);
    let raw = made["rawKey"].as_str().expect("a key");
    holder(&stack, raw).get(ROUTE).await.expect(404);
    let listed = operator.get("/v1/gateway-keys").await.expect(200);
    assert_eq!(listed["items"][0]["prefix"], made["prefix"]);
    assert!(!listed.to_string().contains(&raw[raw.len() - 31..]));
    for faulty in [
        json!({ "name": "" }),
        json!({ "name": "k", "rights": [] }),
        json!({ "name": "k", "rights": ["gateway.typesense_proxy", "gateway.typesense_proxy"] }),
        json!({ "name": "k", "rights": ["everything"] }),
        json!({ "name": "k", "expiresAt": "2001-01-01T00:00:00Z" }),
        json!({ "name": "k", "organization": "other" }),
    ] {
        operator.post("/v1/gateway-keys", &faulty).await.problem(422, "validation_failed");
    }
    tenant.client.get("/v1/gateway-keys").await.problem(403, "forbidden");
    tenant.client.post("/v1/gateway-keys", &json!({ "name": "k" })).await.problem(403, "forbidden");
    // Written down at a clean stop at the latest.
    let other = stack.setting.serve();
    std::mem::replace(&mut stack.front, other).process.stop();
    let listed = stack.operator().get("/v1/gateway-keys").await.expect(200);
    assert!(listed["items"][0]["lastUsedAt"].is_string());
}

#[tokio::test]
async fn the_command_line_makes_gateway_keys() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let run = |arguments: &[&str]| -> Value {
        let output = process::run(&[arguments, &["--json"]].concat(), &stack.setting.variables());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let made = run(&["key", "gateway", "create", "athena", "--rights", "gateway.typesense_proxy"]);
    holder(&stack, made["rawKey"].as_str().expect("a key")).get(ROUTE).await.expect(404);
    let listed = run(&["key", "gateway", "list"]);
    assert_eq!((&listed["items"][0]["id"], listed["items"].as_array().map(Vec::len)), (&made["id"], Some(1)));
    let revoked = run(&["key", "gateway", "revoke", made["id"].as_str().expect("an id")]);
    assert!(revoked["revokedAt"].is_string());
}
