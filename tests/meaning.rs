//! Searches by meaning, and by words and meaning at once.

use std::{collections::HashSet, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    client::Client,
    eventually, meanings,
    openai::{Fault, OpenAi},
    stack::{Setting, Stack, Tenant},
    syncing::Syncing,
};

const SEARCH: &str = "/v1/indexes/books/search";
const MODEL: &str = "openai:meanings";
/// No filter can name it.
const ODD: &str = "odd\\`id";

/// A shop whose goods have vectors.
struct Shop {
    stack: Stack,
    tenant: Tenant,
    meanings: OpenAi,
}

impl Shop {
    async fn open() -> Self {
        let meanings = meanings::start().await;
        let setting = Setting::fresh().await.with("TIDEWELL_OPENAI_BASE_URL", &meanings.url);
        let stack = Stack::of(setting).await;
        let tenant = Tenant::make(stack.operator(), "shop", index()).await;
        write(
            &tenant,
            vec![
                json!({ "id": "waves", "title": "Ocean waves", "genre": "poster", "year": 1 }),
                json!({ "id": "atlas", "title": "Atlas of the sea", "genre": "paper", "year": 2 }),
                json!({ "id": "teapot", "title": "A teapot", "genre": "kitchen", "year": 3 }),
                json!({ "id": "kettle", "title": "Kettle KX-200", "genre": "kitchen", "year": 4 }),
                json!({ "id": ODD, "title": "Ocean lantern", "genre": "poster", "year": 5 }),
                json!({ "id": "blank", "title": "", "genre": "sea", "year": 6 }),
            ],
        )
        .await;
        Self { stack, tenant, meanings }
    }

    async fn search(&self, search: Value) -> Value {
        search_as(&self.tenant.client, search).await
    }
}

fn index() -> Value {
    json!({ "embedding": { "from": ["title"], "model": MODEL } })
}

async fn write(tenant: &Tenant, documents: Vec<Value>) {
    for documents in documents.chunks(1000) {
        let batch = json!({ "documents": documents });
        let job = tenant.client.post("/v1/indexes/books/documents:batch", &batch).await.expect(202);
        let ended = tenant.client.ended(&job).await;
        assert_eq!(ended["status"], "succeeded", "{ended:#}");
    }
}

async fn search_as(client: &Client, search: Value) -> Value {
    client.post(SEARCH, &search).await.expect(200)
}

