//! Typesense's own routes: keys, errors and parameters as its clients know them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    searching::library,
    support::{
        client::{Answer, Client},
        stack::{Setting, Stack, key},
    },
};

const SEARCH: &str = "/collections/books/documents/search";

#[track_caller]
fn refused(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status.as_u16(), status, "{:#}", answer.body);
    let body = answer.body.as_object().expect("an object");
    assert_eq!(body.keys().collect::<Vec<_>>(), ["message"]);
    assert!(body["message"].as_str().expect("text").contains(words), "{:#}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").is_some());
}

/// A client that sends a key as Typesense's do.
fn native(stack: &Stack, key: &str) -> Client {
    Client::new(&stack.operator().base, "x-typesense-api-key", key)
}

#[tokio::test]
async fn a_key_is_taken_from_the_header_the_query_string_or_as_a_bearer() {
    let (stack, tenant) = library().await;
    let key = key(stack.operator(), "library", &["search"]).await;
    let nobody = Client::new(&stack.operator().base, "x-nothing", "");
    for answer in [
        native(&stack, &key).get(&format!("{SEARCH}?q=sea")).await,
        nobody.get(&format!("{SEARCH}?x-typesense-api-key={key}&q=sea")).await,
        nobody.get(&format!("{SEARCH}?q=sea&X-TYPESENSE-API-KEY={key}")).await,
        tenant.client.get(&format!("{SEARCH}?q=sea")).await,
        nobody
            .post(
                &format!("/multi_search?x-typesense-api-key={key}"),
                &json!({ "searches": [{ "collection": "books", "q": "sea" }] }),
            )
            .await,
    ] {
        assert!(answer.header("ratelimit-limit").is_some());
        let body = answer.expect(200);
        assert_eq!(*body.pointer("/found").or(body.pointer("/results/0/found")).expect("a count"), 30, "{body:#}");
    }
    for path in [
        SEARCH,
        "/collections/books",
        "/collections/films/documents/1",
        "/collections/a/b/c/d/e",
        "/keys",
        "/presets/x",
    ] {
        refused(&nobody.get(path).await, 401, "key");
        refused(&native(&stack, "ss_search_wrong").get(path).await, 401, "key");
    }
    let writer = native(&stack, &crate::support::stack::key(stack.operator(), "library", &["ingest"]).await);
    refused(&writer.get(SEARCH).await, 403, "scope");
}

#[tokio::test]
async fn rates_and_origins_hold_as_elsewhere() {
    let (stack, _tenant) = library().await;
    let new = json!({ "name": "web", "kind": "search", "scopes": ["search"], "rateLimitPerMinute": 2, "allowedOrigins": ["https://shop.example"] });
    let made = stack.operator().post("/v1/organizations/library/keys", &new).await.expect(201);
    let client = native(&stack, made["rawKey"].as_str().expect("a key"));
    let from = |origin: &str| client.send(client.request(Method::GET, SEARCH).header("origin", origin));
    refused(&from("https://elsewhere.example").await, 403, "origin");
    assert_eq!(from("https://shop.example").await.header("access-control-allow-origin"), Some("*"));
    let late = from("https://shop.example").await;
    refused(&late, 429, "2 requests a minute");
    assert!(late.header("retry-after").is_some() && late.header("ratelimit-reset").is_some());
    assert_eq!(late.header("access-control-allow-origin"), Some("*"));
    // What a browser asks first, without a key.
    let asked = client
        .http
        .request(Method::OPTIONS, format!("{}/multi_search", client.base))
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-typesense-api-key");
    let answer = asked.send().await.expect("an answer");
    assert!(answer.status().is_success());
    let allowed = answer.headers()["access-control-allow-headers"].to_str().expect("text");
    assert!(allowed.contains("x-typesense-api-key"), "{allowed}");
}

