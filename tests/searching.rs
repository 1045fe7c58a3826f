//! Keyword search: what is asked, what comes back, and errors in the caller's terms.

use reqwest::Method;
use serde_json::json;

use crate::support::{
    process,
    stack::{Setting, Stack, Tenant, key},
};

const SEARCH: &str = "/v1/indexes/books/search";

pub(crate) async fn library() -> (Stack, Tenant) {
    let stack = Stack::start().await;
    let index = json!({ "fields": [
        { "name": "title", "type": "string" },
        { "name": "genre", "type": "string", "facet": true },
        { "name": "year", "type": "int32", "facet": true },
    ] });
    let tenant = Tenant::make(stack.operator(), "library", index).await;
    let books: Vec<_> = (0..30)
        .map(|n| {
            json!({ "id": n.to_string(), "title": format!("Volume {n} of the sea"), "year": 1990 + n,
                         "genre": if n % 3 == 0 { "poetry" } else { "prose" } })
        })
        .collect();
    let job = tenant.client.post("/v1/indexes/books/documents:batch", &json!({ "documents": books })).await.expect(202);
    tenant.client.ended(&job).await;
    (stack, tenant)
}

#[tokio::test]
async fn a_search_finds_filters_sorts_facets_and_pages() {
    let (_stack, tenant) = library().await;
    let search = json!({ "q": "sea", "queryBy": ["title"], "filterBy": "year:>2000 && genre:=poetry", "sortBy": "year:desc",
                         "facetBy": "genre", "perPage": 3, "page": 2, "excludeFields": ["year"] });
    let found = tenant.client.post(SEARCH, &search).await.expect(200);
    assert_eq!((&found["found"], &found["page"], &found["perPage"]), (&json!(6), &json!(2), &json!(3)));
    let ids: Vec<_> = found["hits"].as_array().expect("hits").iter().map(|hit| &hit["document"]["id"]).collect();
    assert_eq!(ids, ["18", "15", "12"]);
    let hit = &found["hits"][0];
    assert!(hit["document"].get("year").is_none() && hit["document"].get("_tidewell_version").is_none());
    assert!(hit["highlights"][0]["snippet"].as_str().expect("a snippet").contains("<mark>sea</mark>"));
    assert_eq!(found["facetCounts"][0]["counts"][0], json!({ "count": 6, "highlighted": "poetry", "value": "poetry" }));
    assert!(found["searchTimeMs"].is_u64());
    let all = tenant.client.post(SEARCH, &json!({})).await.expect(200);
    assert_eq!((&all["found"], all["hits"].as_array().map(Vec::len)), (&json!(30), Some(10)));
}

#[tokio::test]
async fn facets_can_be_searched_and_highlights_shaped() {
    let (_stack, tenant) = library().await;
    let search = json!({ "q": "sea", "facetBy": "genre", "facetQuery": "genre:pro", "maxFacetValues": 5, "prefix": false,
                         "highlightFullFields": "title", "highlightStartTag": "[", "highlightEndTag": "]", "perPage": 1 });
    let found = tenant.client.post(SEARCH, &search).await.expect(200);
    assert_eq!(found["facetCounts"][0]["counts"].as_array().map(Vec::len), Some(1), "{found:#}");
    assert_eq!(found["facetCounts"][0]["counts"][0]["value"], "prose");
    assert!(found["hits"][0]["highlights"][0]["value"].as_str().expect("a value").ends_with("of the [sea]"));
    let unfinished = json!({ "q": "volu", "prefix": false, "numTypos": 0 });
    assert_eq!(tenant.client.post(SEARCH, &unfinished).await.expect(200)["found"], 0);
}