fn ids(found: &Value) -> Vec<&str> {
    let hits = found["hits"].as_array().expect("hits");
    hits.iter().map(|hit| hit["document"]["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn a_search_by_meaning_finds_what_has_none_of_its_words() {
    let shop = Shop::open().await;
    let found = shop.search(json!({ "q": "tide", "mode": "vector", "perPage": 2, "facetBy": "genre" })).await;
    assert_eq!((ids(&found)[0], &found["found"]), ("waves", &json!(5)), "a document without text has no vector");
    let first = &found["hits"][0];
    assert!(first["vector_distance"].as_f64().expect("a distance") < 0.01, "{first:#}");
    assert_eq!((&first["highlights"], first["document"].get("_tidewell_vector")), (&json!([]), None));
    let counts = found["facetCounts"][0]["counts"].as_array().expect("counts");
    assert_eq!(counts.iter().map(|one| one["count"].as_u64().expect("a count")).sum::<u64>(), 5);
    let filtered = shop
        .search(json!({ "q": "tide", "mode": "vector", "filterBy": "genre:=kitchen", "includeFields": "id" }))
        .await;
    assert_eq!(
        (&filtered["found"], filtered["hits"][0]["document"].as_object().map(|one| one.len())),
        (&json!(2), Some(1))
    );
}

#[tokio::test]
async fn a_hybrid_search_ranks_by_words_and_meaning_and_says_how() {
    let shop = Shop::open().await;
    let found =
        shop.search(json!({ "q": "sea", "mode": "hybrid", "queryBy": "title,genre", "facetBy": "genre" })).await;
    assert_eq!(ids(&found)[0], "atlas", "both halves find it: {found:#}");
    let hits = found["hits"].as_array().expect("hits");
    let hit = |id: &str| hits.iter().find(|hit| hit["document"]["id"] == id).unwrap_or_else(|| panic!("{found:#}"));
    assert_eq!(hit("atlas")["highlights"][0]["snippet"], "Atlas of the <mark>sea</mark>");
    let fusion = &hit("waves")["fusion"];
    assert_eq!((&fusion["keywordRank"], fusion["vectorRank"].is_u64()), (&Value::Null, true));
    let score = 0.5 / (60.0 + fusion["vectorRank"].as_f64().expect("a rank"));
    assert!((fusion["score"].as_f64().expect("a score") - score).abs() < 1e-9);
    assert!(fusion["vectorDistance"].is_f64() && hit("waves")["document"].get("_tidewell_vector").is_none());
    let fusion = &hit("blank")["fusion"];
    assert_eq!((&fusion["vectorRank"], fusion["keywordRank"].is_u64()), (&Value::Null, true), "it has no vector");
    assert_eq!(hit(ODD)["document"]["year"], 5);
    assert_eq!((found["found"].as_u64(), hits.len()), (Some(6), 6));
    for narrow in [json!({ "includeFields": "title" }), json!({ "excludeFields": "id,year,genre,tenantId" })] {
        let mut search = json!({ "q": "sea", "mode": "hybrid", "queryBy": "title,genre" });
        search.as_object_mut().expect("an object").extend(narrow.as_object().expect("an object").clone());
        let narrow = shop.search(search).await;
        assert_eq!(narrow["hits"][0]["document"], json!({ "title": "Atlas of the sea" }), "{narrow:#}");
    }
    let kitchen = json!({ "count": 2, "highlighted": "kitchen", "value": "kitchen" });
    assert!(found["facetCounts"][0]["counts"].as_array().expect("counts").contains(&kitchen), "{found:#}");
}

#[tokio::test]
async fn alpha_says_how_much_meaning_counts() {
    let shop = Shop::open().await;
    let first = async |alpha: f64| {
        let found = shop.search(json!({ "q": "tide atlas", "mode": "hybrid", "alpha": alpha })).await;
        ids(&found)[0].to_owned()
    };
    assert_eq!((&*first(1.0).await, &*first(0.0).await), ("waves", "atlas"));
}

#[tokio::test]
async fn pages_of_a_hybrid_search_hold_each_document_once_and_as_many_as_are_found() {
    let shop = Shop::open().await;
    let more = (0..400).map(|n| match n % 3 {
        0 => json!({ "id": format!("s{n}"), "title": format!("The sea {n}"), "genre": "a" }),
        1 => json!({ "id": format!("o{n}"), "title": format!("The ocean {n}"), "genre": "b" }),
        _ => json!({ "id": format!("` \\{n}"), "title": format!("Sea and lamp {n}"), "genre": "c" }),
    });
    write(&shop.tenant, more.collect()).await;
    for mode in ["vector", "hybrid"] {
        for per_page in [30, 70] {
            let mut seen = HashSet::new();
            let mut found = 1;
            for page in 1..=9 {
                let search = json!({ "q": "sea", "mode": mode, "page": page, "perPage": per_page });
                let answer = shop.search(search).await;
                found = answer["found"].as_u64().expect("a count");
                for id in ids(&answer) {
                    assert!(seen.insert(id.to_owned()), "{mode}: {id} stands twice");
                }
            }
            assert_eq!(seen.len() as u64, found, "{mode}, pages of {per_page}");
            assert!(found > if mode == "vector" { 249 } else { per_page }, "{mode}: {found}");
        }
    }
}

#[tokio::test]
async fn nothing_of_another_tenant_or_beyond_a_token_is_found_or_counted() {
    let shop = Shop::open().await;
    // Nearer and better than all of the tenant's own, in its own collection, by the hand of somebody who should not.
    let alias = shop.tenant.index["alias"].as_str().expect("an alias");
    let foreign = json!({ "id": "foreign", "title": "tide tide tide", "genre": "planted", "tenantId": "zzz",
                          "_tidewell_vector": [3.0, 0.0, 0.0, 0.0, 0.03] });
    let setting = &shop.stack.setting;
    let url = format!("{}/collections/{alias}/documents", setting.typesense_url);
    let planted = shop.tenant.client.http.post(url).header("x-typesense-api-key", &setting.typesense_api_key);
    planted.json(&foreign).send().await.expect("an answer").error_for_status().expect("a document");
    let made = json!({ "index": "books", "filterBy": "genre:=kitchen" });
    let token = shop.tenant.client.post("/v1/scoped-tokens", &made).await.expect(201);
    let token = shop.tenant.client.bearer(token["token"].as_str().expect("a token"));
    for mode in ["vector", "hybrid"] {
        let search = json!({ "q": "tide", "mode": mode, "facetBy": "genre", "filterBy": "year:>0 || genre:=planted || id:=foreign" });
        let own = shop.search(search.clone()).await;
        assert_eq!(own["found"], 5, "{own:#}");
        assert!(!own.to_string().contains("planted") && !own.to_string().contains("foreign"), "{own:#}");
        let narrowed = search_as(&token, search).await;
        assert_eq!(narrowed["found"], 2, "{narrowed:#}");
        assert!(narrowed["hits"].as_array().expect("hits").iter().all(|hit| hit["document"]["genre"] == "kitchen"));
        assert_eq!(narrowed["facetCounts"][0]["counts"].as_array().map(Vec::len), Some(1), "{narrowed:#}");
    }
}

#[tokio::test]
async fn searches_of_one_request_have_each_its_own_mode() {
    let shop = Shop::open().await;
    let search = |mode: &str| json!({ "index": "books", "q": "ocean", "mode": mode });
    let mut searches: Vec<Value> = ["vector", "keyword", "hybrid"].into_iter().map(search).collect();
    searches.extend((0..9).map(|_| search("hybrid")));
    let found = shop.tenant.client.post("/v1/multi-search", &json!({ "searches": searches })).await.expect(200);
    let counts: Vec<_> = found["results"].as_array().expect("results").iter().map(|one| &one["found"]).collect();
    assert_eq!(counts[..4], [5, 2, 5, 5]);
    assert!(
        found["results"][1]["hits"][0].get("fusion").is_none()
            && found["results"][2]["hits"][0].get("fusion").is_some()
    );
}

#[tokio::test]
async fn a_search_by_meaning_that_can_not_be_made_says_what_to_change() {
    let shop = Shop::open().await;
    let client = &shop.tenant.client;
    let full = vec!["year:>0"; 46].join(" && ");
    for (search, status, code) in [
        (json!({ "q": "*", "mode": "vector" }), 400, "invalid_request"),
        (json!({ "q": " ", "mode": "hybrid" }), 400, "invalid_request"),
        (json!({ "mode": "hybrid" }), 400, "invalid_request"),
        (json!({ "q": "sea", "mode": "vector", "sortBy": "year:desc" }), 400, "invalid_sort"),
        (json!({ "q": "sea", "mode": "hybrid", "sortBy": "year:desc" }), 400, "invalid_sort"),
        (json!({ "q": "sea", "mode": "hybrid", "filterBy": "nowhere:1" }), 400, "invalid_filter"),
        (json!({ "q": "sea", "mode": "vector", "filterBy": "nowhere:1" }), 400, "invalid_filter"),
        (json!({ "q": "sea", "mode": "hybrid", "filterBy": format!("{full} && year:>0") }), 400, "invalid_filter"),
        (json!({ "q": "sea", "mode": "hybrid", "queryBy": "nowhere" }), 400, "invalid_request"),
        (json!({ "q": "sea", "mode": "hybrid", "facetBy": "title" }), 400, "invalid_request"),
        (json!({ "q": "sea", "mode": "hybrid", "alpha": 1.5 }), 422, "validation_failed"),
        (json!({ "q": "sea", "alpha": 0.5 }), 422, "validation_failed"),
        (json!({ "q": "sea", "mode": "semantic" }), 422, "validation_failed"),
        (json!({ "q": "x".repeat(501), "mode": "vector" }), 422, "validation_failed"),
        (json!({ "q": "sea", "vector_query": "_tidewell_vector:([1],k:9)" }), 422, "validation_failed"),
    ] {
        client.post(SEARCH, &search).await.problem(status, code);
    }
    shop.search(json!({ "q": "sea", "mode": "hybrid", "filterBy": full })).await;
    let native =
        client.request(Method::GET, "/collections/books/documents/search?q=*&vector_query=_tidewell_vector:([1])");
    assert_eq!(client.send(native).await.status, 400);

    let plain = shop.stack.tenant("plain").await;
    let answer = plain.client.post(SEARCH, &json!({ "q": "sea", "mode": "hybrid" })).await;
    answer.problem(400, "invalid_request");
    assert!(answer.body["detail"].as_str().expect("a detail").contains("reindex"), "{:#}", answer.body);
    let empty = Tenant::make(shop.stack.operator(), "empty", index()).await;
    assert_eq!(search_as(&empty.client, json!({ "q": "sea", "mode": "vector" })).await["found"], 0);
    assert_eq!(search_as(&empty.client, json!({ "q": "sea", "mode": "hybrid" })).await["found"], 0);

    shop.meanings.set(Fault::Unavailable);
    let answer = client.post(SEARCH, &json!({ "q": "a new question", "mode": "hybrid" })).await;
    answer.problem(503, "unavailable");
    assert!(
        answer.header("retry-after").is_some() && answer.body["detail"].as_str().expect("a detail").contains("keyword")
    );
    shop.search(json!({ "q": "sea" })).await;
}

#[tokio::test]
async fn vectors_of_another_model_are_never_compared() {
    let shop = Shop::open().await;
    let pool = shop.stack.setting.pool().await;
    let set = async |fingerprint: Option<&str>| {
        let changed = "update tidewell.index_versions set fingerprint = case when $1::text is null then null
                           else jsonb_set(fingerprint, '{model}', to_jsonb($1)) end";
        sqlx::query(changed).bind(fingerprint).execute(&pool).await.expect("a change");
    };
    set(Some("openai:another")).await;
    for mode in ["vector", "hybrid"] {
        eventually(Duration::from_secs(1), || async {
            let answer = shop.tenant.client.post(SEARCH, &json!({ "q": "sea", "mode": mode })).await;
            if answer.status == 200 { Err(answer) } else { Ok(answer) }
        })
        .await
        .problem(409, "conflict");
    }
    set(None).await;
    let found = eventually(Duration::from_secs(1), || async {
        let answer =
            shop.tenant.client.post(SEARCH, &json!({ "q": "sea", "mode": "hybrid", "queryBy": "title" })).await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer) }
    })
    .await;
    assert_eq!((ids(&found), &found["hits"][0]["fusion"]["vectorRank"]), (vec!["atlas"], &Value::Null));
    assert_eq!(shop.search(json!({ "q": "sea", "mode": "vector" })).await["found"], 0);
}

