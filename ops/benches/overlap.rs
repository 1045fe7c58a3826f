//! Documents that are embedded by `work` and imported: how much of the machine is in use, and how fast it is beside the model alone.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::PgPool;

use super::{
    accept::{BATCH, fill},
    cpu::Meter,
    report::Row,
    stack::Stack,
    tenant::Site,
};

/// `alone` is the model's rate of the same texts, in texts a second.
pub(crate) async fn measure(stack: &Stack, texts: &[String], alone: f64) -> anyhow::Result<Vec<Row>> {
    let site = Site::open(stack, "overlap").await?;
    let (serve, tenant) = site.serve().await?;
    let fields = [json!({ "name": "description", "type": "string" })];
    let embedding = json!({ "from": ["description"], "model": "local:all-MiniLM-L6-v2" });
    let index = tenant.make_index(&json!({ "slug": "overlap", "fields": fields, "embedding": embedding })).await?;
    let documents = texts.iter().enumerate().map(|(n, text)| json!({ "id": n.to_string(), "description": text }));
    let documents: Vec<String> = documents.map(|document| document.to_string()).collect();
    fill(&tenant, &index, &documents, BATCH).await?;
    let mut work = site.work()?;
    // Until the first is embedded, the model is read.
    let mut before = embedded(&site.pool).await?;
    while before == 0 {
        work.check()?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        before = embedded(&site.pool).await?;
    }
    let mut watched = stack.watched();
    watched.push(work.watched());
    let meter = Meter::start(watched);
    let began = Instant::now();
    site.wait_settled(&index, texts.len(), &mut work).await?;
    let rate = (texts.len() as i64 - before) as f64 / began.elapsed().as_secs_f64();
    let used = meter.stop();
    work.stop().await?;
    serve.stop().await?;
    let processors = thread::available_parallelism().map_or(1, usize::from) as f64;
    let busy: f64 = used.iter().map(|used| used.processors).sum();
    let each: Vec<String> = used.iter().map(|used| format!("{} {:.2}", used.name, used.processors)).collect();
    Ok(vec![
        Row::rate("embed_busy", busy, processors, "processors")
            .note(format!("while imports go on: {}", each.join(", "))),
        Row::rate("embed_imported", rate, alone, "documents/s")
            .note("through work into Typesense; limit: the model alone".to_owned()),
    ])
}

async fn embedded(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from tidewell.embeddings").fetch_one(pool).await
}