#[tokio::test]
async fn suggestions_complete_what_is_typed_once_each() {
    let stack = Stack::start().await;
    let index = json!({ "fields": [
        { "name": "title", "type": "string" },
        { "name": "tags", "type": "string[]", "optional": true },
        { "name": "story", "type": "string", "optional": true },
        { "name": "price", "type": "int32" },
    ] });
    let tenant = Tenant::make(stack.operator(), "shop", index).await;
    let long = format!("{} in which a kettledrum is heard {}", "A long story ".repeat(9), "and so on ".repeat(9));
    let goods = json!({ "documents": [
        { "id": "1", "title": "Kettle", "tags": ["kitchen", "Kettles"], "price": 1 },
        { "id": "2", "title": "KETTLE", "price": 2 },
        { "id": "3", "title": "Red kettle", "price": 3 },
        { "id": "4", "title": "Drum", "story": long, "price": 4 },
        { "id": "5", "title": "Lamp", "price": 5 },
    ] });
    let job = tenant.client.post("/v1/indexes/books/documents:batch", &goods).await.expect(202);
    tenant.client.ended(&job).await;
    let path = "/v1/indexes/books/suggest";
    let suggest =
        async |body: serde_json::Value| tenant.client.post(path, &body).await.expect(200)["suggestions"].clone();
    let texts = |found: &serde_json::Value| -> Vec<String> {
        let texts =
            found.as_array().expect("a list").iter().map(|one| one["text"].as_str().expect("text").to_lowercase());
        texts.collect()
    };
    let mut all = texts(&suggest(json!({ "q": "kett", "limit": 10 })).await);
    all.sort();
    assert_eq!(all, ["kettle", "kettledrum", "kettles", "red kettle"]);
    let red = suggest(json!({ "q": "red ke", "fields": "title" })).await;
    assert_eq!(
        red,
        json!([{ "text": "Red kettle", "highlighted": "<mark>Red</mark> <mark>ke</mark>ttle", "field": "title" }])
    );
    assert_eq!(
        texts(&suggest(json!({ "q": "kett", "fields": ["title"], "filterBy": "price:3" })).await),
        ["red kettle"]
    );
    assert_eq!(suggest(json!({ "q": "kett", "limit": 1 })).await.as_array().map(Vec::len), Some(1));
    assert_eq!(suggest(json!({ "q": "zzzz" })).await, json!([]));
    for (body, status, code) in [
        (json!({ "q": " " }), 422, "validation_failed"),
        (json!({}), 422, "validation_failed"),
        (json!({ "q": "x".repeat(501) }), 422, "validation_failed"),
        (json!({ "q": "a", "limit": 21 }), 422, "validation_failed"),
        (json!({ "q": "a", "fields": "tenantId" }), 400, "invalid_request"),
        (json!({ "q": "a", "fields": "price" }), 400, "invalid_request"),
        (json!({ "q": "a", "filterBy": "price:1) || (price:2" }), 400, "invalid_filter"),
    ] {
        tenant.client.post(path, &body).await.problem(status, code);
    }
}

#[tokio::test]
async fn answers_are_given_again_for_as_long_as_the_index_allows() {
    let stack = Stack::start().await;
    let tenant = Tenant::make(stack.operator(), "kept", json!({ "cacheSeconds": 60 })).await;
    assert_eq!(tenant.index["cacheSeconds"], 60);
    let put = async |id: &str| {
        let document = json!({ "id": id, "title": "A book" });
        let job = tenant.client.put("/v1/indexes/books/documents", &document).await.expect(202);
        tenant.client.ended(&job).await;
    };
    put("1").await;
    let count =
        async |search: serde_json::Value| tenant.client.post(SEARCH, &search).await.expect(200)["found"].clone();
    // Answers depend on the collection, which the front end learns of a moment after it was made.
    let mut written = 1;
    loop {
        let before = count(json!({})).await;
        written += 1;
        put(&written.to_string()).await;
        if count(json!({})).await == before {
            break;
        }
        assert!(written < 100, "no answer is kept");
    }
    assert_eq!(count(json!({ "perPage": 9 })).await, written, "another search is another answer");
    let index = format!("/v1/indexes/{}", tenant.index["id"].as_str().expect("an id"));
    tenant.client.patch(&index, &json!({ "cacheSeconds": 0 })).await.problem(403, "forbidden");
    stack.operator().patch(&index, &json!({ "cacheSeconds": 61 })).await.problem(422, "validation_failed");
    let changed = stack.operator().patch(&index, &json!({ "cacheSeconds": 0 })).await.expect(200);
    assert_eq!((&changed["cacheSeconds"], &changed["maxAttempts"]), (&json!(0), &json!(8)));
    assert_eq!(count(json!({})).await, written, "nothing is kept any more");
    let output = process::run(
        &["index", "update", "books", "--org", "kept", "--cache-seconds", "5", "--json"],
        &stack.setting.variables(),
    );
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["cacheSeconds"], 5);
    // A key that may not search learns nothing, kept or not.
    let writer = stack.operator().bearer(&key(stack.operator(), "kept", &["ingest"]).await);
    writer.post(SEARCH, &json!({})).await.problem(403, "forbidden");
}

