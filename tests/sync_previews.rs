//! What a sync job would write, told before there is one; and how fresh one job is.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{client::Client, stack::Setting, syncing::Syncing};

const PREVIEW: &str = "/typesense/sync-jobs/preview";

/// No worker: nothing runs.
async fn syncing() -> Syncing {
    let setting = Setting::fresh().await;
    let typesense_url = setting.typesense_url.clone();
    let syncing = Syncing::without_worker(setting, &typesense_url).await;
    syncing
        .sql(
            "create table books (id bigint primary key, title text not null, price numeric, pages int not null, cover bytea);
             insert into books select n, 'Title ' || n, n * 0.25, 100 + n, null from generate_series(1, 50) as n;
             create table pictures (id int primary key, image bytea); create table loose (id int, name text)",
        )
        .await;
    syncing
}

impl Syncing {
    async fn gateway(&self) -> Client {
        let made = self.stack.operator().post("/v1/gateway-keys", &json!({ "name": "athena" })).await.expect(201);
        Client::new(&self.stack.operator().base, "x-athena-key", made["rawKey"].as_str().expect("a key"))
    }

    /// Everything that Tidewell keeps of sync jobs.
    async fn kept(&self) -> Vec<i64> {
        let tables = ["typesense_sync_jobs", "typesense_sync_runs"].map(|table| format!("public.{table}"));
        let states = ["sync_states", "dead_letters"].map(|table| format!("tidewell.{table}"));
        let pool = self.stack.setting.pool().await;
        let mut counts = vec![];
        for table in tables.iter().chain(&states) {
            let count = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            counts.push(sqlx::query_scalar(count).fetch_one(&pool).await.expect("a count"));
        }
        counts
    }
}

#[tokio::test]
async fn a_preview_tells_the_documents_and_the_collection_and_writes_nothing() {
    let syncing = syncing().await;
    let columns = json!(["id", "title", "price", "pages"]);
    let spec = syncing.spec(json!({
        "selected_columns": columns, "facet_by_fields": ["title"], "default_sort_field": "pages",
        "field_config": { "price": { "name": "cost" } },
    }));
    let before = syncing.kept().await;
    let gateway = syncing.gateway().await;
    let answer = gateway.post(PREVIEW, &spec).await.expect(200);
    assert_eq!(answer["status"], "success");
    let preview = &answer["data"];
    let document = |n: i64| json!({ "id": n.to_string(), "title": format!("Title {n}"), "cost": n as f64 * 0.25, "pages": 100 + n });
    assert_eq!(preview["documents"], json!([document(1), document(2), document(3)]));
    assert_eq!(preview["refused"], json!([]));
    let schema = &preview["schema"];
    assert_eq!((&schema["name"], &schema["default_sorting_field"]), (&spec["collection_name"], &json!("pages")));
    let field = |name: &str| {
        let fields = schema["fields"].as_array().expect("fields");
        fields.iter().find(|field| field["name"] == name).unwrap_or_else(|| panic!("{name}: {schema:#}"))
    };
    assert_eq!((&field("cost")["type"], &field("cost")["optional"]), (&json!("float"), &json!(true)));
    assert_eq!((&field("title")["facet"], &field("pages")["type"]), (&json!(true), &json!("int32")));
    assert_eq!(syncing.stack.operator().post(PREVIEW, &spec).await.expect(200)["data"], *preview);

    assert_eq!(syncing.kept().await, before);
    let name = spec["collection_name"].as_str().expect("a name");
    for path in [format!("/collections/{name}"), format!("/collections/{name}_v1"), format!("/aliases/{name}")] {
        syncing.typesense(Method::GET, &path, "").await.expect(404);
    }
    // It is what a job of that description asks Typesense for, and writes.
    let worker = syncing.stack.setting.work();
    let job = syncing.stack.operator().post("/typesense/sync-jobs", &spec).await.expect(201)["data"].clone();
    syncing.run(&job).await;
    worker.kill();
    assert_eq!(syncing.held(&job["collection_name"]).await["3"], document(3));
    let made = syncing.typesense(Method::GET, &format!("/collections/{name}"), "").await.expect(200);
    for asked in schema["fields"].as_array().expect("fields") {
        let is_same = |made: &Value| made["name"] == asked["name"] && made["type"] == asked["type"];
        assert!(made["fields"].as_array().expect("fields").iter().any(is_same), "{asked} is not in {made:#}");
    }
}

