//! Tenants never see each other, whatever they send and whatever stands in their collections.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::support::stack::Stack;

/// Pieces that hostile filters are made of.
const PIECES: [&str; 34] = [
    "title:=red",
    "year:>0",
    "tenantId:!=zzz",
    "tenantId:*",
    "genre:=x",
    "title:",
    "(",
    ")",
    " ",
    "`",
    "``",
    "&&",
    "||",
    " && ",
    " || ",
    "title:=`)`",
    "title:(",
    "\\`",
    "[",
    "]",
    ",",
    ":",
    ":(",
    "= ",
    "id:=foreign",
    "&",
    "|",
    "!=",
    "\"",
    "'",
    "(tenantId:!=zzz)",
    "(year:>=0)",
    "(48.8, 2.3, 5 km)",
    "year:>0) || (year:>0",
];

#[tokio::test]
async fn no_filter_brings_back_a_document_of_another_tenant() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("victim").await;
    let own = json!({ "documents": [{ "id": "own1", "title": "red", "year": 1, "genre": "x" }, { "id": "own2", "title": "b", "year": 2 }] });
    let job = tenant.client.post("/v1/indexes/books/documents:batch", &own).await.expect(202);
    tenant.client.ended(&job).await;
    plant_foreign(&stack, tenant.index["alias"].as_str().expect("an alias")).await;
    let mut random = StdRng::seed_from_u64(5);
    let mut answered = 0;
    for _ in 0..100 {
        let searches: Vec<Value> =
            (0..20).map(|_| json!({ "index": "books", "filterBy": filter(&mut random), "facetBy": "genre" })).collect();
        for search in searches {
            let search = search.as_object().expect("an object");
            let body = json!({ "filterBy": search["filterBy"], "facetBy": "genre" });
            let answer = tenant.client.post("/v1/indexes/books/search", &body).await;
            if answer.status != 200 {
                assert_eq!(answer.status, 400, "{body}: {:#}", answer.body);
                continue;
            }
            answered += 1;
            assert!(answer.body["found"].as_u64().expect("a count") <= 2, "{body}: {:#}", answer.body);
            assert!(!answer.body.to_string().contains("foreign"), "{body}: {:#}", answer.body);
        }
    }
    assert!(answered > 50, "only {answered} filters were taken: the test proves too little");
}

#[tokio::test]
async fn no_filter_widens_a_scoped_token() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("narrowed").await;
    let own = json!({ "documents": [{ "id": "seen", "title": "red", "year": 1, "genre": "x" },
                                    { "id": "hidden", "title": "red", "year": 2, "genre": "x" }] });
    let job = tenant.client.post("/v1/indexes/books/documents:batch", &own).await.expect(202);
    tenant.client.ended(&job).await;
    plant_foreign(&stack, tenant.index["alias"].as_str().expect("an alias")).await;
    let new = json!({ "index": "books", "filterBy": "id:=seen || id:=foreign || title:=`) || (year:>0`" });
    let token = tenant.client.post("/v1/scoped-tokens", &new).await.expect(201);
    let token = tenant.client.bearer(token["token"].as_str().expect("a token"));
    let mut random = StdRng::seed_from_u64(6);
    let mut answered = 0;
    for _ in 0..1000 {
        let body = json!({ "filterBy": filter(&mut random), "facetBy": "genre" });
        let answer = token.post("/v1/indexes/books/search", &body).await;
        if answer.status != 200 {
            assert_eq!(answer.status, 400, "{body}: {:#}", answer.body);
            continue;
        }
        answered += 1;
        assert!(answer.body["found"].as_u64().expect("a count") <= 1, "{body}: {:#}", answer.body);
        let text = answer.body.to_string();
        assert!(!text.contains("hidden") && !text.contains("foreign"), "{body}: {:#}", answer.body);
    }
    assert!(answered > 50, "only {answered} filters were taken: the test proves too little");
}

fn filter(random: &mut StdRng) -> String {
    const SOUND: [&str; 7] = [
        "title:=red",
        "year:>=0",
        "title:!=zz",
        "genre:=x",
        "title:=[red,`a b`]",
        "(year:>=0 || genre:=x)",
        "title:=`) red`",
    ];
    const GLUE: [&str; 9] = [" && ", "||", " || ", " ", "", ") || (", ")(", ")", "&&"];
    if random.random_bool(0.3) {
        return (0..random.random_range(1..9)).map(|_| *PIECES.choose(random).expect("a piece")).collect();
    }
    let mut filter = String::from(*SOUND.choose(random).expect("one"));
    for _ in 0..random.random_range(0..4) {
        filter += GLUE[..if random.random_bool(0.6) { 3 } else { GLUE.len() }].choose(random).expect("one");
        filter += SOUND.choose(random).expect("one");
    }
    if random.random_bool(0.2) {
        filter += PIECES.choose(random).expect("a piece");
    }
    filter
}

async fn plant_foreign(stack: &Stack, alias: &str) {
    let foreign = json!({ "id": "foreign", "tenantId": uuid::Uuid::now_v7().to_string(), "title": "red", "year": 5, "genre": "foreign" });
    let url = format!("{}/collections/{alias}/documents", stack.setting.typesense_url);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let planted = http.post(url).header("x-typesense-api-key", &stack.setting.typesense_api_key).json(&foreign);
    assert!(planted.send().await.expect("an answer").status().is_success());
}