#[tokio::test]
async fn several_searches_are_answered_in_order() {
    let (_stack, tenant) = library().await;
    let searches = json!({ "searches": [{ "index": "books", "q": "volume", "perPage": 1 }, { "index": "books", "filterBy": "year:=1991" }] });
    let found = tenant.client.post("/v1/multi-search", &searches).await.expect(200);
    let counts: Vec<_> = found["results"].as_array().expect("results").iter().map(|result| &result["found"]).collect();
    assert_eq!(counts, [30, 1]);
    let none = json!({ "searches": [{ "index": "films" }] });
    tenant.client.post("/v1/multi-search", &none).await.problem(404, "index_not_found");
    let many = json!({ "searches": vec![json!({ "index": "books" }); 21] });
    tenant.client.post("/v1/multi-search", &many).await.problem(422, "validation_failed");
    tenant.client.post("/v1/multi-search", &json!({ "searches": [] })).await.problem(422, "validation_failed");
}

#[tokio::test]
async fn a_search_that_can_not_be_run_says_what_to_change() {
    let (_stack, tenant) = library().await;

    for (search, status, code) in [
        (json!({ "filterBy": "nope:1" }), 400, "invalid_filter"),
        (json!({ "filterBy": "year:1) || (year:2" }), 400, "invalid_filter"),
        (json!({ "filterBy": "title:=`x" }), 400, "invalid_filter"),
        (json!({ "sortBy": "nope:desc" }), 400, "invalid_sort"),
        (json!({ "sortBy": "year" }), 400, "invalid_sort"),
        (json!({ "queryBy": "nope", "q": "x" }), 400, "invalid_request"),
        (json!({ "facetBy": "title" }), 400, "invalid_request"),
        (json!({ "sortBy": "year:up" }), 400, "invalid_sort"),
        (json!({ "sortBy": "_eval(year:>1):desc" }), 400, "invalid_sort"),
        (json!({ "sortBy": "_text_match(buckets: 10):desc" }), 400, "invalid_sort"),
        (json!({ "sortBy": "year(1,2):asc" }), 400, "invalid_sort"),
        (json!({ "sortBy": "year:asc,year:asc,year:asc,year:asc" }), 400, "invalid_sort"),
        (json!({ "sortBy": "tenantId:asc" }), 400, "invalid_request"),
        (json!({ "queryBy": "tenantId", "q": "x" }), 400, "invalid_request"),
        (json!({ "queryBy": (0..31).map(|n| format!("f{n}")).collect::<Vec<_>>() }), 400, "invalid_request"),
        (json!({ "facetBy": "_tidewell_version" }), 400, "invalid_request"),
        (json!({ "facetBy": "year(low:[0,1])" }), 400, "invalid_request"),
        (json!({ "includeFields": "$films(title)" }), 400, "invalid_request"),
        (json!({ "filterBy": "year:>99999999999999999999" }), 400, "invalid_filter"),
        (json!({ "filterBy": "year:>3000000000" }), 400, "invalid_filter"),
        (json!({ "filterBy": "sort:1" }), 400, "invalid_filter"),
        (json!({ "page": 4_294_967_295u32 }), 422, "validation_failed"),
        (json!({ "page": 1001 }), 422, "validation_failed"),
        (json!(["sea"]), 422, "validation_failed"),
        (json!({ "perPage": 101 }), 422, "validation_failed"),
        (json!({ "page": 0 }), 422, "validation_failed"),
        (json!({ "q": "x".repeat(501) }), 422, "validation_failed"),
        (json!({ "pinned_hits": "1:1" }), 422, "validation_failed"),
        (json!({ "facetQuery": "genre:po" }), 400, "invalid_request"),
        (json!({ "facetBy": "genre", "facetQuery": "tenantId:0" }), 400, "invalid_request"),
        (json!({ "facetBy": "genre", "facetQuery": "po" }), 400, "invalid_request"),
        (json!({ "maxFacetValues": 1001 }), 422, "validation_failed"),
        (json!({ "numTypos": 3 }), 422, "validation_failed"),
        (json!({ "numTypos": "3" }), 422, "validation_failed"),
        (json!({ "prefix": "maybe" }), 422, "validation_failed"),
        (json!({ "queryBy": "title", "queryByWeights": [1, 2] }), 400, "invalid_request"),
        (json!({ "highlightStartTag": "x".repeat(201) }), 422, "validation_failed"),
        (json!({ "mode": "vector" }), 400, "invalid_request"),
    ] {
        let answer = tenant.client.post(SEARCH, &search).await;
        answer.problem(status, code);
    }
    let repeated = json!({ "q": "sea", "queryBy": vec!["title"; 1000], "includeFields": "*", "sortBy": "year:desc", "page": 30, "perPage": 1 });
    let found = tenant.client.post(SEARCH, &repeated).await.expect(200);
    assert_eq!(found["hits"][0]["document"]["year"], 1990, "{found:#}");
    assert_eq!(found["hits"][0]["highlights"].as_array().map(Vec::len), Some(1), "{found:#}");
    let foreign = tenant.client.request(Method::POST, "/v1/indexes/%FF/search").json(&json!({}));
    tenant.client.send(foreign).await.problem(404, "not_found");
    let broken = tenant.client.request(Method::POST, SEARCH).body("{");
    tenant.client.send(broken).await.problem(400, "invalid_request");
}