#[tokio::test]
async fn parameters_are_taken_by_name_type_and_range() {
    let (stack, _tenant) = library().await;
    let client = native(&stack, &key(stack.operator(), "library", &["search"]).await);
    let search = async |query: &str| client.get(&format!("{SEARCH}?{query}")).await;
    for good in [
        "",
        "q=*&per_page=0&facet_by=genre&facet_query=genre:po&max_facet_values=3",
        "q=sea&query_by=title&query_by_weights=2&infix=off",
        "q=sea&enable_overrides=false&use_cache=true&cache_ttl=9&preset=&x-typesense-user-id=7&split_join_tokens=always",
        "q=sea&limit=5&offset=20",
        "q=sea&exclude_fields=*",
        "q=sea&highlight_fields=*&enable_highlight_v1=false",
        "q=sea&text_match_type=max_weight&typo_tokens_threshold=0&drop_tokens_threshold=0&max_candidates=4&search_cutoff_ms=5000",
    ] {
        search(good).await.expect(200);
    }
    for (bad, status, words) in [
        ("pinned_hits=1:1", 400, "pinned_hits"),
        ("hidden_hits=1", 400, "hidden_hits"),
        ("preset=mine", 400, "preset"),
        ("enable_overrides=true", 400, "enable_overrides"),
        ("override_tags=a", 400, "override_tags"),
        ("filter_curated_hits=true", 400, "filter_curated_hits"),
        ("vector_query=v:([0.1],k:9)", 400, "vector_query"),
        ("conversation=true", 400, "conversation"),
        ("collection=books", 400, "collection"),
        ("Q=a", 400, "Q"),
        ("q=a&q=b", 400, "twice"),
        ("sort_by=_eval(year:>1):desc", 400, "sort_by"),
        ("sort_by=_vector_distance:asc", 400, "sort_by"),
        ("include_fields=$films(title)", 400, "include_fields"),
        ("filter_by=$films(year:>1)", 400, "filter_by"),
        ("filter_by=tenantId:!=a", 400, "tenantId"),
        ("group_by=tenantId", 400, "tenantId"),
        ("group_by=title", 400, "group_by"),
        ("facet_by=_tidewell_version", 400, "_tidewell_version"),
        ("facet_by=genre&facet_query=tenantId:a", 400, "tenantId"),
        ("per_page=-1", 400, "per_page"),
        ("per_page=101", 400, "per_page"),
        ("per_page=4294967296", 400, "per_page"),
        ("page=0", 400, "page"),
        ("page=101&per_page=100", 400, "page"),
        ("limit=3&offset=4", 400, "offset"),
        ("offset=10&page=2", 400, "offset"),
        ("num_typos=3", 400, "num_typos"),
        ("prefix=maybe", 400, "prefix"),
        ("infix=yes", 400, "infix"),
        ("group_limit=100", 400, "group_limit"),
        ("group_by=genre&per_page=100&group_limit=99", 400, "group_limit"),
        ("page=2147483648&per_page=0", 400, "page"),
        ("highlight_affix_num_tokens=x", 400, "highlight_affix_num_tokens"),
    ] {
        refused(&search(bad).await, status, words);
    }
    refused(&client.get("/collections/films/documents/search?q=a").await, 404, "index");
    refused(&client.get("/collections/%FF/documents/search?q=a").await, 404, "no such");
}

