//! Searching by the names of a table, and whether what is found is what the table holds.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::syncing::Syncing;

async fn books(syncing: &Syncing) -> Value {
    syncing
        .sql(
            "create table books (id bigint primary key, title text not null, author text, price numeric not null);
             insert into books select n, case when n % 2 = 0 then 'Paper lantern ' else 'Iron kettle ' end || n, 'Author ' || n % 5, n
             from generate_series(1, 1200) as n",
        )
        .await;
    let job = syncing.job(json!({ "query_by_fields": ["title"], "facet_by_fields": ["author"] })).await;
    syncing.run(&job).await;
    job
}

#[tokio::test]
async fn a_table_is_searched_by_its_job_or_by_its_names() {
    let syncing = Syncing::start().await;
    let job = books(&syncing).await;
    let operator = syncing.stack.operator();
    let search = async |body: Value| operator.post("/typesense/search", &body).await;
    let by_names = json!({ "source_client_name": "shop", "source_table_name": "books", "q": "lantern", "per_page": 3 });
    let found = search(by_names.clone()).await.expect(200)["data"].clone();
    assert_eq!((&found["job_id"], &found["job_name"]), (&job["id"], &json!("books")));
    assert_eq!((&found["profile_name"], &found["source_schema_name"]), (&json!("search"), &json!("public")));
    assert_eq!((&found["query_by"], &found["result"]["found"]), (&json!(["title"]), &json!(600)));
    assert_eq!(found["result"]["hits"].as_array().expect("hits").len(), 3);
    let marked = json!({ "job_id": job["id"], "q": "lantern", "highlight_start_tag": "[", "highlight_end_tag": "]" });
    let found_marked =
        search(marked).await.expect(200)["data"]["result"]["hits"][0]["highlights"][0]["snippet"].clone();
    assert!(found_marked.as_str().expect("a snippet").starts_with("Paper [lantern]"), "{found_marked}");
    let by_job = json!({ "job_id": job["id"], "q": "4", "query_by": ["author"], "filter_by": "price:<100", "sort_by": "price:desc",
                         "facet_by": ["author"], "page": 2, "per_page": 5 });
    let found = search(by_job).await.expect(200)["data"]["result"].clone();
    assert_eq!((&found["page"], &found["hits"][0]["document"]["price"]), (&json!(2), &json!(74.0)));
    for (wrong, status) in [
        (json!({ "q": "x" }), 400),
        (json!({ "job_id": job["id"], "source_client_name": "shop", "source_table_name": "books" }), 400),
        (json!({ "job_id": uuid::Uuid::new_v4() }), 404),
        (json!({ "source_client_name": "shop", "source_table_name": "films" }), 404),
        (json!({ "source_client_name": "shop", "source_table_name": "books", "source_schema_name": "other" }), 404),
        (json!({ "source_client_name": "sh\u{0}op", "source_table_name": "books" }), 404),
        (json!({ "job_id": job["id"], "filter_by": "price:" }), 400),
        (json!({ "job_id": job["id"], "filter_by": "nowhere:=1" }), 400),
        (json!({ "job_id": job["id"], "sort_by": "nowhere:asc" }), 400),
        (json!({ "job_id": job["id"], "query_by": ["nowhere"] }), 400),
        (json!({ "job_id": job["id"], "per_page": 1000 }), 422),
        (json!({ "job_id": job["id"], "page": 0 }), 422),
        (json!({ "job_id": "x" }), 422),
    ] {
        let refused = search(wrong.clone()).await;
        assert_eq!(refused.status.as_u16(), status, "{wrong}: {:#}", refused.body);
        assert_eq!(refused.body["status"], "error", "{:#}", refused.body);
    }
    let id = job["id"].as_str().expect("an id");
    operator.patch(&format!("/typesense/sync-jobs/{id}"), &json!({ "enabled": false })).await.expect(200);
    search(by_names).await.expect(404);
    let unsynced = syncing.job(json!({ "name": "unsynced", "sync_interval_minutes": null })).await;
    search(json!({ "job_id": unsynced["id"], "q": "x" })).await.expect(404);
}