#[tokio::test]
async fn a_search_backend_that_is_away_is_503_and_retryable() {
    let mut setting = Setting::fresh().await;
    setting.typesense_url = "http://127.0.0.1:1".to_owned();
    let stack = Stack::without_worker(setting).await;
    let tenant = stack.tenant("away").await;
    let answer = tenant.client.post(SEARCH, &json!({})).await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.body["retryable"], true);
    // Writes are taken all the same.
    tenant.client.put("/v1/indexes/books/documents", &json!({ "id": "a", "title": "A" })).await.expect(202);
}

#[tokio::test]
async fn the_description_of_the_api_names_every_route_and_the_rest_is_404_and_405() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let client = stack.operator();
    let openapi = client.get("/openapi.json").await.expect(200);
    let paths = openapi["paths"].as_object().expect("paths");
    for path in [
        "/v1/indexes/{index}/documents:batch",
        "/v1/indexes/{index}/search",
        "/v1/multi-search",
        "/v1/indexes/{index}/suggest",
        "/collections/{index}/documents/search",
        "/multi_search",
        "/v1/jobs/{jobId}",
        "/v1/dead-letters:retry",
        "/v1/organizations/{org}/keys",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        assert!(paths.contains_key(path), "{path} is not described: {:?}", paths.keys());
    }
    client.get("/nowhere").await.problem(404, "not_found");
    let wrong = client.send(client.request(Method::PATCH, "/healthz")).await;
    assert_eq!(wrong.status, 405);
    let named = client.send(client.request(Method::GET, "/nowhere").header("x-request-id", "my-request")).await;
    assert_eq!(named.header("x-request-id"), Some("my-request"));
    let metrics = client.get("/metrics").await;
    assert!(metrics.body.as_str().expect("text").contains("tidewell_"));
}
