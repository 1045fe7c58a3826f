//! reindex: documents a second that a new version takes, vectors out of the cache; beside the best raw import of the same lines.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use reqwest::Method;
use serde_json::json;

use super::{
    Scale,
    accept::{BATCH, fill},
    documents::{self, Documents},
    raw::{Lines, Settings},
    report::{Row, median, rounded},
    stack::Stack,
    tenant::{Index, Site},
};

/// Texts that differ: each is embedded once, before time is taken.
const TEXTS: usize = 500;
const SWEEP: [Settings; 4] = [
    Settings { lines: 250, connections: 2 },
    Settings { lines: 1000, connections: 1 },
    Settings { lines: 1000, connections: 2 },
    Settings { lines: 1000, connections: 4 },
];

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let (rounds, count) = if scale.quick { (1, 10_000) } else { (2, 100_000) };
    let site = Site::open(stack, "reindex").await?;
    let (serve, tenant) = site.serve().await?;
    let fields = documents::fields();
    let embedding = json!({ "from": ["title"], "model": "local:all-MiniLM-L6-v2" });
    let index = tenant.make_index(&json!({ "slug": "reindex", "fields": fields, "embedding": embedding })).await?;
    let documents = Documents::new();
    let text = |n: usize| documents.json(n % TEXTS).replacen(&Documents::id(n % TEXTS), &Documents::id(n), 1);
    let texts: Vec<String> = (0..count).map(text).collect();
    fill(&tenant, &index, &texts, BATCH).await?;
    let mut work = site.work()?;
    site.wait_settled(&index, count, &mut work).await?;
    // As the collection has them: with all that Tidewell adds.
    let lines = Lines::exported(&stack.typesense.export(&index.alias).await?);
    let mut with_vectors = fields.clone();
    with_vectors.push(tidewell::domain::fields::vector_field(384));
    let (mut values, mut limits) = (vec![], vec![vec![]; SWEEP.len()]);
    for _ in 0..rounds {
        for (settings, rates) in SWEEP.iter().zip(&mut limits) {
            let rate = stack.typesense.import_rate(&with_vectors, &lines, *settings).await?;
            eprintln!("  raw, {settings}: {} documents/s", rounded(rate));
            rates.push(rate);
        }
        tenant
            .api
            .write(
                Method::POST,
                &format!("/v1/indexes/{}:reindex", index.id),
                Bytes::from_static(b"{\"rebuild\":true}"),
            )
            .await?;
        let value = count as f64 / ended(&site, &index).await?;
        eprintln!("  {} documents/s", rounded(value));
        values.push(value);
    }
    work.stop().await?;
    serve.stop().await?;
    let best = limits.iter().zip(&SWEEP).map(|(rates, settings)| (median(rates), *settings));
    let (limit, settings) = best.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NAN, SWEEP[0]));
    Ok(vec![Row::rate("reindex", median(&values), limit, "documents/s").note(format!("best raw import: {settings}"))])
}

/// Waits until the reindex under way has ended; seconds from its start to its end, the moment of the swap included.
async fn ended(site: &Site<'_>, index: &Index) -> anyhow::Result<f64> {
    loop {
        let (status, seconds): (String, Option<f64>) = sqlx::query_as(
            "select status, extract(epoch from finished_at - started_at)::float8 from tidewell.reindexes
             where index_id = $1::uuid order by id desc limit 1",
        )
        .bind(&index.id)
        .fetch_one(&site.pool)
        .await?;
        match (status.as_str(), seconds) {
            ("succeeded", Some(seconds)) => return Ok(seconds),
            ("queued" | "running", _) => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => bail!("the reindex ended as {status}"),
        }
    }
}
