//! The accepting door: what is taken, what is refused, and that a 202 is a promise.

use std::io::Write;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::stack::{Setting, Stack, Tenant};

const BATCH: &str = "/v1/indexes/books/documents:batch";

fn books(ids: &[&str]) -> Value {
    json!({ "documents": ids.iter().map(|id| json!({ "id": id, "title": format!("Book {id}") })).collect::<Vec<_>>() })
}

#[tokio::test]
async fn a_batch_is_answered_202_with_a_job_and_what_was_rejected() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("acme").await;
    let body = json!({ "documents": [{ "id": "a", "title": "A" }, { "title": "no id" }, { "id": 3 }, "no object",
                                     { "id": "b", "tenantId": "x" }, { "id": "c", "title": "C" }] });
    let answer = tenant.client.post(BATCH, &body).await;
    let location = answer.header("location").expect("a location").to_owned();
    let job = answer.expect(202);
    assert_eq!(location, format!("/v1/jobs/{}", job["jobId"].as_str().expect("an id")));
    assert_eq!((&job["status"], &job["index"], &job["accepted"]), (&json!("queued"), &json!("books"), &json!(2)));
    let rejected: Vec<_> =
        job["rejected"].as_array().expect("a list").iter().map(|r| (&r["position"], &r["code"])).collect();
    let expected = [(1, "missing_id"), (2, "invalid_id"), (3, "invalid_document"), (4, "reserved_field")];
    assert_eq!(
        rejected,
        expected.map(|(n, code)| (json!(n), json!(code))).iter().map(|(a, b)| (a, b)).collect::<Vec<_>>()
    );
    let seen = tenant.client.get(&location).await.expect(200);
    let counts = json!({ "total": 2, "pending": 2, "succeeded": 0, "retrying": 0, "dead": 0, "superseded": 0 });
    assert_eq!((&seen["status"], &seen["counts"]), (&json!("queued"), &counts));
}

#[tokio::test]
async fn every_form_of_write_is_taken() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("forms").await;
    let client = &tenant.client;
    let documents = "/v1/indexes/books/documents";
    client.put(documents, &json!({ "id": "one", "title": "One" })).await.expect(202);
    let ndjson = "{\"id\":\"two\",\"title\":\"Two\"}\r\n\n{ \"id\": \"three\", \"title\": \"Three\" }\nnot json\n{\"id\":\"b/ü %\",\"title\":\"Four\"}";
    let lines = client.request(Method::POST, BATCH).header("content-type", "application/x-ndjson").body(ndjson);
    let job = client.send(lines).await.expect(202);
    assert_eq!((&job["accepted"], &job["rejected"][0]["code"]), (&json!(3), &json!("invalid_json")));
    client.ended(&job).await;
    client.delete(&format!("{documents}/b%2F%C3%BC%20%25")).await.expect(202);
    let job =
        client.post("/v1/indexes/books/documents:batchDelete", &json!({ "ids": ["two", "unknown"] })).await.expect(202);
    client.ended(&job).await;
    let job = client.delete(&format!("{documents}?filterBy=title:One")).await.expect(202);
    assert_eq!(client.ended(&job).await["status"], "succeeded");
    let found = client.post("/v1/indexes/books/search", &json!({ "q": "*" })).await.expect(200);
    assert_eq!((&found["found"], &found["hits"][0]["document"]["id"]), (&json!(1), &json!("three")), "{found:#}");
}

