//! What forms and searches answer, to a browser without scripts.

use std::time::Duration;

use serde_json::json;

use super::Visitor;
use crate::support::{
    client::Answer,
    eventually,
    stack::{OPERATOR_KEY, Setting, Stack},
};

/// The status of an answer, and its page.
fn read(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body.as_str().unwrap_or_default())
}

#[tokio::test]
async fn what_is_found_is_marked_and_a_documents_own_markup_stays_text() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("found").await;
    let title = "<mark>fake</mark> lantern <script>alert(1)</script>";
    let documents = json!({ "documents": [{ "id": "<i>1</i>", "title": title, "genre": "a & b" }] });
    let job = tenant.client.post("/v1/indexes/books/documents:batch", &documents).await.expect(202);
    tenant.client.ended(&job).await;
    let visitor = Visitor::signed_in(&stack.operator().base, OPERATOR_KEY).await;
    let index = tenant.index["id"].as_str().expect("an id");
    let answer = visitor.get(&format!("/console/search?in=index:{index}&q=lantern")).await;
    let (status, page) = read(&answer);
    assert_eq!(status, 200);
    assert!(page.contains("&lt;mark&gt;fake&lt;/mark&gt; <mark>lantern</mark>"), "{page}");
    assert!(
        page.contains("&lt;i&gt;1&lt;/i&gt;") && !page.contains("<script>alert") && !page.contains("<i>1"),
        "{page}"
    );
    let narrowed = "filterBy=genre%3A%3D%60a%20%26%20b%60";
    assert!(page.contains(narrowed), "a facet leads on: {page}");
    let answer = visitor.get(&format!("/console/search?in=index:{index}&{narrowed}")).await;
    let (_, page) = read(&answer);
    assert!(page.contains("<b>1</b> found"), "{page}");
    let answer = visitor.get(&format!("/console/search?in=index:{index}&filterBy=genre")).await;
    let (_, page) = read(&answer);
    assert!(page.contains("role=\"alert\""), "{page}");
}

#[tokio::test]
async fn an_index_is_made_and_reindexed_by_forms() {
    let stack = Stack::start().await;
    stack.tenant("forms").await;
    let visitor = Visitor::signed_in(&stack.operator().base, OPERATOR_KEY).await;
    let row = [("field0.name", "title"), ("field0.type", "string")];
    let new = [&[("organization", "forms"), ("slug", "films")], &row[..]].concat();
    let answer = visitor.post("/console/indexes/new", &[&new[..], &[("field1.name", "id")]].concat()).await;
    let (status, page) = read(&answer);
    assert_eq!(status, 422);
    assert!(page.contains("fields[1].name") && page.contains("value=\"films\""), "{page}");
    assert_eq!(visitor.post("/console/indexes/new", &new).await.status, 303);
    let indexes = stack.operator().get("/v1/organizations/forms/indexes").await.expect(200);
    let path = format!("/v1/indexes/{}", indexes["items"][0]["id"].as_str().expect("an id"));
    assert_eq!(indexes["items"][0]["fields"], json!([{ "name": "title", "type": "string" }]));
    let wish = [&row[..], &[("field1.name", "year"), ("field1.type", "int32"), ("maxRefused", "0")]].concat();
    assert_eq!(visitor.post(&path.replace("/v1/", "/console/"), &[]).await.status, 405);
    assert_eq!(visitor.post(&format!("{}/reindex", path.replace("/v1/", "/console/")), &wish).await.status, 303);
    eventually(Duration::from_secs(20), || async {
        let index = stack.operator().get(&path).await.expect(200);
        if index["version"] == 2 { Ok(()) } else { Err(index) }
    })
    .await;
    let answer = visitor.get(&path.replace("/v1/", "/console/")).await;
    let (status, page) = read(&answer);
    assert!(status == 200 && page.contains("retired") && page.contains("Roll back"), "{page}");
}

#[tokio::test]
async fn a_keys_secret_is_shown_once_and_its_faults_beside_the_form() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("keys").await;
    let visitor = Visitor::signed_in(&stack.operator().base, OPERATOR_KEY).await;
    let new = "/console/organizations/keys/keys/new";
    let answer = visitor.post(new, &[("name", "a"), ("kind", "search"), ("rateLimitPerMinute", "0")]).await;
    let (status, page) = read(&answer);
    assert!(status == 422 && page.contains("rateLimitPerMinute-fault"), "{page}");
    let answer = visitor.post(new, &[("name", "shop"), ("kind", "search"), ("index", "books")]).await;
    let (status, page) = read(&answer);
    assert!(status == 200 && page.contains("ss_search_"), "{page}");
    let answer = visitor.get("/console/organizations/keys").await;
    let (_, page) = read(&answer);
    assert!(page.contains("shop") && page.contains("Units this month"), "{page}");
    let listed = stack.operator().get("/v1/organizations/keys/keys").await.expect(200);
    let revoke =
        format!("/console/organizations/keys/keys/{}/revoke", listed["items"][0]["id"].as_str().expect("an id"));
    assert_eq!(visitor.post(&revoke, &[]).await.status, 303);
    let listed = stack.operator().get("/v1/organizations/keys/keys").await.expect(200);
    assert!(listed["items"][0]["revokedAt"].is_string());
}
