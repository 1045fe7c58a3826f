//! The console's search, indexes and organizations, as a browser without scripts uses them.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, redirect::Policy};
use serde_json::json;

use crate::support::{
    eventually,
    stack::{OPERATOR_KEY, Setting, Stack},
};

/// Somebody who is signed in.
struct Browser {
    http: Client,
    base: String,
    cookie: String,
}

impl Browser {
    async fn sign_in(base: &str) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        let mut browser = Self { http, base: base.to_owned(), cookie: String::new() };
        let sign_in = browser.form("/console/sign-in", &[("key", OPERATOR_KEY)]);
        let answer = sign_in.header("sec-fetch-site", "same-origin").send().await.expect("an answer");
        let cookie = answer.headers()["set-cookie"].to_str().expect("a text");
        browser.cookie = cookie.split(';').next().expect("a pair").to_owned();
        browser
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.read(self.http.get(format!("{}{path}", self.base))).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        self.read(self.form(path, form)).await
    }

    fn form(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let escaped = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        let fields: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        let sent = self.http.post(format!("{}{path}", self.base)).body(fields.join("&"));
        sent.header("content-type", "application/x-www-form-urlencoded")
    }

    async fn read(&self, request: RequestBuilder) -> (u16, String) {
        let request = request.header("cookie", &self.cookie).header("sec-fetch-site", "same-origin");
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a page"))
    }
}

#[tokio::test]
async fn what_is_found_is_marked_and_a_documents_own_markup_stays_text() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("found").await;
    let title = "<mark>fake</mark> lantern <script>alert(1)</script>";
    let documents = json!({ "documents": [{ "id": "<i>1</i>", "title": title, "genre": "a & b" }] });
    let job = tenant.client.post("/v1/indexes/books/documents:batch", &documents).await.expect(202);
    tenant.client.ended(&job).await;
    let browser = Browser::sign_in(&stack.operator().base).await;
    let index = tenant.index["id"].as_str().expect("an id");
    let (status, page) = browser.get(&format!("/console/search?in=index:{index}&q=lantern")).await;
    assert_eq!(status, 200);
    assert!(page.contains("&lt;mark&gt;fake&lt;/mark&gt; <mark>lantern</mark>"), "{page}");
    assert!(
        page.contains("&lt;i&gt;1&lt;/i&gt;") && !page.contains("<script>alert") && !page.contains("<i>1"),
        "{page}"
    );
    let narrowed = "filterBy=genre%3A%3D%60a%20%26%20b%60";
    assert!(page.contains(narrowed), "a facet leads on: {page}");
    let (_, page) = browser.get(&format!("/console/search?in=index:{index}&{narrowed}")).await;
    assert!(page.contains("<b>1</b> found"), "{page}");
    let (_, page) = browser.get(&format!("/console/search?in=index:{index}&filterBy=genre")).await;
    assert!(page.contains("role=\"alert\""), "{page}");
}

#[tokio::test]
async fn an_index_is_made_and_reindexed_by_forms() {
    let stack = Stack::start().await;
    stack.tenant("forms").await;
    let browser = Browser::sign_in(&stack.operator().base).await;
    let row = [("field0.name", "title"), ("field0.type", "string")];
    let new = [&[("organization", "forms"), ("slug", "films")], &row[..]].concat();
    let (status, page) = browser.post("/console/indexes/new", &[&new[..], &[("field1.name", "id")]].concat()).await;
    assert_eq!(status, 422);
    assert!(page.contains("fields[1].name") && page.contains("value=\"films\""), "{page}");
    assert_eq!(browser.post("/console/indexes/new", &new).await.0, 303);
    let indexes = stack.operator().get("/v1/organizations/forms/indexes").await.expect(200);
    let path = format!("/v1/indexes/{}", indexes["items"][0]["id"].as_str().expect("an id"));
    assert_eq!(indexes["items"][0]["fields"], json!([{ "name": "title", "type": "string" }]));
    let wish = [&row[..], &[("field1.name", "year"), ("field1.type", "int32"), ("maxRefused", "0")]].concat();
    assert_eq!(browser.post(&path.replace("/v1/", "/console/"), &[]).await.0, 405);
    assert_eq!(browser.post(&format!("{}/reindex", path.replace("/v1/", "/console/")), &wish).await.0, 303);
    eventually(Duration::from_secs(20), || async {
        let index = stack.operator().get(&path).await.expect(200);
        if index["version"] == 2 { Ok(()) } else { Err(index) }
    })
    .await;
    let (status, page) = browser.get(&path.replace("/v1/", "/console/")).await;
    assert!(status == 200 && page.contains("retired") && page.contains("Roll back"), "{page}");
}

#[tokio::test]
async fn a_keys_secret_is_shown_once_and_its_faults_beside_the_form() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    stack.tenant("keys").await;
    let browser = Browser::sign_in(&stack.operator().base).await;
    let new = "/console/organizations/keys/keys/new";
    let (status, page) = browser.post(new, &[("name", "a"), ("kind", "search"), ("rateLimitPerMinute", "0")]).await;
    assert!(status == 422 && page.contains("rateLimitPerMinute-fault"), "{page}");
    let (status, page) = browser.post(new, &[("name", "shop"), ("kind", "search"), ("index", "books")]).await;
    assert!(status == 200 && page.contains("ss_search_"), "{page}");
    let (_, page) = browser.get("/console/organizations/keys").await;
    assert!(page.contains("shop") && page.contains("Units this month"), "{page}");
    let listed = stack.operator().get("/v1/organizations/keys/keys").await.expect(200);
    let revoke =
        format!("/console/organizations/keys/keys/{}/revoke", listed["items"][0]["id"].as_str().expect("an id"));
    assert_eq!(browser.post(&revoke, &[]).await.0, 303);
    let listed = stack.operator().get("/v1/organizations/keys/keys").await.expect(200);
    assert!(listed["items"][0]["revokedAt"].is_string());
}