#[tokio::test]
async fn a_synced_table_is_searched_by_meaning_in_the_shape_of_typesenses_answers() {
    let meanings = meanings::start().await;
    let syncing = Syncing::of(Setting::fresh().await.with("TIDEWELL_OPENAI_BASE_URL", &meanings.url)).await;
    syncing
        .sql(
            "create table books (id text primary key, title text not null);
             insert into books values ('waves', 'Ocean waves'), ('atlas', 'Atlas of the sea'), ('pot', 'A teapot')",
        )
        .await;
    let job = syncing.job(json!({ "query_by_fields": ["title"] })).await;
    syncing.run(&job).await;
    let search = async |more: Value| {
        let mut body = json!({ "job_id": job["id"], "q": "sea", "exclude_fields": ["title"] });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        syncing.stack.operator().post("/typesense/search", &body).await
    };
    let answer = search(json!({ "mode": "vector" })).await;
    assert!(answer.expect(400)["message"].as_str().expect("a message").contains("embedding"));

    let path = format!("/typesense/sync-jobs/{}", job["id"].as_str().expect("an id"));
    let change = json!({ "embedding": { "from": ["title"], "model": MODEL } });
    syncing.stack.operator().patch(&path, &change).await.expect(200);
    search(json!({ "mode": "hybrid" })).await.expect(409);
    syncing.run(&job).await;
    let found =
        search(json!({ "mode": "hybrid", "filter_by": "title:!=`A teapot`" })).await.expect(200)["data"]["result"]
            .clone();
    assert_eq!((ids(&found).len(), &found["found"], &found["out_of"]), (2, &json!(2), &json!(2)), "{found:#}");
    let hit = found["hits"].as_array().expect("hits").iter().find(|hit| hit["document"]["id"] == "atlas");
    let hit = hit.unwrap_or_else(|| panic!("{found:#}"));
    assert_eq!(hit["fusion"]["keyword_rank"], 1);
    assert!(hit["document"].get("title").is_none() && hit["highlights"].is_array(), "{hit:#}");
    let found = search(json!({ "mode": "vector", "per_page": 1 })).await.expect(200)["data"]["result"].clone();
    assert_eq!((ids(&found).len(), &found["found"]), (1, &json!(3)));
    assert_eq!(search(json!({ "mode": "hybrid", "sort_by": "id:asc" })).await.status, 400);
    meanings.set(Fault::Unavailable);
    search(json!({ "mode": "hybrid", "q": "a new question" })).await.expect(503);
}

