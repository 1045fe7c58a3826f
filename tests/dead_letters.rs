//! Dead letters: found, understood, redriven, mended, discarded, and never put over anything newer.

use serde_json::{Value, json};

use crate::support::{
    client::Client,
    oracle::held,
    process,
    stack::{Stack, Tenant},
};

const DOCUMENTS: &str = "/v1/indexes/books/documents";
const BATCH: &str = "/v1/indexes/books/documents:batch";

/// Writes documents that Typesense refuses and gives the job, ended.
async fn refuse(client: &Client, ids: &[&str]) -> Value {
    let documents: Vec<_> = ids.iter().map(|id| json!({ "id": id, "title": 7 })).collect();
    let job = client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    client.ended(&job).await
}

async fn letters(client: &Client) -> Vec<Value> {
    client.get("/v1/dead-letters").await.expect(200)["items"].as_array().expect("items").clone()
}

async fn title(stack: &Stack, tenant: &Tenant, id: &str) -> Option<Value> {
    let alias = tenant.index["alias"].as_str().expect("an alias");
    held(&stack.setting, alias).await.get(id).map(|document| document["title"].clone())
}

#[tokio::test]
async fn a_dead_letter_tells_what_failed_and_why() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("tells").await;
    let job = refuse(&tenant.client, &["a"]).await;
    let letters = letters(&tenant.client).await;
    let letter = &letters[0];
    assert_eq!((&letter["documentId"], &letter["operation"]), (&json!("a"), &json!("upsert")));
    assert_eq!((&letter["index"], &letter["organization"]), (&json!("books"), &json!("tells")));
    assert_eq!((&letter["jobId"], &letter["document"]), (&job["jobId"], &json!({ "id": "a", "title": 7 })));
    assert_eq!((&letter["error"]["code"], &letter["attempts"]), (&json!("document_refused"), &json!(1)));
    assert!(letter["error"]["message"].as_str().expect("text").contains("title"));
    let one = tenant.client.get(&format!("/v1/dead-letters/{}", letter["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(one["id"], letter["id"]);
    assert_eq!(job["errors"][0]["deadLetterId"], letter["id"]);
}

#[tokio::test]
async fn letters_of_one_cause_are_one_group_and_can_be_chosen_by_it() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("groups").await;
    refuse(&tenant.client, &["a", "b", "c"]).await;
    let job = tenant.client.put(DOCUMENTS, &json!({ "id": "d", "title": "D", "year": "soon" })).await.expect(202);
    tenant.client.ended(&job).await;
    let groups = tenant.client.get("/v1/dead-letters:groups").await.expect(200);
    let counts: Vec<_> =
        groups["items"].as_array().expect("items").iter().map(|group| group["count"].clone()).collect();
    assert_eq!(counts, [json!(3), json!(1)], "{groups:#}");
    let signature = groups["items"][0]["signature"].as_str().expect("a signature");
    let chosen = tenant.client.get(&format!("/v1/dead-letters?signature={signature}")).await.expect(200);
    assert_eq!(chosen["items"].as_array().map(Vec::len), Some(3));
    let all = json!({ "filter": { "signature": signature }, "dryRun": true });
    let dry = tenant.client.post("/v1/dead-letters:discard", &all).await.expect(200);
    assert_eq!((&dry["matched"], &dry["dryRun"]), (&json!(3), &json!(true)));
    assert_eq!(letters(&tenant.client).await.len(), 4, "a dry run changes nothing");
    tenant.client.post("/v1/dead-letters:discard", &json!({ "filter": {} })).await.problem(422, "validation_failed");
    tenant.client.post("/v1/dead-letters:discard", &json!({})).await.problem(422, "validation_failed");
    let wet = json!({ "filter": { "signature": signature } });
    assert_eq!(tenant.client.post("/v1/dead-letters:discard", &wet).await.expect(200)["discarded"], 3);
    assert_eq!(letters(&tenant.client).await.len(), 1);
}

#[tokio::test]
async fn a_redriven_row_is_tried_again_and_costs_no_quota() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("redriven").await;
    let job = refuse(&tenant.client, &["a"]).await;
    let used = || async { stack.operator().get("/v1/organizations/redriven/usage").await.expect(200)["used"].clone() };
    let before = used().await;
    let letter = letters(&tenant.client).await.remove(0);
    let retried = tenant.client.post("/v1/dead-letters:retry", &json!({ "ids": [letter["id"]] })).await.expect(200);
    assert_eq!((&retried["matched"], &retried["retried"]), (&json!(1), &json!(1)));
    // Still bad: it dies again, as a new letter of the same version.
    let job = tenant.client.ended(&job).await;
    assert_eq!(job["status"], "failed");
    let again = letters(&tenant.client).await.remove(0);
    assert_eq!(again["version"], letter["version"]);
    assert_ne!(again["id"], letter["id"]);
    assert_eq!(used().await, before);
}

#[tokio::test]
async fn a_mended_document_keeps_its_place_in_the_order() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("mended").await;
    let job = refuse(&tenant.client, &["a"]).await;
    let letter = letters(&tenant.client).await.remove(0);
    let path = format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id"));
    let client = &tenant.client;
    client.put(&path, &json!({ "document": { "id": "b", "title": "x" } })).await.problem(422, "validation_failed");
    client.put(&path, &json!({ "document": { "title": "x" } })).await.problem(422, "validation_failed");
    client.put(&path, &json!({ "document": { "id": "a", "title": "mended" } })).await.expect(200);
    assert_eq!(client.ended(&job).await["status"], "succeeded");
    assert_eq!(title(&stack, &tenant, "a").await, Some(json!("mended")));
    client.get(&path).await.problem(404, "not_found");
}