#[tokio::test]
async fn rows_that_can_be_no_documents_are_told_with_the_reason() {
    let syncing = syncing().await;
    syncing.sql("create table notes (id text primary key, body text); insert into notes values ('', 'no id'), ('b', 'good')").await;
    let spec = syncing.spec(json!({ "source_table_name": "notes" }));
    let preview = syncing.stack.operator().post(PREVIEW, &spec).await.expect(200)["data"].clone();
    assert_eq!(preview["documents"], json!([{ "id": "b", "body": "good" }]), "{preview:#}");
    let refused = preview["refused"].as_array().expect("refused");
    assert_eq!((refused.len(), &refused[0]["id"]), (1, &json!("")), "{preview:#}");
    assert!(refused[0]["code"].is_string() && refused[0]["message"].is_string(), "{preview:#}");
}

#[tokio::test]
async fn a_preview_is_refused_as_the_job_would_be() {
    let syncing = syncing().await;
    let operator = syncing.stack.operator();
    for more in [
        json!({ "source_table_name": "book" }),
        json!({ "source_client_name": "nobody", "batch_size": 0 }),
        json!({ "typesense_profile_id": uuid::Uuid::new_v4() }),
        json!({ "selected_columns": ["id", "tilte"] }),
        json!({ "source_table_name": "pictures" }),
        json!({ "source_table_name": "loose" }),
        json!({ "query_by_fields": ["price"], "selected_columns": ["id", "title", "price"] }),
        json!({ "cron": "sometimes", "name": "" }),
        json!({ "collection_name": "a/b" }),
    ] {
        let spec = syncing.spec(more);
        let previewed = operator.post(PREVIEW, &spec).await.expect(422);
        let created = operator.post("/typesense/sync-jobs", &spec).await.expect(422);
        assert_eq!((&previewed["status"], &previewed["error"]), (&json!("error"), &json!("validation_failed")));
        assert_eq!((&previewed["message"], &previewed["errors"]), (&created["message"], &created["errors"]), "{spec}");
    }
    for malformed in [json!({ "batch_size": "many" }), json!({ "colour": "red" }), json!({ "sync_strategy": "magic" })]
    {
        let spec = syncing.spec(malformed);
        let created = operator.post("/typesense/sync-jobs", &spec).await;
        let previewed = operator.post(PREVIEW, &spec).await.expect(created.status.as_u16());
        assert_eq!(previewed["message"], created.body["message"]);
    }
    // Another job's collection is taken, but not from the job itself.
    let columns = json!({ "selected_columns": ["id", "title"] });
    let job = syncing.job(columns.clone()).await;
    let mut spec = syncing.spec(columns);
    spec["collection_name"] = job["collection_name"].clone();
    operator.post(PREVIEW, &spec).await.expect(422);
    operator.post(&format!("{PREVIEW}?job={}", job["id"].as_str().expect("an id")), &spec).await.expect(200);
    operator.post(&format!("{PREVIEW}?job=books"), &spec).await.expect(200);
    operator.post(&format!("{PREVIEW}?job=nothing"), &spec).await.expect(404);
    let tenant = syncing.stack.tenant("nosy").await;
    tenant.client.post(PREVIEW, &spec).await.expect(403);
    operator.bearer("ss_search_nonsense").post(PREVIEW, &spec).await.expect(401);
}

#[tokio::test]
async fn the_status_of_one_job_is_that_of_the_list() {
    let syncing = syncing().await;
    let columns = json!({ "selected_columns": ["id", "title"] });
    let job = syncing.job(columns).await;
    syncing.job(json!({ "name": "other", "selected_columns": ["id", "pages"] })).await;
    let gateway = syncing.gateway().await;
    let run = syncing.begin(&job).await;
    let one =
        gateway.get(&format!("/typesense/sync-jobs/{}/status", job["id"].as_str().expect("an id"))).await.expect(200);
    let (status, by_name) = (&one["data"], gateway.get("/typesense/sync-jobs/books/status").await.expect(200));
    assert_eq!((&status["id"], &status["sync_health"]), (&job["id"], &json!("never_synced")), "{status:#}");
    assert_eq!(status["active_run_id"], json!(run), "{status:#}");
    assert_eq!(*status, by_name["data"]);
    let all = gateway.get("/typesense/sync-job-status").await.expect(200);
    assert!(all["data"]["items"].as_array().expect("jobs").contains(status), "{all:#}");
    gateway.get("/typesense/sync-jobs/nothing/status").await.expect(404);
    let tenant = syncing.stack.tenant("nosy").await;
    tenant.client.get("/typesense/sync-jobs/books/status").await.expect(403);
}