#[tokio::test]
async fn a_compressed_body_is_read_and_bounded_after_decompression() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("gzip").await;
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("gzip");
        encoder.finish().expect("gzip")
    };
    let send = |body: Vec<u8>| {
        let request = tenant.client.request(Method::POST, BATCH).header("content-encoding", "gzip");
        tenant.client.send(request.body(body))
    };
    send(gzip(books(&["a"]).to_string().as_bytes())).await.expect(202);
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    send(bomb).await.problem(413, "payload_too_large");
    send(b"not gzip".to_vec()).await.problem(400, "invalid_request");
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_reason_and_write_nothing() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("bad").await;
    let client = &tenant.client;
    let raw = |body: String| client.send(client.request(Method::POST, BATCH).body(body));
    raw("{".to_owned()).await.problem(400, "invalid_request");
    raw("[]".to_owned()).await.problem(422, "validation_failed");
    raw(r#"{"documents":[]}"#.to_owned()).await.problem(422, "validation_failed");
    raw(r#"{"documents":[{"title":"x"}]}"#.to_owned()).await.problem(422, "validation_failed");
    raw("\u{fffd}".repeat(3)).await.problem(400, "invalid_request");
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    client
        .post(BATCH, &books(&many.iter().map(String::as_str).collect::<Vec<_>>()))
        .await
        .problem(413, "batch_too_large");
    let large = json!({ "id": "a", "title": "x".repeat(1 << 20) });
    client.put("/v1/indexes/books/documents", &large).await.problem(413, "payload_too_large");
    raw(format!(r#"{{"documents":["{}"]}}"#, "x".repeat(33 << 20))).await.problem(413, "payload_too_large");
    client.delete("/v1/indexes/books/documents?filterBy=title:a)%20||%20(title:b").await.problem(400, "invalid_filter");
    client.delete("/v1/indexes/books/documents").await.problem(400, "invalid_request");
    client.post("/v1/indexes/none/documents:batch", &books(&["a"])).await.problem(404, "index_not_found");
    let rows: i64 =
        sqlx::query_scalar("select (select count(*) from tidewell.outbox) + (select count(*) from tidewell.jobs)")
            .fetch_one(&stack.setting.pool().await)
            .await
            .expect("a count");
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_repeated_idempotency_key_gives_the_same_answer_and_no_second_write() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("once").await;
    let client = &tenant.client;
    let send = |key: &str, body: Value| {
        client.send(client.request(Method::POST, BATCH).header("idempotency-key", key).json(&body))
    };
    let first = send("k1", books(&["a", "b"])).await.expect(202);
    assert_eq!(send("k1", books(&["a", "b"])).await.expect(202), first);
    send("k1", books(&["a"])).await.problem(422, "idempotency_mismatch");
    assert_ne!(send("k2", books(&["a", "b"])).await.expect(202)["jobId"], first["jobId"]);
    send("", books(&["a"])).await.problem(400, "invalid_request");
    let usage = stack.operator().get("/v1/organizations/once/usage").await.expect(200);
    assert_eq!(usage["used"], 4, "a replay is not charged: {usage:#}");
}

#[tokio::test]
async fn of_requests_with_one_key_at_one_time_exactly_one_writes() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("race").await;
    let second = stack.setting.serve();
    let send = |n: usize| {
        let client = if n.is_multiple_of(2) { tenant.client.clone() } else { tenant.client.at(&second.operator.base) };
        async move {
            let request = client.request(Method::POST, BATCH).header("idempotency-key", "same").json(&books(&["a"]));
            client.send(request).await
        }
    };
    let answers = futures::future::join_all((0..12).map(send)).await;
    let mut jobs: Vec<_> = Vec::new();
    for answer in answers {
        match answer.status.as_u16() {
            202 => jobs.push(answer.body["jobId"].clone()),
            _ => answer.problem(409, "idempotency_in_progress"),
        }
    }
    jobs.dedup();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
}

#[tokio::test]
async fn quota_and_enqueue_are_one_both_or_neither() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = Tenant::make(stack.operator(), "small", json!({})).await;
    let pool = stack.setting.pool().await;
    stack.operator().patch("/v1/organizations/small", &json!({ "plan": "free" })).await.expect(200);
    sqlx::query("insert into tidewell.usage select id, date_trunc('month', now() at time zone 'utc'), 0, 9990 from tidewell.organizations")
        .execute(&pool)
        .await
        .expect("usage");
    // Sixteen requests of three units race for ten: three fit, and the batch that does not fit is refused whole.
    let requests = (0..16).map(|n| {
        let client = tenant.client.clone();
        async move { client.post(BATCH, &books(&[&format!("{n}a"), &format!("{n}b"), &format!("{n}c")])).await }
    });
    let answers = futures::future::join_all(requests).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!(taken.len(), 3);
    for answer in &refused {
        answer.problem(429, "quota_exceeded");
        assert_eq!((&answer.body["limit"], &answer.body["used"]), (&json!(10_000), &json!(9999)));
        assert!(answer.header("retry-after").is_some());
    }
    let (used, rows): (i64, i64) =
        sqlx::query_as("select (select sum(used)::bigint from tidewell.usage), (select count(*) from tidewell.outbox)")
            .fetch_one(&pool)
            .await
            .expect("counts");
    assert_eq!((used, rows), (9999, 9));
    assert!(taken[0].header("x-quota-warning").is_some(), "80% are passed");
}

#[tokio::test]
async fn overage_is_paid_from_the_wallet_by_the_thousand_and_never_below_zero() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("payer").await;
    let pool = stack.setting.pool().await;
    let change = json!({ "plan": "free", "overageEnabled": true });
    stack.operator().patch("/v1/organizations/payer", &change).await.expect(200);
    stack.operator().post("/v1/organizations/payer/wallet:topUp", &json!({ "amountMinor": 250 })).await.expect(200);
    sqlx::query("insert into tidewell.usage select id, date_trunc('month', now() at time zone 'utc'), 0, 10000 from tidewell.organizations")
        .execute(&pool)
        .await
        .expect("usage");
    let thousand: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let thousand = books(&thousand.iter().map(String::as_str).collect::<Vec<_>>());
    let requests = (0..6).map(|_| tenant.client.post(BATCH, &thousand));
    let answers = futures::future::join_all(requests).await;
    // 100 a thousand: 250 pay for two.
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 2);
    answers.iter().filter(|answer| answer.status != 202).for_each(|answer| answer.problem(429, "quota_exceeded"));
    let (wallet, entries, used): (i64, i64, i64) = sqlx::query_as(
        "select wallet_minor, (select sum(amount_minor) from tidewell.wallet_entries)::bigint, (select sum(used)::bigint from tidewell.usage)
         from tidewell.organizations",
    )
    .fetch_one(&pool)
    .await
    .expect("the wallet");
    assert_eq!((wallet, entries, used), (50, 50, 12_000));
}

