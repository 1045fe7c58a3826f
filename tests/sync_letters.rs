//! Dead letters of sync jobs: rows that a collection does not take, beside the writes of indexes.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{
    client::Client,
    eventually, process,
    stack::{Setting, Stack, Tenant},
    sync_job::SyncJob,
    syncing::Syncing,
};

/// All letters of a job, as a choice.
fn of(job: &SyncJob) -> Value {
    json!({ "filter": { "syncJob": job.name } })
}

/// Without a worker nothing takes the runs that are queued.
async fn stack() -> (Stack, PgPool) {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let pool = stack.setting.pool().await;
    (stack, pool)
}

async fn letters(client: &Client, query: &str) -> Vec<Value> {
    client.get(&format!("/v1/dead-letters{query}")).await.expect(200)["items"].as_array().expect("items").clone()
}

/// A write of the tenant's that failed for good.
async fn refused_write(pool: &PgPool, tenant: &Tenant, document: &str) {
    let id = |thing: &Value| Uuid::try_parse(thing["id"].as_str().expect("an id")).expect("a UUID");
    sqlx::query(
        "insert into tidewell.dead_letters (id, organization_id, index_id, document_id, operation, version, body, error_code,
                                            error_message, error_signature, attempts, first_failed_at)
         values ($1, $2, $3, $4, 'upsert', nextval('tidewell.versions'), $5, 'document_refused', 'no', 'no', 1, now())",
    )
    .bind(Uuid::now_v7())
    .bind(id(&tenant.organization))
    .bind(id(&tenant.index))
    .bind(document)
    .bind(json!({ "id": document, "title": "x" }).to_string())
    .execute(pool)
    .await
    .expect("a letter");
}