#[tokio::test]
async fn several_searches_fail_one_by_one_and_share_the_query_string() {
    let (stack, _tenant) = library().await;
    let client = native(&stack, &key(stack.operator(), "library", &["search"]).await);
    let searches = json!({ "union": false, "searches": [
        { "collection": "books", "q": "sea", "query_by": ["title"], "per_page": 3, "prefix": [false], "preset": null },
        { "collection": "films", "q": "sea" },
        { "collection": "books", "pinned_hits": "1:1" },
        { "q": "sea" },
        { "collection": "books", "q": { "a": 1 } },
        { "collection": "books", "q": "sea", "sort_by": "nope:asc" },
        { "collection": "books", "q": "*", "filter_by": "year:1991" },
    ] });
    let answer = client.post("/multi_search?per_page=2&use_cache=true", &searches).await.expect(200);
    let results = answer["results"].as_array().expect("results");
    let codes: Vec<&Value> = results.iter().map(|result| &result["code"]).collect();
    assert_eq!(
        codes,
        [&Value::Null, &json!(404), &json!(400), &json!(400), &json!(400), &json!(400), &Value::Null],
        "{answer:#}"
    );
    assert!(results.iter().filter(|result| !result["code"].is_null()).all(|result| result["error"].is_string()));
    assert_eq!(results[0]["hits"].as_array().map(Vec::len), Some(2), "the query string wins");
    assert_eq!(results[6]["found"], 1);
    // As text, which spares a browser a question first.
    let plain = client
        .request(Method::POST, "/multi_search")
        .header("content-type", "text/plain")
        .body(r#"{"searches":[{"collection":"books"}]}"#);
    assert_eq!(client.send(plain).await.expect(200)["results"][0]["found"], 30);
    for (body, words) in [
        (json!({ "searches": [] }), "searches"),
        (json!({ "searches": vec![json!({ "collection": "books" }); 21] }), "searches"),
        (json!({ "searches": [], "union": true }), "union"),
        (json!({ "searches": [7] }), "body"),
        (json!([]), "body"),
        (json!({ "searches": [{ "collection": "books" }], "else": 1 }), "else"),
    ] {
        refused(&client.post("/multi_search", &body).await, 400, words);
    }
    refused(&client.send(client.request(Method::POST, "/multi_search").body("{")).await, 400, "JSON");
    refused(&client.send(client.request(Method::POST, "/multi_search").body(vec![b' '; 3 << 20])).await, 413, "bytes");
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    let (stack, _tenant) = library().await;
    let client = native(&stack, &key(stack.operator(), "library", &["search", "ingest", "admin"]).await);
    for (method, path) in [
        (Method::GET, "/collections"),
        (Method::POST, "/collections"),
        (Method::DELETE, "/collections/books"),
        (Method::PATCH, "/collections/books"),
        (Method::GET, "/collections/books/documents/export"),
        (Method::GET, "/collections/books/overrides"),
        (Method::PUT, "/collections/books/synonyms/a"),
        (Method::GET, "/collections/books/nothing/of/the/kind"),
        (Method::POST, SEARCH),
        (Method::GET, "/multi_search"),
        (Method::GET, "/aliases"),
        (Method::PUT, "/aliases/books"),
        (Method::POST, "/keys"),
        (Method::GET, "/presets/a"),
        (Method::GET, "/stopwords"),
        (Method::POST, "/analytics/events"),
        (Method::POST, "/operations/snapshot"),
        (Method::GET, "/debug"),
        (Method::GET, "/metrics.json"),
        (Method::GET, "/stats.json"),
    ] {
        refused(&client.send(client.request(method, path)).await, 403, "not offered");
    }
    client.get("/nowhere").await.problem(404, "not_found");
}

#[tokio::test]
async fn one_document_and_the_collection_are_shown_to_their_tenant_alone() {
    let (stack, _tenant) = library().await;
    let client = native(&stack, &key(stack.operator(), "library", &["search"]).await);
    let document = client.get("/collections/books/documents/7?exclude_fields=genre").await.expect(200);
    assert_eq!((&document["id"], &document["year"]), (&json!("7"), &json!(1997)));
    assert!(document.get("genre").is_none() && document.get("_tidewell_version").is_none());
    refused(&client.get("/collections/books/documents/absent").await, 404, "Could not find a document with id: absent");
    refused(&client.get("/collections/books/documents/a%60b").await, 400, "backtick");
    refused(&client.get("/collections/books/documents/7?filter_by=year:1").await, 400, "filter_by");
    let collection = client.get("/collections/books").await.expect(200);
    assert_eq!((&collection["name"], &collection["num_documents"]), (&json!("books"), &json!(30)));
    assert_eq!(collection["fields"].as_array().map(Vec::len), Some(3));
    let other = stack.tenant("other").await;
    let foreign = stack.operator().get("/v1/organizations/library/indexes").await.expect(200)["items"][0]["id"].clone();
    let foreign = foreign.as_str().expect("an id");
    for path in [
        format!("/collections/{foreign}"),
        format!("/collections/{foreign}/documents/7"),
        format!("/collections/{foreign}/documents/search?q=*"),
    ] {
        refused(&other.client.get(&path).await, 404, "no such index");
    }
    refused(&other.client.get("/collections/books/documents/7").await, 404, "Could not find");
}

#[tokio::test]
async fn a_search_backend_that_is_away_is_503_in_typesenses_words() {
    let mut setting = Setting::fresh().await;
    setting.typesense_url = "http://127.0.0.1:1".to_owned();
    let stack = Stack::without_worker(setting).await;
    let tenant = stack.tenant("away").await;
    let answer = tenant.client.get(SEARCH).await;
    refused(&answer, 503, "backend");
    assert!(answer.header("retry-after").is_some());
    let searches = json!({ "searches": [{ "collection": "books" }] });
    refused(&tenant.client.post("/multi_search", &searches).await, 503, "backend");
}
