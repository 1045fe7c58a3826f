//! From the outbox into Typesense: in order, line by line, the newest always winning.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    eventually,
    oracle::{Oracle, held, unsettled},
    stack::{Setting, Stack, Tenant},
};

const DOCUMENTS: &str = "/v1/indexes/books/documents";
const BATCH: &str = "/v1/indexes/books/documents:batch";

fn alias(tenant: &Tenant) -> String {
    tenant.index["alias"].as_str().expect("an alias").to_owned()
}

fn book(id: impl ToString, title: &str) -> Value {
    json!({ "id": id.to_string(), "title": title })
}

#[tokio::test]
async fn an_accepted_document_becomes_searchable_through_an_alias_made_on_first_need() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("first").await;
    let found = tenant.client.post("/v1/indexes/books/search", &json!({ "q": "whale" })).await.expect(200);
    assert_eq!(found["found"], 0, "an index without documents has no collection yet, and that is no error");
    let job = tenant.client.put(DOCUMENTS, &book("moby", "The Whale")).await.expect(202);
    let job = tenant.client.ended(&job).await;
    let counts = json!({ "total": 1, "pending": 0, "succeeded": 1, "retrying": 0, "dead": 0, "superseded": 0 });
    assert_eq!((&job["status"], &job["counts"], &job["errors"]), (&json!("succeeded"), &counts, &json!([])));
    let found = tenant.client.post("/v1/indexes/books/search", &json!({ "q": "whale" })).await.expect(200);
    let document = &found["hits"][0]["document"];
    assert_eq!((&document["id"], &document["tenantId"]), (&json!("moby"), &tenant.organization["id"]));
    assert!(document.get("_tidewell_version").is_none());
    let index =
        stack.operator().get(&format!("/v1/indexes/{}", tenant.index["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(index["collection"], format!("{}_v1", alias(&tenant)));
}

#[tokio::test]
async fn of_writes_of_one_document_the_last_wins_and_the_earlier_are_superseded() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("last").await;
    let batch = json!({ "documents": [book("a", "1"), book("b", "1"), book("a", "2"), book("a", "3")] });
    let first = tenant.client.post(BATCH, &batch).await.expect(202);
    let second = tenant.client.put(DOCUMENTS, &book("b", "4")).await.expect(202);
    let _worker = stack.setting.work();
    let first = tenant.client.ended(&first).await;
    assert_eq!(
        (&first["status"], &first["counts"]["succeeded"], &first["counts"]["superseded"]),
        (&json!("succeeded"), &json!(1), &json!(3))
    );
    assert_eq!(tenant.client.ended(&second).await["counts"]["succeeded"], 1);
    let mut oracle = Oracle::default();
    oracle.upsert(&book("a", "3"));
    oracle.upsert(&book("b", "4"));
    oracle.equals(&stack.setting, &alias(&tenant)).await;
}

#[tokio::test]
async fn a_rejected_version_goes_to_the_dead_letters_and_does_not_cost_the_good_one_before_it() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("bad").await;
    let bad = json!({ "id": "a", "title": 7 });
    let batch = json!({ "documents": [book("a", "good"), bad, book("b", "fine"), { "id": "c", "year": "no title" }] });
    let job = tenant.client.post(BATCH, &batch).await.expect(202);
    let _worker = stack.setting.work();
    let job = tenant.client.ended(&job).await;
    assert_eq!(
        (&job["status"], &job["counts"]["succeeded"], &job["counts"]["dead"]),
        (&json!("partial"), &json!(2), &json!(2))
    );
    assert_eq!(job["errors"][0]["code"], "document_refused");
    let mut oracle = Oracle::default();
    oracle.upsert(&book("a", "good"));
    oracle.upsert(&book("b", "fine"));
    oracle.equals(&stack.setting, &alias(&tenant)).await;
    let job = tenant.client.post(BATCH, &json!({ "documents": [{ "id": "d", "title": [] }] })).await.expect(202);
    assert_eq!(tenant.client.ended(&job).await["status"], "failed");
}