#[tokio::test]
async fn a_search_is_made_with_the_backends_search_key() {
    let syncing = Syncing::start().await;
    let job = books(&syncing).await;
    let operator = syncing.stack.operator();
    let (url, key) = (&syncing.stack.setting.typesense_url, &syncing.stack.setting.typesense_api_key);
    let wanted = json!({ "description": "search", "actions": ["documents:search"], "collections": ["*"] });
    let made = operator.http.post(format!("{url}/keys")).header("x-typesense-api-key", key).json(&wanted).send().await;
    let made: Value = made.expect("an answer").json().await.expect("a key");
    let backend = format!("/typesense/backends/{}", syncing.profile_id.as_str().expect("an id"));
    let search = async || operator.post("/typesense/search", &json!({ "job_id": job["id"], "q": "lantern" })).await;
    operator.patch(&backend, &json!({ "search_api_key": made["value"] })).await.expect(200);
    assert_eq!(search().await.expect(200)["data"]["result"]["found"], 600);
    // Without fields of its own the job's texts are searched, which only the other key may ask for.
    let id = job["id"].as_str().expect("an id");
    operator.patch(&format!("/typesense/sync-jobs/{id}"), &json!({ "query_by_fields": [] })).await.expect(200);
    assert_eq!(search().await.expect(200)["data"]["query_by"], json!(["title", "author"]));
    operator.patch(&backend, &json!({ "search_api_key": "no-such-key" })).await.expect(200);
    assert_eq!(search().await.expect(503)["error"], "unavailable");
}

#[tokio::test]
async fn drift_is_found_and_repaired() {
    let syncing = Syncing::start().await;
    let job = books(&syncing).await;
    let verify = async |query: &str| {
        syncing.call(Method::POST, &job, &format!("/verify{query}")).await.expect(200)["data"].clone()
    };
    let counts = |drift: &Value| {
        [&drift["missing"], &drift["extra"], &drift["different"]].map(|count| count.as_u64().expect("a count"))
    };
    let well = verify("").await;
    assert_eq!((counts(&well), &well["in_sync"]), ([0, 0, 0], &json!(true)));
    assert_eq!((&well["source_row_count"], &well["collection_document_count"]), (&json!(1200), &json!(1200)));
    // Somebody's hand in the collection, behind the job's back.
    let (url, key) = (&syncing.stack.setting.typesense_url, &syncing.stack.setting.typesense_api_key);
    let documents = format!("{url}/collections/{}/documents", job["collection_name"].as_str().expect("a name"));
    let http = &syncing.stack.operator().http;
    let lines =
        "{\"id\":\"5\",\"title\":\"Forged\",\"price\":5}\n{\"id\":\"not a number\",\"title\":\"Foreign\",\"price\":1}";
    let import = http.post(format!("{documents}/import?action=upsert")).header("x-typesense-api-key", key).body(lines);
    import.send().await.expect("an answer").error_for_status().expect("an import");
    for id in [7, 8] {
        let delete = http.delete(format!("{documents}/{id}")).header("x-typesense-api-key", key);
        delete.send().await.expect("an answer").error_for_status().expect("a delete");
    }
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (0, 0, 0), "a run compares with what it has written");
    let drift = verify("").await;
    assert_eq!((counts(&drift), &drift["in_sync"]), ([2, 1, 1], &json!(false)));
    assert_eq!(drift["samples"], json!({ "missing": ["7", "8"], "extra": ["not a number"], "different": ["5"] }));
    assert_eq!(drift["run_id"], Value::Null);
    let repairing = verify("?repair=true").await;
    let path = format!("/runs/{}", repairing["run_id"].as_str().expect("a run"));
    crate::support::eventually(std::time::Duration::from_secs(30), || async {
        let run = syncing.call(Method::GET, &job, &path).await.expect(200)["data"].clone();
        if run["status"] == "success" { Ok(()) } else { Err(run) }
    })
    .await;
    assert_eq!(counts(&verify("").await), [0, 0, 0]);
    syncing.equals(&job, "select id::text, title, author, price::float8 as price from books").await;
    syncing.sql("update books set title = 'Changed' where id = 3; delete from books where id = 4; insert into books values (5000, 'New', null, 1)").await;
    let behind = verify("").await;
    assert_eq!(counts(&behind), [1, 1, 1], "what has not been synced yet is drift, too");
}
