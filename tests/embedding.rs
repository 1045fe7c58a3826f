//! Documents get vectors on their way: from the model as it is, once for each text, or later where it is away.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    eventually,
    openai::{Fault, OpenAi},
    oracle::unsettled,
    process,
    stack::{Setting, Stack, Tenant},
    syncing::Syncing,
};

const DOCUMENTS: &str = "/v1/indexes/books/documents";
const BATCH: &str = "/v1/indexes/books/documents:batch";
const SEARCH: &str = "/v1/indexes/books/search";
const REINDEX: &str = "/v1/indexes/books:reindex";

fn embedding(model: &str, outage: &str) -> Value {
    json!({ "from": ["title"], "model": format!("openai:{model}"), "outage": outage })
}

fn book(id: &str, title: &str) -> Value {
    json!({ "id": id, "title": title })
}

/// A stack whose models are at this service.
async fn stack(openai: &OpenAi) -> Stack {
    Stack::of(Setting::fresh().await.with("TIDEWELL_OPENAI_BASE_URL", &openai.url)).await
}

async fn write(tenant: &Tenant, documents: &[Value]) -> Value {
    let job = tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    tenant.client.ended(&job).await
}

/// Ids by nearness to a text.
async fn nearest(tenant: &Tenant, text: &str) -> Vec<String> {
    let found = tenant.client.post(SEARCH, &json!({ "q": text, "mode": "vector" })).await.expect(200);
    let ids = found["hits"]
        .as_array()
        .expect("hits")
        .iter()
        .map(|hit| hit["document"]["id"].as_str().expect("an id").to_owned());
    ids.collect()
}

/// Why documents have no vectors, once a worker says so.
async fn trouble(pool: &PgPool) -> String {
    eventually(Duration::from_secs(30), || async {
        let trouble: Option<Option<String>> =
            sqlx::query_scalar("select embedding_trouble from tidewell.workers limit 1")
                .fetch_optional(pool)
                .await
                .expect("a look");
        trouble.flatten().ok_or("no trouble yet")
    })
    .await
}

async fn settled(stack: &Stack) {
    let pool = stack.setting.pool().await;
    eventually(Duration::from_secs(60), || unsettled(&pool)).await;
}

#[tokio::test]
async fn each_text_is_embedded_once_through_retries_reindexes_and_writes_that_change_nothing() {
    let openai = OpenAi::start().await;
    let stack = stack(&openai).await;
    let tenant = Tenant::make(stack.operator(), "once", json!({ "embedding": embedding("small", "wait") })).await;
    let books = [book("sea", "tides of the sea"), book("sky", "stars in the sky"), book("none", " ")];
    assert_eq!(write(&tenant, &books).await["status"], "succeeded");
    assert_eq!(nearest(&tenant, "the sea").await, ["sea", "sky"], "a document without text has no vector");
    let embedded = openai.embedded().len();
    // The year is no part of the text.
    let again = json!({ "id": "sea", "title": "tides of the sea", "year": 1824 });
    assert_eq!(write(&tenant, &[again]).await["status"], "succeeded");
    let job = tenant.client.post(REINDEX, &json!({ "rebuild": true })).await.expect(202);
    assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
    assert_eq!(nearest(&tenant, "the sea").await, ["sea", "sky"]);
    assert_eq!(openai.embedded().len(), embedded, "{:?}", openai.embedded());
    let hit = tenant.client.post(SEARCH, &json!({ "q": "tides" })).await.expect(200);
    assert!(!hit.to_string().contains("_tidewell_vector"), "the vector is nobody's to see");
    tenant
        .client
        .put(DOCUMENTS, &json!({ "id": "x", "title": "x", "_tidewell_vector": [1.0] }))
        .await
        .problem(422, "validation_failed");
}

#[tokio::test]
async fn documents_wait_for_a_model_that_is_away_and_spend_no_attempt() {
    let openai = OpenAi::start().await;
    openai.set(Fault::Unavailable);
    let stack = stack(&openai).await;
    let tenant = Tenant::make(stack.operator(), "waits", json!({ "embedding": embedding("small", "wait") })).await;
    let job =
        tenant.client.post(BATCH, &json!({ "documents": [book("a", "one"), book("b", "two")] })).await.expect(202);
    let pool = stack.setting.pool().await;
    let trouble = trouble(&pool).await;
    assert!(trouble.contains("503"), "{trouble}");
    let status = process::run(&["status", "--json"], &stack.setting.variables());
    let status: Value = serde_json::from_slice(&status.stdout).expect("a status");
    assert_eq!(status["workers"][0]["embeddingTrouble"], trouble, "{status:#}");
    assert_eq!(status["indexes"][0]["backlog"], 2, "{status:#}");
    openai.set(Fault::None);
    let job = tenant.client.ended(&job).await;
    assert_eq!((&job["counts"]["succeeded"], &job["counts"]["dead"]), (&json!(2), &json!(0)), "{job:#}");
    assert_eq!(nearest(&tenant, "two").await[0], "b");
}

#[tokio::test]
async fn an_index_may_go_without_vectors_while_its_model_is_away_and_gets_them_later() {
    let openai = OpenAi::start().await;
    let stack = stack(&openai).await;
    let tenant = Tenant::make(stack.operator(), "skips", json!({ "embedding": embedding("small", "skip") })).await;
    assert_eq!(write(&tenant, &[book("first", "here before")]).await["status"], "succeeded");
    openai.set(Fault::Unavailable);
    let titles = ["tides of the sea", "stars in the sky"];
    let job = write(&tenant, &[book("sea", titles[0]), book("sky", titles[1])]).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    let found = tenant.client.post(SEARCH, &json!({ "q": "tides" })).await.expect(200);
    assert_eq!(found["found"], 1, "it is found by its words meanwhile");
    openai.set(Fault::None);
    eventually(Duration::from_secs(60), || async {
        let answer = tenant.client.post(SEARCH, &json!({ "q": "tides of the sea", "mode": "vector" })).await;
        match answer.body["found"] == 3 {
            true => Ok(()),
            false => Err(answer.body),
        }
    })
    .await;
    assert_eq!(nearest(&tenant, "tides of the sea").await[0], "sea");
    settled(&stack).await;
    let pool = stack.setting.pool().await;
    let debts: i64 =
        sqlx::query_scalar("select count(*) from tidewell.embedding_debts").fetch_one(&pool).await.expect("a count");
    assert_eq!(debts, 0);
}