#[tokio::test]
async fn a_refused_row_is_shown_with_its_job_and_neither_organization_nor_index() {
    let (stack, pool) = stack().await;
    let tenant = stack.tenant("beside").await;
    refused_write(&pool, &tenant, "w").await;
    let books = SyncJob::make(&pool, "shop books", &["1", "2"]).await;
    SyncJob::make(&pool, "others", &["1"]).await;
    let operator = stack.operator();
    assert_eq!(letters(operator, "").await.len(), 4);
    for query in ["?syncJob=shop%20books".to_owned(), format!("?syncJob={}", books.id)] {
        assert_eq!(letters(operator, &query).await.len(), 2, "{query}");
    }
    let letter = letters(operator, "?syncJob=shop%20books").await.remove(0);
    assert_eq!((&letter["syncJob"], &letter["syncJobId"]), (&json!("shop books"), &json!(books.id)));
    assert_eq!(
        (&letter["organization"], &letter["index"], &letter["jobId"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!((&letter["documentId"], &letter["document"]["title"]), (&json!("2"), &json!(7)));
    let one = operator.get(&format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!((&one["id"], &one["acts"]), (&letter["id"], &json!([])));
    let write = letters(operator, "?index=books").await.remove(0);
    assert_eq!(
        (&write["organization"], &write["syncJob"], &write["syncJobId"]),
        (&json!("beside"), &Value::Null, &Value::Null)
    );
    let groups = operator.get("/v1/dead-letters:groups").await.expect(200)["items"].clone();
    let counted = |name: &str| {
        let groups = groups.as_array().expect("items");
        groups.iter().find(|group| group["syncJob"] == name).map(|group| group["count"].clone())
    };
    assert_eq!((counted("shop books"), counted("others")), (Some(json!(2)), Some(json!(1))), "{groups:#}");
    operator.get("/v1/dead-letters?syncJob=nobody").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_tenant_neither_sees_nor_touches_letters_of_sync_jobs() {
    let (stack, pool) = stack().await;
    let tenant = stack.tenant("confined").await;
    let books = SyncJob::make(&pool, "books", &["1"]).await;
    let letter = letters(stack.operator(), "").await.remove(0);
    let (client, path) = (&tenant.client, format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id")));
    assert!(letters(client, "").await.is_empty());
    assert_eq!(client.get("/v1/dead-letters:groups").await.expect(200)["items"], json!([]));
    client.get(&path).await.problem(404, "not_found");
    client.put(&path, &json!({ "document": { "id": "1", "title": "x" } })).await.problem(404, "not_found");
    client.get("/v1/dead-letters?syncJob=books").await.problem(404, "not_found");
    for act in ["/v1/dead-letters:retry", "/v1/dead-letters:discard"] {
        client.post(act, &of(&books)).await.problem(404, "not_found");
        assert_eq!(client.post(act, &json!({ "ids": [letter["id"]] })).await.expect(200)["matched"], 0);
    }
    stack.operator().post("/v1/dead-letters:discard", &of(&books)).await.expect(200);
    client.get(&format!("{path}/acts")).await.problem(404, "not_found");
    assert!(books.runs(&pool).await.is_empty());
}

#[tokio::test]
async fn a_retried_row_is_marked_and_given_a_run_and_its_letter_stays_until_that_has_written_it() {
    let (stack, pool) = stack().await;
    let books = SyncJob::make(&pool, "books", &["1", "2", "3"]).await;
    let operator = stack.operator();
    let dry = json!({ "filter": { "syncJob": "books" }, "dryRun": true });
    assert_eq!(operator.post("/v1/dead-letters:retry", &dry).await.expect(200)["matched"], 3);
    assert_eq!((books.runs(&pool).await.len(), books.marked(&pool).await), (0, 0));
    let retried = operator.post("/v1/dead-letters:retry", &of(&books)).await.expect(200);
    let told = json!({ "matched": 3, "retried": 3, "deferred": 0, "superseded": 0, "dryRun": false });
    assert_eq!(retried, told);
    assert_eq!(books.runs(&pool).await, [("queued".to_owned(), "redrive".to_owned())]);
    assert_eq!(books.marked(&pool).await, 3);
    let wake = "select convert_from(job, 'UTF8')::jsonb ->> 'job_id' from apalis.jobs where job_type = 'run_sync'";
    let woken: Vec<String> = sqlx::query_scalar(wake).fetch_all(&pool).await.expect("wake-ups");
    assert_eq!(woken, [books.id.to_string()]);
    let left = letters(operator, "").await;
    assert_eq!(left.len(), 3);
    let acts = format!("/v1/dead-letters/{}/acts", left[0]["id"].as_str().expect("an id"));
    assert_eq!(operator.get(&acts).await.expect(200)["items"][0]["act"], "retry");
}

#[tokio::test]
async fn a_retried_row_is_sent_again_though_it_has_not_changed_and_its_letter_goes_once_it_is_written() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            r#"create table books (id int primary key, tags jsonb);
               insert into books values (1, '["a"]'), (2, '{"a": 1}'), (3, '[]')"#,
        )
        .await;
    let job = syncing.job(json!({ "field_config": { "tags": { "type": "string[]" } } })).await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (2, 0, 1));
    let operator = syncing.stack.operator();
    let choice = json!({ "filter": { "syncJob": job["id"] } });
    let is = |attempts: Option<i64>| async move {
        let letters = letters(operator, "").await;
        let found = letters.first().and_then(|letter| letter["attempts"].as_i64());
        if found == attempts { Ok(()) } else { Err(found) }
    };
    is(Some(1)).await.expect("a letter");
    assert_eq!(operator.post("/v1/dead-letters:retry", &choice).await.expect(200)["deferred"], 0);
    eventually(Duration::from_secs(20), || is(Some(2))).await;
    // While it has not ended, it would be the next one's to look again.
    let run = syncing.runs(&job).await[0]["id"].as_str().expect("a run").to_owned();
    syncing.ended(&job, &run).await;
    syncing.sql(r#"update books set tags = '["b"]' where id = 2"#).await;
    operator.post("/v1/dead-letters:retry", &choice).await.expect(200);
    eventually(Duration::from_secs(20), || is(None)).await;
    syncing.equals(&job, "select id::text, tags from books").await;
    let runs = syncing.call(reqwest::Method::GET, &job, "/runs").await.expect(200);
    assert_eq!(runs["data"]["items"][0]["trigger_source"], "redrive", "{runs:#}");
}

#[tokio::test]
async fn what_no_run_can_be_begun_for_is_marked_for_the_run_that_comes() {
    let (stack, pool) = stack().await;
    let operator = stack.operator();
    let disabled = SyncJob::make(&pool, "disabled", &["1"]).await;
    disabled.set(&pool, "update public.typesense_sync_jobs set enabled = false where id = $1").await;
    let running = SyncJob::make(&pool, "running", &["1"]).await;
    let run =
        "insert into public.typesense_sync_runs (job_id, status, trigger_source) values ($1, 'running', 'manual')";
    running.set(&pool, run).await;
    for sync in [&disabled, &running] {
        let retried = operator.post("/v1/dead-letters:retry", &of(sync)).await.expect(200);
        assert_eq!((&retried["retried"], &retried["deferred"]), (&json!(1), &json!(1)), "{}", sync.name);
        assert_eq!(sync.marked(&pool).await, 1);
    }
    assert_eq!((disabled.runs(&pool).await.len(), running.runs(&pool).await.len()), (0, 1));
    // Before the first run nothing is known of any document, so each row is written anyway.
    let new = SyncJob::without_collection(&pool, "new", &["1"]).await;
    let retried = operator.post("/v1/dead-letters:retry", &of(&new)).await.expect(200);
    assert_eq!((&retried["retried"], &retried["deferred"]), (&json!(1), &json!(0)));
    assert_eq!(new.runs(&pool).await.len(), 1);
}

#[tokio::test]
async fn a_retry_that_meets_the_end_of_a_run_is_not_forgotten() {
    let (stack, pool) = stack().await;
    let books = SyncJob::make(&pool, "books", &["1"]).await;
    let run =
        "insert into public.typesense_sync_runs (job_id, status, trigger_source) values ($1, 'running', 'manual')";
    books.set(&pool, run).await;
    let mut ending = pool.begin().await.expect("a transaction");
    for statement in [
        "update tidewell.sync_states set leased_until = now() where job_id = $1",
        "update public.typesense_sync_runs set status = 'success' where job_id = $1",
    ] {
        sqlx::query(statement).bind(books.id).execute(&mut *ending).await.expect("an end");
    }
    let (operator, filter) = (stack.operator().clone(), of(&books));
    let retry = tokio::spawn(async move { operator.post("/v1/dead-letters:retry", &filter).await.expect(200) });
    eventually(Duration::from_secs(20), async || {
        let waits = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        sqlx::query(waits).fetch_one(&pool).await
    })
    .await;
    ending.commit().await.expect("a commit");
    assert_eq!(retry.await.expect("an answer")["deferred"], 0);
    let runs = books.runs(&pool).await;
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!(runs[1], ("queued".to_owned(), "redrive".to_owned()));
}

#[tokio::test]
async fn a_retry_that_comes_after_all_is_read_makes_the_job_due_again() {
    let (stack, pool) = stack().await;
    let books = SyncJob::make(&pool, "books", &["1"]).await;
    let run = "with run as (
                   insert into public.typesense_sync_runs (job_id, status, trigger_source) values ($1, 'running', 'manual')
                   returning id
               )
               insert into tidewell.sync_positions (run_id, collection, generation, mapping) select id, 'books_1', 1, '' from run";
    books.set(&pool, run).await;
    let is_due = "select repair_at <= now() from tidewell.sync_states";
    let is_due = async || -> Option<bool> { sqlx::query_scalar(is_due).fetch_one(&pool).await.expect("a state") };
    stack.operator().post("/v1/dead-letters:retry", &of(&books)).await.expect(200);
    assert_eq!(is_due().await, None, "the end of its pass finds the mark");
    sqlx::query("update tidewell.sync_positions set is_done = true").execute(&pool).await.expect("a change");
    stack.operator().post("/v1/dead-letters:retry", &of(&books)).await.expect(200);
    assert_eq!(is_due().await, Some(true));
}

#[tokio::test]
async fn many_rows_are_retried_by_one_run() {
    let (stack, pool) = stack().await;
    let names: Vec<_> = (0..1201).map(|n| n.to_string()).collect();
    let books = SyncJob::make(&pool, "books", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let retried = stack.operator().post("/v1/dead-letters:retry", &of(&books)).await.expect(200);
    assert_eq!((&retried["retried"], &retried["deferred"]), (&json!(1201), &json!(0)));
    assert_eq!((books.marked(&pool).await, books.runs(&pool).await.len()), (1201, 1));
    let discarded = stack.operator().post("/v1/dead-letters:discard", &of(&books)).await.expect(200);
    assert_eq!(discarded["discarded"], 1201);
}

#[tokio::test]
async fn rows_and_writes_can_be_chosen_together() {
    let (stack, pool) = stack().await;
    let tenant = stack.tenant("mixed").await;
    refused_write(&pool, &tenant, "w").await;
    let books = SyncJob::make(&pool, "books", &["1", "2"]).await;
    let operator = stack.operator();
    let ids: Vec<_> = letters(operator, "").await.into_iter().map(|letter| letter["id"].clone()).collect();
    let chosen = json!({ "ids": ids });
    let retried = operator.post("/v1/dead-letters:retry", &chosen).await.expect(200);
    assert_eq!((&retried["matched"], &retried["retried"]), (&json!(3), &json!(3)));
    // The write is back in its lane, where nobody takes it; the rows' letters wait for the run.
    assert_eq!((letters(operator, "").await.len(), books.marked(&pool).await), (2, 2));
    refused_write(&pool, &tenant, "v").await;
    let since = json!({ "filter": { "since": "2000-01-01T00:00:00Z" } });
    let discarded = operator.post("/v1/dead-letters:discard", &since).await.expect(200);
    assert_eq!((&discarded["matched"], &discarded["discarded"]), (&json!(3), &json!(3)));
    assert!(letters(operator, "").await.is_empty());
}

#[tokio::test]
async fn a_row_is_mended_in_its_table() {
    let (stack, pool) = stack().await;
    SyncJob::make(&pool, "books", &["1"]).await;
    let letter = letters(stack.operator(), "").await.remove(0);
    let path = format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id"));
    let refused = stack.operator().put(&path, &json!({ "document": { "id": "1", "title": "x" } })).await;
    refused.problem(409, "conflict");
    assert_eq!(refused.body["detail"], "mend the row in shop.public.books; the next run takes it");
    assert_eq!(letters(stack.operator(), "").await.len(), 1);
}

#[tokio::test]
async fn a_discarded_row_leaves_its_trail_and_may_die_again() {
    let (stack, pool) = stack().await;
    let books = SyncJob::make(&pool, "books", &["1"]).await;
    let operator = stack.operator();
    let letter = letters(operator, "").await.remove(0);
    operator.post("/v1/dead-letters:retry", &json!({ "ids": [letter["id"]] })).await.expect(200);
    // Refused again: the same letter.
    books.refuse(&pool, &["1"]).await;
    let again = letters(operator, "").await.remove(0);
    assert_eq!((&again["id"], &again["attempts"]), (&letter["id"], &json!(2)));
    operator.post("/v1/dead-letters:discard", &json!({ "ids": [letter["id"]] })).await.expect(200);
    let path = format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id"));
    operator.get(&path).await.problem(404, "not_found");
    let acts = operator.get(&format!("{path}/acts")).await.expect(200)["items"].clone();
    let acts: Vec<_> = acts.as_array().expect("items").iter().map(|act| act["act"].clone()).collect();
    assert_eq!(acts, [json!("discard"), json!("retry")]);
    books.refuse(&pool, &["1"]).await;
    let new = letters(operator, "").await.remove(0);
    assert_ne!(new["id"], letter["id"]);
}

#[tokio::test]
async fn the_command_line_knows_sync_jobs_too() {
    let (stack, pool) = stack().await;
    let tenant = stack.tenant("cli").await;
    refused_write(&pool, &tenant, "w").await;
    let books = SyncJob::make(&pool, "books", &["1", "2"]).await;
    let said = |arguments: &[&str]| {
        let output = process::run(arguments, &stack.setting.variables());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let run = |arguments: &[&str]| -> Value {
        serde_json::from_str(&said(&[arguments, &["--json"]].concat())).expect("JSON")
    };
    let of_job = ["--sync-job", "books"];
    let listed = run(&[&["dead-letters", "list"], &of_job[..]].concat());
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    assert_eq!((&listed["items"][0]["syncJob"], &listed["items"][0]["index"]), (&json!("books"), &Value::Null));
    let table = said(&["dead-letters", "list"]);
    assert!(table.contains("sync job books") && table.contains("cli/books"), "{table}");
    assert!(said(&["dead-letters", "groups"]).contains("sync job books"));
    let id = listed["items"][0]["id"].as_str().expect("an id");
    assert!(said(&["dead-letters", "show", id]).contains("sync job books"));
    let mended = process::run(
        &["dead-letters", "mend", id, "--document", r#"{"id":"2","title":"x"}"#],
        &stack.setting.variables(),
    );
    assert!(!mended.status.success());
    assert!(String::from_utf8_lossy(&mended.stderr).contains("mend the row in shop.public.books"));
    books.set(&pool, "update public.typesense_sync_jobs set enabled = false where id = $1").await;
    let retried = said(&[&["dead-letters", "retry"], &of_job[..]].concat());
    assert!(retried.contains("2 retried") && retried.contains("2 wait"), "{retried}");
    let discarded = run(&["dead-letters", "discard", "--sync-job", &books.id.to_string()]);
    assert_eq!(discarded["discarded"], 2);
}
