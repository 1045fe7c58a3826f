//! Tenants never see each other, whatever they send and whatever stands in their collections.

mod hostile;

use std::{collections::BTreeMap, sync::Mutex};

use futures::{StreamExt, stream};
use rand::{SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    stack::{Stack, Tenant},
};
use hostile::Hostile;

/// Stands in every text of what the tenant must not see, and whole in nothing that is sent.
const MARKER: &str = "qzplanted";
/// The same for numbers.
const YEAR: i64 = 55_555;
/// How many documents are the tenant's own.
const OWN: u64 = 5;

#[tokio::test]
async fn whatever_is_searched_for_nothing_of_another_tenant_comes_back() {
    let (_stack, tenant, names) = victim().await;
    let answered: Mutex<BTreeMap<&str, u32>> = Mutex::default();
    let rounds = stream::iter(0..600u64).map(|seed| {
        let mut hostile = Hostile::new(StdRng::seed_from_u64(seed), &names);
        let (tenant, answered) = (&tenant, &answered);
        async move {
            for (route, request, what) in requests(&tenant.client, &mut hostile) {
                let answer = tenant.client.send(request).await;
                let good = judge(&answer, &format!("seed {seed}, {route}: {what}"), OWN);
                *answered.lock().expect("a count").entry(route).or_default() += good;
            }
        }
    });
    rounds.buffer_unordered(6).collect::<Vec<()>>().await;
    let answered = answered.into_inner().expect("counts");
    println!("{answered:?}");
    assert_eq!(answered.len(), 7, "{answered:?}");
    let enough = |route: &str, least: u32| assert!(answered[route] >= least, "{route}: {answered:?} proves too little");
    enough("search", 100);
    enough("multi-search", 50);
    enough("suggest", 100);
    enough("native search", 100);
    enough("native multi_search", 1000);
    enough("native document", 30);
    enough("native collection", 30);
}