#[tokio::test]
async fn an_index_gets_an_embedding_another_model_and_none_by_reindexes() {
    let openai = OpenAi::start().await;
    let stack = stack(&openai).await;
    let tenant = stack.tenant("changes").await;
    assert_eq!(
        write(&tenant, &[book("sea", "tides of the sea"), book("sky", "stars in the sky")]).await["status"],
        "succeeded"
    );
    tenant.client.post(SEARCH, &json!({ "q": "sea", "mode": "vector" })).await.problem(400, "invalid_request");
    for model in ["small", "large"] {
        let job = tenant.client.post(REINDEX, &json!({ "embedding": embedding(model, "wait") })).await.expect(202);
        assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
        assert_eq!(nearest(&tenant, "stars").await, ["sky", "sea"]);
        let versions = tenant.client.get("/v1/indexes/books/versions").await.expect(200);
        assert_eq!(versions["items"][0]["fingerprint"]["model"], model, "{versions:#}");
    }
    let job = tenant.client.post(REINDEX, &json!({ "embedding": null })).await.expect(202);
    assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
    tenant.client.post(SEARCH, &json!({ "q": "sea", "mode": "vector" })).await.problem(400, "invalid_request");
}

#[tokio::test]
async fn vectors_of_a_model_that_has_changed_are_not_mixed_with_the_others() {
    let openai = OpenAi::start().await;
    let mut stack = stack(&openai).await;
    let tenant = Tenant::make(stack.operator(), "changed", json!({ "embedding": embedding("small", "wait") })).await;
    assert_eq!(write(&tenant, &[book("sea", "tides of the sea")]).await["status"], "succeeded");
    // As if the model of this name had become another one.
    let pool = stack.setting.pool().await;
    let changed =
        "update tidewell.index_versions set fingerprint = jsonb_set(fingerprint, '{model}', '\"small, last year\"')";
    sqlx::query(changed).execute(&pool).await.expect("changed");
    stack.worker.take().expect("a worker").stop();
    stack.worker = Some(stack.setting.work());
    let job = tenant.client.post(BATCH, &json!({ "documents": [book("sky", "stars in the sky")] })).await.expect(202);
    let trouble = trouble(&pool).await;
    assert!(trouble.contains("reindex"), "{trouble}");
    tenant.client.post(SEARCH, &json!({ "q": "sea", "mode": "vector" })).await.problem(409, "conflict");
    let reindex = tenant.client.post(REINDEX, &json!({})).await.expect(202);
    assert_eq!(tenant.client.ended(&reindex).await["status"], "succeeded");
    assert_eq!(tenant.client.ended(&job).await["status"], "succeeded", "what waited goes on");
    assert_eq!(nearest(&tenant, "stars").await, ["sky", "sea"]);
}

#[tokio::test]
async fn rows_of_a_table_are_embedded_once_and_anew_by_another_model() {
    let openai = OpenAi::start().await;
    let syncing = Syncing::of(Setting::fresh().await.with("TIDEWELL_OPENAI_BASE_URL", &openai.url)).await;
    syncing
        .sql(
            "create table books (id text primary key, title text not null);
             insert into books values ('sea', 'tides of the sea'), ('sky', 'stars in the sky'), ('none', '')",
        )
        .await;
    let embedding = |model: &str| json!({ "from": ["title"], "model": format!("openai:{model}") });
    let job = syncing.job(json!({ "query_by_fields": ["title"], "embedding": embedding("small") })).await;
    let nearest = async |text: &str| {
        let search = json!({ "job_id": job["id"], "q": text, "mode": "vector" });
        let found = syncing.stack.operator().post("/typesense/search", &search).await.expect(200);
        let hits = found["data"]["result"]["hits"].as_array().expect("hits").clone();
        hits.iter().map(|hit| hit["document"]["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    syncing.run(&job).await;
    assert_eq!(nearest("stars").await, ["sky", "sea"]);
    let embedded = openai.embedded().len();
    syncing.run(&job).await;
    assert_eq!(openai.embedded().len(), embedded, "nothing has changed");
    syncing.sql("update books set title = 'moons in the sky' where id = 'sky'").await;
    syncing.run(&job).await;
    assert_eq!(openai.embedded()[embedded..], ["moons in the sky"]);
    let path = format!("/typesense/sync-jobs/{}", job["id"].as_str().expect("an id"));
    syncing.stack.operator().patch(&path, &json!({ "embedding": embedding("large") })).await.expect(200);
    let search = json!({ "job_id": job["id"], "q": "moons", "mode": "vector" });
    syncing.stack.operator().post("/typesense/search", &search).await.expect(409);
    syncing.run(&job).await;
    assert_eq!(nearest("moons").await, ["sky", "sea"]);
    let skips = json!({ "embedding": { "from": ["title"], "model": "openai:small", "outage": "skip" } });
    let refused = syncing.stack.operator().patch(&path, &skips).await;
    assert!(refused.status.is_client_error() && refused.body.to_string().contains("waits"), "{:#}", refused.body);
}