#[tokio::test]
async fn ids_of_every_kind_are_written_found_and_deleted() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("ids").await;
    let long = "x".repeat(512);
    let ids = [
        "a,b",
        "a b",
        "`tick`",
        "[x]",
        "(y)",
        "q\"'",
        "s/l/a",
        "100%",
        "+",
        "ü→🦀",
        "&&",
        "||",
        " edge ",
        "c:d",
        "*",
        ".",
        "..",
        "search",
        "import",
        "back\\slash",
        "id:=x",
        &long,
    ];
    let batch = json!({ "documents": ids.map(|id| book(id, "odd")) });
    let job = tenant.client.post(BATCH, &batch).await.expect(202);
    assert_eq!(tenant.client.ended(&job).await["counts"]["succeeded"], ids.len());
    assert_eq!(held(&stack.setting, &alias(&tenant)).await.len(), ids.len());
    let job = tenant.client.post("/v1/indexes/books/documents:batchDelete", &json!({ "ids": ids })).await.expect(202);
    tenant.client.ended(&job).await;
    assert_eq!(held(&stack.setting, &alias(&tenant)).await, Default::default());
}

#[tokio::test]
async fn a_delete_by_filter_removes_what_the_writes_before_it_made_and_nothing_later() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("filter").await;
    let mut oracle = Oracle::default();
    let of = |range: std::ops::Range<u32>, year: u32| -> Vec<Value> {
        range.map(|n| json!({ "id": n.to_string(), "title": format!("Book {n}"), "year": year })).collect()
    };
    // Everything waits, with the deletes in between: what is deleted is decided by the order alone.
    tenant.client.post(BATCH, &json!({ "documents": of(0..300, 1990) })).await.expect(202);
    tenant.client.post(BATCH, &json!({ "documents": of(100..200, 2000) })).await.expect(202);
    let first = tenant.client.delete(&format!("{DOCUMENTS}?filterBy=year:1990")).await.expect(202);
    tenant.client.post(BATCH, &json!({ "documents": of(0..50, 1990) })).await.expect(202);
    tenant.client.post(BATCH, &json!({ "documents": of(150..160, 1990) })).await.expect(202);
    let second = tenant.client.delete(&format!("{DOCUMENTS}?filterBy=year:2000")).await.expect(202);
    tenant.client.post(BATCH, &json!({ "documents": of(100..110, 2000) })).await.expect(202);
    for document in of(0..50, 1990).iter().chain(&of(150..160, 1990)).chain(&of(100..110, 2000)) {
        oracle.upsert(document);
    }
    let _worker = stack.setting.work();
    // 200 of the 300 are of 1990 when the first delete is due, and the delete itself is one more.
    let first = tenant.client.ended(&first).await;
    assert_eq!((&first["status"], &first["counts"]["total"]), (&json!("succeeded"), &json!(201)), "{first:#}");
    tenant.client.ended(&second).await;
    let pool = stack.setting.pool().await;
    eventually(Duration::from_secs(60), || unsettled(&pool)).await;
    oracle.equals(&stack.setting, &alias(&tenant)).await;
}

#[tokio::test]
async fn a_filter_that_the_backend_refuses_becomes_a_dead_letter_and_holds_nothing_up() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("nofield").await;
    tenant.client.put(DOCUMENTS, &book("a", "A")).await.expect(202);
    let refused = tenant.client.delete(&format!("{DOCUMENTS}?filterBy=no_such_field:1")).await.expect(202);
    let later = tenant.client.put(DOCUMENTS, &book("b", "B")).await.expect(202);
    let refused = tenant.client.ended(&refused).await;
    assert_eq!((&refused["status"], &refused["errors"][0]["code"]), (&json!("failed"), &json!("filter_refused")));
    assert_eq!(tenant.client.ended(&later).await["status"], "succeeded");
}