/// How many of the relevant documents are among the first five, on average over all queries.
async fn recall_at_5(tenant: &Tenant, queries: &[Value], mode: &str) -> f64 {
    let mut sum = 0.0;
    for query in queries {
        let search = json!({ "q": query["q"], "mode": mode, "perPage": 5 });
        let found = search_as(&tenant.client, search).await;
        let relevant = query["relevant"].as_array().expect("ids");
        let there = ids(&found).into_iter().filter(|id| relevant.contains(&json!(id))).count();
        sum += there as f64 / relevant.len() as f64;
    }
    sum / queries.len() as f64
}

#[tokio::test]
async fn a_hybrid_search_recalls_no_less_than_either_of_its_halves() {
    let judged: Value = serde_json::from_str(include_str!("judged/shop.json")).expect("the judged set");
    let stack = Stack::start().await;
    let embedding = json!({ "embedding": { "from": ["title"], "model": "local:all-MiniLM-L6-v2" } });
    let tenant = Tenant::make(stack.operator(), "judged", embedding).await;
    write(&tenant, judged["documents"].as_array().expect("documents").clone()).await;
    let queries = judged["queries"].as_array().expect("queries");
    let keyword = recall_at_5(&tenant, queries, "keyword").await;
    let vector = recall_at_5(&tenant, queries, "vector").await;
    let hybrid = recall_at_5(&tenant, queries, "hybrid").await;
    println!("recall@5: keyword {keyword:.3}, vector {vector:.3}, hybrid {hybrid:.3}");
    assert!(hybrid >= keyword && hybrid >= vector, "keyword {keyword:.3}, vector {vector:.3}, hybrid {hybrid:.3}");
}
