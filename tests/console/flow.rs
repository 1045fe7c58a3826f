//! An operator's day, from a backend to a document that is found, and from a document that is refused to one that is mended.

use serde_json::{Value, json};

use super::{operator, scene::text, stack};
use crate::support::{
    servers::servers,
    stack::{Setting, Stack},
};

#[tokio::test]
async fn a_table_is_brought_into_search_by_hand_and_found() {
    let setting = Setting::fresh().await.with("ATHENA_TYPESENSE_ALLOW_HTTP", true);
    let stack = Stack::of(setting.with("ATHENA_TYPESENSE_SYNC_WORKER_POLL_MS", 1000)).await;
    let source_url = servers().await.fresh_database().await;
    let source = sqlx::PgPool::connect(&source_url).await.expect("the source");
    let table = "create table boats (id int primary key, name text, length float8);
                 insert into boats select n, 'Boat of the harbour ' || n, n from generate_series(1, 500) as n";
    sqlx::raw_sql(table).execute(&source).await.expect("a table");
    let browser = operator(&stack).await;

    browser.visit("/console/backends").await;
    browser.press("Add a backend").await;
    browser.fill("name", "harbour").await;
    browser.fill("base_url", &stack.setting.typesense_url).await;
    browser.fill("api_key", &stack.setting.typesense_api_key).await;
    browser.press("Test what is typed").await;
    browser.reads(&["It can be used."]).await;
    browser.fill("api_key", &stack.setting.typesense_api_key).await;
    browser.press("Save").await;
    browser.reads(&["The backend is stored.", "Collections"]).await;

    browser.visit("/console/clients").await;
    browser.press("Add a client").await;
    browser.fill("name", "boatyard").await;
    browser.fill("url", &source_url).await;
    browser.press("Save").await;

    browser.visit("/console/syncs/new").await;
    browser.press("boatyard").await;
    browser.press("public.boats").await;
    browser.reads(&["Boat of the harbour 1"]).await;
    for (name, column) in [
        ("selected_columns", "id"),
        ("selected_columns", "name"),
        ("selected_columns", "length"),
        ("document_id_column", "id"),
        ("query_by_fields", "name"),
    ] {
        browser.check(name, Some(column)).await;
    }
    browser.fill("name", "boats").await;
    browser.choose("mode", "scheduled").await;
    let collection = format!("boats_{}", uuid::Uuid::new_v4().simple());
    browser.fill("collection_name", &collection).await;
    browser.press("Preview").await;
    browser.reads(&["Save the job", "Boat of the harbour 2"]).await;
    browser.press("Save the job").await;
    browser.press("Run now").await;
    browser.reads(&["success", "500"]).await;

    let jobs = stack.operator().get("/typesense/sync-jobs").await.expect(200);
    let job = text(&jobs["data"]["items"][0]["id"]);
    browser.visit(&format!("/console/search?in=job:{job}&q=harbour+77")).await;
    browser.reads(&["Boat of the harbour 77"]).await;
    browser.complains_only_of(&[]).await;
}

#[tokio::test]
async fn a_document_that_is_refused_is_seen_mended_and_gone_without_a_reload() {
    let stack = stack().await;
    let browser = operator(&stack).await;
    browser.visit("/console/organizations").await;
    browser.fill("slug", "quay").await;
    browser.fill("name", "The Quay").await;
    browser.press("Make an organization").await;
    browser.reads(&["The organization is made."]).await;
    let fields = json!([{ "name": "title", "type": "string" }, { "name": "depth", "type": "int32" }]);
    let index = json!({ "slug": "berths", "fields": fields });
    stack.operator().post("/v1/organizations/quay/indexes", &index).await.expect(201);

    browser.visit("/console/organizations/quay/keys/new").await;
    browser.fill("name", "harbour master").await;
    browser.choose("kind", "connector").await;
    browser.check("scopes", Some("ingest")).await;
    browser.press("Make the key").await;
    browser.reads(&["ss_connector_"]).await;
    let key: String = browser.script("return document.querySelector('[data-copy]').dataset.copy").await;

    browser.visit("/console/dead-letters").await;
    let _: () = browser.script("window.wasLoaded = true").await;
    let berths = json!({ "documents": [
        { "id": "7", "title": "The seventh berth", "depth": "deep" },
        { "id": "8", "title": "The eighth berth", "depth": 4 },
    ] });
    let tenant = stack.operator().bearer(&key);
    let job = tenant.post("/v1/indexes/berths/documents:batch", &berths).await.expect(202);
    browser.reads(&["Field `depth` must be an int32."]).await;
    assert!(browser.script::<bool>("return window.wasLoaded === true").await, "it was loaded again");

    let letters = stack.operator().get("/v1/dead-letters").await.expect(200);
    let letter = format!("/console/dead-letters/{}", text(&letters["items"][0]["id"]));
    let first = browser.driver.window().await.expect("a window");
    let second = browser.another_window().await;
    browser.look_at(&second).await;
    browser.visit(&letter).await;
    browser.fill("document", r#"{"id": "7", "title": "Another's seventh berth", "depth": 10}"#).await;
    browser.look_at(&first).await;
    browser.visit(&letter).await;
    browser.fill("document", r#"{"id": "7", "title": "The seventh berth", "depth": 9}"#).await;
    browser.press("Mend and redrive").await;
    browser.reads(&["Mended, and back in line."]).await;
    browser.reads(&["operator"]).await;
    let found = async || -> Value {
        let search = json!({ "q": "seventh" });
        let path = format!("/v1/indexes/{}/search", text(&index_id(&stack).await));
        stack.operator().post(&path, &search).await.expect(200)
    };
    crate::support::eventually(std::time::Duration::from_secs(30), || async {
        let found = found().await;
        if found["hits"][0]["document"]["depth"] == 9 { Ok(()) } else { Err(found) }
    })
    .await;

    // Who has been mending it in another window is told, and keeps what they have written.
    browser.look_at(&second).await;
    browser.press("Mend and redrive").await;
    browser.reads(&["Nothing was mended", "Another's seventh berth"]).await;
    browser.visit(&letter).await;
    browser.reads(&["What was done"]).await;
    browser.visit(&format!("/console/jobs/{}", text(&job["jobId"]))).await;
    browser.reads(&["succeeded"]).await;
}

async fn index_id(stack: &Stack) -> Value {
    stack.operator().get("/v1/organizations/quay/indexes").await.expect(200)["items"][0]["id"].clone()
}