#[tokio::test]
async fn whatever_is_searched_for_a_scoped_token_finds_only_what_was_signed_into_it() {
    let (_stack, tenant, names) = victim().await;
    let new = json!({ "index": "books", "filterBy": "id:=own0 || id:=foreign0 || title:=`) || (year:>0`" });
    let token = tenant.client.post("/v1/scoped-tokens", &new).await.expect(201);
    let token = &tenant.client.bearer(token["token"].as_str().expect("a token"));
    let rounds = stream::iter(10_000..10_200u64).map(|seed| {
        let mut hostile = Hostile::new(StdRng::seed_from_u64(seed), &names);
        async move {
            let mut answered = 0;
            for (route, request, what) in requests(token, &mut hostile) {
                let (answer, what) = (token.send(request).await, format!("seed {seed}, {route}: {what}"));
                answered += judge(&answer, &what, 1);
                let text = answer.body.to_string();
                assert!((1..OWN).all(|n| !text.contains(&format!(r#""id":"own{n}""#))), "{what}\n{:#}", answer.body);
            }
            answered
        }
    });
    let answered: u32 = rounds.buffer_unordered(6).collect::<Vec<u32>>().await.iter().sum();
    assert!(answered > 500, "{answered} answers prove too little");
}

/// One round: each route once, the widest with twenty searches.
fn requests(client: &Client, hostile: &mut Hostile) -> Vec<(&'static str, reqwest::RequestBuilder, String)> {
    let post = |path: &str, body: &Value| client.request(Method::POST, path).json(body);
    let get = |path: &str| client.request(Method::GET, path);
    let mut requests = Vec::new();
    let body = hostile.camel();
    requests.push(("search", post(&format!("/v1/indexes/{}/search", hostile.index()), &body), body.to_string()));
    let body = json!({ "searches": [hostile.named(), hostile.named()] });
    requests.push(("multi-search", post("/v1/multi-search", &body), body.to_string()));
    let body = hostile.typed();
    requests.push(("suggest", post(&format!("/v1/indexes/{}/suggest", hostile.index()), &body), body.to_string()));
    let query = hostile.query();
    let path = format!("/collections/{}/documents/search", hostile.index());
    requests.push(("native search", get(&path).query(&query), format!("{query:?}")));
    let body = json!({ "searches": (0..20).map(|_| hostile.snake()).collect::<Vec<_>>() });
    let common = hostile.common();
    let what = format!("{common:?} {body}");
    requests.push(("native multi_search", post("/multi_search", &body).query(&common), what));
    let path = format!("/collections/{}/documents/{}", hostile.index(), hostile.id());
    requests.push(("native document", get(&path), path));
    let path = format!("/collections/{}", hostile.index());
    requests.push(("native collection", get(&path), path));
    requests
}

/// Checks that an answer tells nothing of others' documents and counts no more than may be seen; how many results are in it.
fn judge(answer: &Answer, what: &str, seen: u64) -> u32 {
    let (status, text) = (answer.status.as_u16(), answer.body.to_string());
    assert!(status < 500, "{what}\n{status}: {:#}", answer.body);
    assert!(!text.contains(MARKER) && !text.contains(&YEAR.to_string()), "{what}\n{:#}", answer.body);
    // As the name of something that is shown; a refusal may name it.
    assert!(!text.contains("\"_tidewell_version\":"), "{what}\n{:#}", answer.body);
    // A single document has two tags.
    let most = |name: &str| if name == "total_values" { seen.max(2) } else { seen };
    counts(&answer.body, &mut |name, count| {
        assert!(count <= most(name), "{what}\n{name} is {count}: {:#}", answer.body)
    });
    match answer.body["results"].as_array() {
        Some(results) => results.iter().filter(|result| result["code"].is_null()).count() as u32,
        None => u32::from(status == 200),
    }
}

/// Every number that counts documents, wherever it stands.
fn counts(value: &Value, look: &mut impl FnMut(&str, u64)) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| match value.as_u64() {
            Some(count) if ["found", "out_of", "count", "num_documents", "total_values"].contains(&name.as_str()) => {
                look(name, count);
            }
            _ => counts(value, look),
        }),
        Value::Array(items) => items.iter().for_each(|item| counts(item, look)),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_planted_would_be_found_but_for_the_confinement() {
    let (stack, tenant, _) = victim().await;
    let http = &tenant.client.http;
    let alias = tenant.index["alias"].as_str().expect("an alias");
    let url = format!("{}/collections/{alias}/documents/search?q=*&facet_by=genre,year", stack.setting.typesense_url);
    let all = http.get(url).header("x-typesense-api-key", &stack.setting.typesense_api_key).send().await;
    let all: Value = all.expect("an answer").json().await.expect("JSON");
    assert_eq!(all["found"], OWN + 3, "{all:#}");
    assert!(all.to_string().contains(MARKER) && all.to_string().contains(&YEAR.to_string()));
    let own = tenant.client.post("/v1/indexes/books/search", &json!({ "facetBy": "genre,year" })).await.expect(200);
    assert_eq!(own["found"], OWN, "{own:#}");
}

/// A tenant in whose collection documents of another stand, with that other's collection beside it, and the names that the victim
/// may try for them.
async fn victim() -> (Stack, Tenant, Vec<String>) {
    let stack = Stack::start().await;
    let fields = json!({ "fields": [
        { "name": "title", "type": "string", "infix": true },
        { "name": "tags", "type": "string[]", "facet": true, "optional": true },
        { "name": "genre", "type": "string", "facet": true },
        { "name": "year", "type": "int32", "facet": true },
        { "name": "price", "type": "float" },
        { "name": "place", "type": "geopoint", "optional": true },
    ] });
    let victim = Tenant::make(stack.operator(), "victim", fields.clone()).await;
    let other = Tenant::make(stack.operator(), "other", fields).await;
    let own = (0..OWN).map(|n| {
        json!({ "id": format!("own{n}"), "title": (["red", "b", "red kettle", "größe 日本", "x ) || (y"])[n as usize], "tags": ["x", "y"],
                "genre": "x", "year": n, "price": 1.5, "place": [48.8, 2.3] })
    });
    write(&victim, own.collect()).await;
    write(&other, vec![foreign("theirs", None)]).await;
    let alias = |tenant: &Tenant| tenant.index["alias"].as_str().expect("an alias").to_owned();
    let tenant_id = other.organization["id"].as_str().expect("an id");
    for (n, tenant_id) in [tenant_id, "zzz", ""].into_iter().enumerate() {
        plant(&stack, &alias(&victim), &foreign(&format!("foreign{n}"), Some(tenant_id))).await;
    }
    let id = |tenant: &Tenant| tenant.index["id"].as_str().expect("an id").to_owned();
    let names = vec![alias(&victim), alias(&other), format!("{}_v1", alias(&other)), id(&other)];
    (stack, victim, names)
}

async fn write(tenant: &Tenant, documents: Vec<Value>) {
    let batch = json!({ "documents": documents });
    let job = tenant.client.post("/v1/indexes/books/documents:batch", &batch).await.expect(202);
    assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
}

/// A document that the victim must not see.
fn foreign(id: &str, tenant_id: Option<&str>) -> Value {
    let mut document = json!({ "id": id, "title": format!("red kettle {MARKER}"), "tags": [MARKER, "x"], "genre": MARKER,
                               "year": YEAR, "price": 1.5, "place": [48.8, 2.3] });
    if let Some(tenant_id) = tenant_id {
        document["tenantId"] = json!(tenant_id);
    }
    document
}

/// Puts a document straight into a collection.
async fn plant(stack: &Stack, alias: &str, document: &Value) {
    let url = format!("{}/collections/{alias}/documents", stack.setting.typesense_url);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let planted = http.post(url).header("x-typesense-api-key", &stack.setting.typesense_api_key).json(document);
    assert!(planted.send().await.expect("an answer").status().is_success());
}