#[tokio::test]
async fn a_schema_that_no_collection_can_be_made_of_costs_the_rows_and_says_why() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("noschema").await;
    // Such as an index made by a version that knew fewer types.
    sqlx::query("update tidewell.index_versions set fields = '[{\"name\": \"title\", \"type\": \"strin\"}]'")
        .execute(&stack.setting.pool().await)
        .await
        .expect("another schema");
    let job = tenant.client.put(DOCUMENTS, &book("a", "A")).await.expect(202);
    let job = tenant.client.ended(&job).await;
    assert_eq!((&job["status"], &job["errors"][0]["code"]), (&json!("failed"), &json!("schema_refused")), "{job:#}");
}

#[tokio::test]
async fn an_error_message_that_holds_what_the_document_held_stops_no_lane() {
    let stack = Stack::start().await;
    let fields = json!({ "fields": [{ "name": ".*", "type": "auto" }] });
    let tenant = Tenant::make(stack.operator(), "messages", fields).await;
    // Typesense learns the type of the field from the first, refuses the second, and names the field in its message.
    for body in [r#"{"id":"a","x\u0000y":5}"#, r#"{"id":"a2","x\u0000y":"hello"}"#] {
        let request = tenant.client.request(reqwest::Method::PUT, DOCUMENTS).body(body);
        let job = tenant.client.send(request).await.expect(202);
        tenant.client.ended(&job).await;
    }
    let letters = tenant.client.get("/v1/dead-letters").await.expect(200);
    assert_eq!(letters["items"][0]["documentId"], "a2", "{letters:#}");
}

#[tokio::test]
async fn large_documents_pass_one_by_one() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("large").await;
    let documents: Vec<_> =
        (0..12).map(|n| json!({ "id": n.to_string(), "title": "x", "blob": "y".repeat(1_000_000) })).collect();
    let job = tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    assert_eq!(tenant.client.ended(&job).await["counts"]["succeeded"], 12);
}

#[tokio::test]
async fn finished_rows_are_pruned_and_tombstones_outlive_what_is_older() {
    let setting = Setting::fresh().await.with("TIDEWELL_TOMBSTONES_KEPT_HOURS", 1).with("TIDEWELL_JOBS_KEPT_HOURS", 1);
    let stack = Stack::of(setting).await;
    let tenant = stack.tenant("prune").await;
    let pool = stack.setting.pool().await;
    let job = tenant
        .client
        .post(BATCH, &json!({ "documents": [book("gone", "x"), book("kept", "x"), { "id": "kept", "title": 1 }] }))
        .await;
    tenant.client.ended(&job.expect(202)).await;
    let job = tenant
        .client
        .post("/v1/indexes/books/documents:batchDelete", &json!({ "ids": ["gone", "kept"] }))
        .await
        .expect(202);
    tenant.client.ended(&job).await;
    for aged in [
        "update tidewell.jobs set finished_at = finished_at - interval '2 hours'",
        "update tidewell.documents set deleted_at = deleted_at - interval '2 hours'",
    ] {
        sqlx::query(aged).execute(&pool).await.expect("aged");
    }
    let keep = tidewell::db::prune::Keep {
        jobs: Duration::from_secs(3600),
        tombstones: Duration::from_secs(3600),
        acts: Duration::from_secs(3600),
        sync_runs: Duration::from_secs(3600),
        embeddings: 0,
    };
    tidewell::db::prune::prune(&pool, keep).await.expect("pruned");
    let left: Vec<String> =
        sqlx::query_scalar("select document_id from tidewell.documents").fetch_all(&pool).await.unwrap();
    assert_eq!(left, ["kept"], "a dead letter may still be redriven: its tombstone must stand");
    let jobs: i64 = sqlx::query_scalar("select count(*) from tidewell.jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(jobs, 0);
}