#[tokio::test]
async fn nothing_dead_is_put_over_a_newer_write_or_revives_a_deleted_document() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("newer").await;
    let client = &tenant.client;
    let job = refuse(client, &["updated", "deleted", "dead_again"]).await;
    for write in [json!({ "id": "updated", "title": "new" }), json!({ "id": "dead_again", "title": 8 })] {
        client.ended(&client.put(DOCUMENTS, &write).await.expect(202)).await;
    }
    client.ended(&client.delete(&format!("{DOCUMENTS}/deleted")).await.expect(202)).await;
    let old: Vec<_> = letters(client).await.into_iter().filter(|letter| letter["jobId"] == job["jobId"]).collect();
    assert_eq!(old.len(), 3);
    for letter in &old {
        let mended = json!({ "document": { "id": letter["documentId"], "title": "old" } });
        client
            .put(&format!("/v1/dead-letters/{}", letter["id"].as_str().unwrap()), &mended)
            .await
            .problem(409, "conflict");
    }
    let ids: Vec<_> = old.iter().map(|letter| letter["id"].clone()).collect();
    let retried = client.post("/v1/dead-letters:retry", &json!({ "ids": ids })).await.expect(200);
    assert_eq!((&retried["retried"], &retried["superseded"]), (&json!(0), &json!(3)), "{retried:#}");
    let job = client.ended(&job).await;
    assert_eq!((&job["status"], &job["counts"]["superseded"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(title(&stack, &tenant, "updated").await, Some(json!("new")));
    assert_eq!(title(&stack, &tenant, "deleted").await, None);
}

#[tokio::test]
async fn what_was_done_to_a_letter_is_kept_with_who_did_it() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("trail").await;
    refuse(&tenant.client, &["a", "b"]).await;
    let found = letters(&tenant.client).await;
    stack.operator().post("/v1/dead-letters:discard", &json!({ "ids": [found[0]["id"]] })).await.expect(200);
    let retry = json!({ "filter": { "index": "books", "organization": "trail" } });
    tenant.client.post("/v1/dead-letters:retry", &retry).await.expect(200);
    let acts: Vec<(uuid::Uuid, String, String)> =
        sqlx::query_as("select dead_letter_id, act, actor from tidewell.dead_letter_acts order by id")
            .fetch_all(&stack.setting.pool().await)
            .await
            .expect("acts");
    assert_eq!(acts.len(), 2);
    assert_eq!((&acts[0].1[..], &acts[0].2[..]), ("discard", "operator"));
    assert!(acts[1].1 == "retry" && acts[1].2.starts_with("key "), "{acts:?}");
    assert_eq!(json!(acts[0].0), found[0]["id"]);
}

#[tokio::test]
async fn a_redriven_delete_by_filter_spares_later_writes() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("filters").await;
    let client = &tenant.client;
    client.ended(&client.put(DOCUMENTS, &json!({ "id": "early", "title": "x", "pages": 1 })).await.expect(202)).await;
    let refused = client.delete(&format!("{DOCUMENTS}?filterBy=pages:1")).await.expect(202);
    assert_eq!(client.ended(&refused).await["status"], "failed");
    client.ended(&client.put(DOCUMENTS, &json!({ "id": "late", "title": "x", "pages": 1 })).await.expect(202)).await;
    // The operator adds the field that was missing.
    let alter = reqwest::Client::builder().no_proxy().build().expect("a client");
    let collection =
        format!("{}/collections/{}_v1", stack.setting.typesense_url, tenant.index["alias"].as_str().unwrap());
    let field = json!({ "fields": [{ "name": "pages", "type": "int32", "optional": true }] });
    let altered = alter.patch(collection).header("x-typesense-api-key", &stack.setting.typesense_api_key).json(&field);
    assert!(altered.send().await.expect("an answer").status().is_success());
    let letter = letters(client).await.remove(0);
    assert_eq!(letter["operation"], "delete_by_filter");
    client.post("/v1/dead-letters:retry", &json!({ "ids": [letter["id"]] })).await.expect(200);
    assert_eq!(client.ended(&refused).await["status"], "succeeded");
    assert_eq!(title(&stack, &tenant, "early").await, None);
    assert_eq!(title(&stack, &tenant, "late").await, Some(json!("x")));
}

#[tokio::test]
async fn the_command_line_does_the_same() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("cli").await;
    refuse(&tenant.client, &["a", "b"]).await;
    let run = |arguments: &[&str]| -> Value {
        let output = process::run(arguments, &stack.setting.variables());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let listed = run(&["dead-letters", "list", "--json"]);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    let groups = run(&["dead-letters", "groups", "--json"]);
    assert_eq!(groups["items"][0]["count"], 2);
    let dry = run(&["dead-letters", "retry", "--index", "books", "--organization", "cli", "--dry-run", "--json"]);
    assert_eq!(dry["matched"], 2);
    let id = listed["items"][0]["id"].as_str().expect("an id");
    assert_eq!(run(&["dead-letters", "discard", "--ids", id, "--json"])["discarded"], 1);
    assert_eq!(letters(&tenant.client).await.len(), 1);
    let none = process::run(&["dead-letters", "discard", "--json"], &stack.setting.variables());
    assert!(!none.status.success(), "without a choice nothing is discarded");
}
