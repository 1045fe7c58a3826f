//! What searches by meaning add to the same searches by words, the query's embedding measured apart and not counted.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Instant,
};

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Scale,
    accept::{BATCH, fill},
    connection::Connection,
    documents::{self, Documents},
    report::{Row, percentile},
    stack::Stack,
    tenant::Site,
};

const DOCUMENTS: usize = 20_000;
/// As many as the local model's vectors have.
const DIMENSIONS: usize = 384;
/// What a search by meaning may add.
const LIMIT_MS: f64 = 3.0;

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let count = if scale.quick { 200 } else { 2000 };
    let model = serve_model().await?;
    let site = Site::open(stack, "meaning").await?.with("TIDEWELL_OPENAI_BASE_URL", &model);
    let (serve, tenant) = site.serve().await?;
    let documents = Documents::new();
    let texts: Vec<String> = (0..DOCUMENTS).map(|n| documents.json(n)).collect();
    let embedding = json!({ "from": ["title"], "model": "openai:bench" });
    let new = json!({ "slug": "meaning", "fields": documents::fields(), "embedding": embedding });
    let index = tenant.make_index(&new).await?;
    let mut work = site.work()?;
    fill(&tenant, &index, &texts, BATCH).await?;
    site.wait_settled(&index, DOCUMENTS, &mut work).await?;
    work.stop().await?;

    let path = index.path("search");
    let model = Connection::new(&model, ("authorization", "Bearer none"))?;
    let mut times = [const { vec![] }; 3];
    let mut embeddings = vec![];
    for n in 0..count {
        let q = documents.query(n);
        for (mode, times) in ["keyword", "vector", "hybrid"].into_iter().zip(&mut times) {
            let body = json!({ "q": q, "mode": mode }).to_string();
            let started = Instant::now();
            tenant.api.search(&path, body.into()).await?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        let started = Instant::now();
        let body = json!({ "model": "bench", "input": [q] }).to_string();
        model.search("/embeddings", body.into()).await?;
        embeddings.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    serve.stop().await?;
    let [keyword, vector, hybrid] = times;
    let row = |name: &str, times: &[f64], part: f64| {
        let added = percentile(times, part) - percentile(&keyword, part) - percentile(&embeddings, part);
        let note =
            format!("one client, in turns with the same by keyword; {DOCUMENTS} documents, without the embedding");
        Row::bound(name, added, LIMIT_MS, "ms").note(note)
    };
    Ok(vec![
        row("search_vector_added_p50_ms", &vector, 0.5),
        row("search_hybrid_added_p50_ms", &hybrid, 0.5),
        row("search_hybrid_added_p99_ms", &hybrid, 0.99),
    ])
}

/// A model in OpenAI's protocol that takes no time: a text's vector is the sum of its words', each at random. Gives its address.
async fn serve_model() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let answer = async |Json(asked): Json<Value>| {
        let texts = asked["input"].as_array().cloned().unwrap_or_else(|| vec![asked["input"].clone()]);
        let data = texts.iter().enumerate().map(|(n, text)| {
            json!({ "object": "embedding", "index": n, "embedding": vector(text.as_str().unwrap_or_default()) })
        });
        Json(json!({ "object": "list", "model": "bench", "data": data.collect::<Vec<_>>() }))
    };
    let app = Router::new().route("/embeddings", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}

fn vector(text: &str) -> Vec<f32> {
    let mut sum = vec![0.0; DIMENSIONS];
    for word in text.split_whitespace() {
        for (place, sum) in sum.iter_mut().enumerate() {
            let mut hasher = DefaultHasher::new();
            (word, place).hash(&mut hasher);
            *sum += (hasher.finish() % 2001) as f32 / 1000.0 - 1.0;
        }
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.into_iter().map(|x| x / length).collect()
}
