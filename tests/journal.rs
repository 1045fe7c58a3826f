//! The log of one job, sync run or reindex, and what of a job still waits.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    client::Client,
    eventually,
    stack::{Setting, Stack, Tenant},
    syncing::Syncing,
};

const BATCH: &str = "/v1/indexes/books/documents:batch";

async fn messages(client: &Client, path: &str) -> Vec<String> {
    let lines = client.get(path).await.expect(200);
    let lines = lines.get("data").unwrap_or(&lines)["items"].as_array().expect("items").clone();
    lines.iter().map(|line| line["message"].as_str().expect("a message").to_owned()).collect()
}

/// Lines are written a moment after they were said.
async fn until_said(client: &Client, path: &str, what: &str) {
    eventually(Duration::from_secs(10), async || {
        let said = messages(client, path).await;
        if said.iter().any(|line| line == what) { Ok(()) } else { Err(format!("{what:?} is not among {said:?}")) }
    })
    .await;
}

async fn refuse(tenant: &Tenant, ids: &[&str]) -> Value {
    let documents: Vec<_> = ids.iter().map(|id| json!({ "id": id, "title": 7 })).collect();
    let job = tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    tenant.client.ended(&job).await;
    job
}

#[tokio::test]
async fn the_log_of_a_job_tells_what_the_workers_said_of_it() {
    // Several imports, so that there are several lines.
    let stack = Stack::of(Setting::fresh().await.with("TIDEWELL_IMPORT_LINES", 1)).await;
    let tenant = stack.tenant("told").await;
    let job = refuse(&tenant, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]).await;
    let other = refuse(&tenant, &["z"]).await;
    let path = format!("/v1/jobs/{}/log", job["jobId"].as_str().expect("an id"));
    let refused = "documents were refused for good: they are dead letters";
    let told = async || {
        let lines = stack.operator().get(&path).await.expect(200);
        let items = lines["items"].as_array().expect("items").iter();
        let refusals = items.filter(|line| line["message"] == refused);
        let dead: i64 = refusals.map(|line| line["fields"]["documents"].as_i64().expect("a number")).sum();
        if dead == 10 { Ok(lines) } else { Err(format!("{dead} of 10 are told of: {lines:#}")) }
    };
    let lines = eventually(Duration::from_secs(10), told).await;
    let items = lines["items"].as_array().expect("items");
    assert!(items.iter().all(|line| line["fields"]["job_id"] == job["jobId"]), "{lines:#}");
    assert!(items.len() > 1, "{lines:#}");
    assert!(items.is_sorted_by_key(|line| line["at"].as_str().expect("a moment").to_owned()), "{lines:#}");
    let last = stack.operator().get(&format!("{path}?limit=1")).await.expect(200);
    assert_eq!(last["items"][0], items[items.len() - 1]);
    let cursor = last["nextCursor"].as_str().expect("a cursor");
    let before = stack.operator().get(&format!("{path}?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!(before["items"][0], items[items.len() - 2]);
    stack.operator().get(&format!("{path}?cursor=x")).await.problem(400, "invalid_request");

    tenant.client.get(&path).await.problem(403, "forbidden");
    stack.operator().get(&format!("/v1/jobs/{}/log", Uuid::now_v7())).await.problem(404, "not_found");
    assert_ne!(other["jobId"], job["jobId"]);
}

#[tokio::test]
async fn a_run_of_a_sync_job_has_a_log_of_its_own() {
    let syncing = Syncing::start().await;
    syncing.sql("create table books (id int primary key, title text); insert into books values (1, 'a')").await;
    let job = syncing.job(json!({})).await;
    let run = syncing.run(&job).await;
    let of_job = format!("/typesense/sync-jobs/{}", job["id"].as_str().expect("an id"));
    let of_run = format!("{of_job}/runs/{}/log", run["id"].as_str().expect("an id"));
    let operator = syncing.stack.operator();
    until_said(operator, &of_run, "a sync run has ended").await;
    assert!(messages(operator, &of_run).await.iter().any(|line| line == "a sync run is under way"));
    assert!(messages(operator, &format!("{of_job}/log")).await.iter().all(|line| line != "a sync run has ended"));
    let missing = format!("{of_job}/runs/{}/log", Uuid::now_v7());
    assert_eq!(operator.get(&missing).await.status, 404);
    let tenant = syncing.stack.tenant("stranger").await;
    assert_eq!(tenant.client.get(&of_run).await.status, 403);
}

#[tokio::test]
async fn old_lines_are_removed_with_old_jobs() {
    let stack = Stack::of(Setting::fresh().await.with("TIDEWELL_JOBS_KEPT_HOURS", 1)).await;
    let pool = stack.setting.pool().await;
    let (old, young) = (Uuid::now_v7(), Uuid::now_v7());
    for (subject, age) in [(old, "2 hours"), (young, "10 minutes")] {
        sqlx::query(
            "insert into tidewell.log_lines (subject, at, level, message, fields, process)
             values ($1, now() - $2::text::interval, 'info', 'said', '{}', 'a test')",
        )
        .bind(subject)
        .bind(age)
        .execute(&pool)
        .await
        .expect("a line");
    }
    let keep = tidewell::db::prune::Keep {
        jobs: Duration::from_secs(3600),
        tombstones: Duration::from_secs(3600),
        acts: Duration::from_secs(3600),
        sync_runs: Duration::from_secs(3600),
        embeddings: 10,
    };
    tidewell::db::prune::prune(&pool, keep).await.expect("pruned");
    let left: Vec<Uuid> =
        sqlx::query_scalar("select subject from tidewell.log_lines").fetch_all(&pool).await.expect("rows");
    assert_eq!(left, [young]);
}

#[tokio::test]
async fn what_of_a_job_waits_is_listed_those_that_failed_first() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("waiting").await;
    let documents: Vec<_> = (0..30).map(|n| json!({ "id": format!("d{n}"), "title": "x" })).collect();
    let put = async || tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    let (job, _other) = (put().await, put().await);
    let id = Uuid::try_parse(job["jobId"].as_str().expect("an id")).expect("a UUID");
    let pool = stack.setting.pool().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "update tidewell.outbox set retrying = true, next_retry_at = now() + interval '1 hour', attempts = 2,
                error_code = 'failed', error_message = 'not now' where job_id = '{id}' and document_id in ('d3', 'd4');
         update tidewell.jobs set pending = 28, retrying = 2 where id = '{id}'"
    )))
    .execute(&pool)
    .await
    .expect("two that wait");
    let (mut rows, mut cursor) = (vec![], String::new());
    loop {
        let page = tenant.client.get(&format!("/v1/jobs/{id}/rows?limit=7{cursor}")).await.expect(200);
        rows.extend(page["items"].as_array().expect("items").clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let ids: std::collections::BTreeSet<_> =
        rows.iter().map(|row| row["documentId"].as_str().expect("an id")).collect();
    assert_eq!((rows.len(), ids.len()), (30, 30), "each once, and of this job alone");
    assert!(
        rows[..2].iter().all(|row| row["code"] == "failed" && row["attempts"] == 2 && row["nextRetryAt"].is_string())
    );
    assert!(rows[2..].iter().all(|row| row["nextRetryAt"].is_null() && row["operation"] == "upsert"));

    let stranger = stack.tenant("stranger").await;
    stranger.client.get(&format!("/v1/jobs/{id}/rows")).await.problem(404, "not_found");
    let searcher = stack.operator().bearer(&crate::support::stack::key(stack.operator(), "waiting", &["ingest"]).await);
    searcher.get(&format!("/v1/jobs/{id}/rows")).await.problem(403, "forbidden");
    stack.operator().get(&format!("/v1/jobs/{id}/rows?cursor=99.0")).await.problem(400, "invalid_request");
}