#[tokio::test]
async fn an_index_with_too_long_a_backlog_answers_503_until_it_has_shrunk() {
    let setting = Setting::fresh().await.with("TIDEWELL_BACKLOG_LIMIT", 5);
    let stack = Stack::without_worker(setting).await;
    let tenant = stack.tenant("full").await;
    tenant.client.post(BATCH, &books(&["a", "b", "c", "d", "e"])).await.expect(202);
    let refused = tenant.client.post(BATCH, &books(&["f"])).await;
    refused.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    let _worker = stack.setting.work();
    crate::support::eventually(std::time::Duration::from_secs(60), || async {
        match tenant.client.post(BATCH, &books(&["f"])).await.status.as_u16() {
            202 => Ok(()),
            status => Err(status),
        }
    })
    .await;
}

#[tokio::test]
async fn a_front_end_without_its_database_says_so_and_recovers() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("down").await;
    let broken = Setting { database_url: "postgres://nobody@127.0.0.1:1/none".to_owned(), ..stack.setting.clone() };
    let ready = crate::support::process::run(&["status", "--json"], &broken.variables());
    assert!(!ready.status.success());
    tenant.client.get("/healthz").await.expect(200);
    tenant.client.get("/readyz").await.expect(200);
}

/// Holds the order of the tenant's index, alone, until it is dropped.
async fn hold_order(stack: &Stack, tenant: &Tenant) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let id: uuid::Uuid = tenant.index["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let [.., a, b, c, d] = *id.as_bytes();
    let mut tx = stack.setting.pool().await.begin().await.expect("a transaction");
    sqlx::query("select pg_advisory_xact_lock(x'74696465'::int, $1)")
        .bind(i32::from_be_bytes([a, b, c, d]))
        .execute(&mut *tx)
        .await
        .expect("the lock");
    tx
}

/// Connections of the front end that are in a certain state, with what they wait for.
async fn connections(stack: &Stack, condition: &'static str) -> i64 {
    let pool = stack.setting.pool().await;
    let count = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'tidewell' and {condition}"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&pool).await.expect("a count")
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_write_waits_leaves_no_transaction_behind() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("away").await;
    let held = hold_order(&stack, &tenant).await;
    let document = json!({ "id": "a", "title": "A" });
    let requests: Vec<_> =
        [(Method::PUT, "/v1/indexes/books/documents"), (Method::PATCH, "/collections/books/documents/a")]
            .into_iter()
            .map(|(method, path)| tokio::spawn(tenant.client.request(method, path).json(&document).send()))
            .collect();
    let wait = std::time::Duration::from_secs(60);
    crate::support::eventually(wait, || async {
        match connections(&stack, "wait_event = 'advisory'").await {
            2 => Ok(()),
            waiting => Err(waiting),
        }
    })
    .await;
    requests.iter().for_each(tokio::task::JoinHandle::abort);
    drop(held);
    crate::support::eventually(wait, || async {
        match connections(&stack, "(state like 'idle in transaction%' or wait_event = 'advisory')").await {
            0 => Ok(()),
            open => Err(open),
        }
    })
    .await;
    tenant.client.put("/v1/indexes/books/documents", &document).await.expect(202);
}

#[tokio::test]
async fn writes_that_wait_for_one_index_leave_connections_for_the_others() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("busy").await;
    let other = stack.tenant("other").await;
    let held = hold_order(&stack, &tenant).await;
    let document = json!({ "id": "a", "title": "A" });
    let patches: Vec<_> = (0..64)
        .map(|_| {
            let request = tenant.client.request(Method::POST, "/collections/books/documents?action=emplace");
            tokio::spawn(request.json(&document).send())
        })
        .collect();
    crate::support::eventually(std::time::Duration::from_secs(60), || async {
        match connections(&stack, "wait_event = 'advisory'").await {
            1.. => Ok(()),
            none => Err(none),
        }
    })
    .await;
    for n in 0..20 {
        other
            .client
            .put("/v1/indexes/books/documents", &json!({ "id": n.to_string(), "title": "B" }))
            .await
            .expect(202);
    }
    drop(held);
    for patch in patches {
        assert!(patch.await.expect("an end").expect("an answer").status().is_success());
    }
}
