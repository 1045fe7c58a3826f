//! memory: the most that `serve` and `work` ever hold while many documents, or large ones, pass through them.

use std::sync::Arc;

use super::{
    Scale,
    accept::{BATCH, CLIENTS},
    connection::batch,
    documents::{self, Documents},
    load,
    report::{Row, rounded},
    stack::Stack,
    tenant::Site,
};

const LIMIT_MB: f64 = 150.0;
/// So many words make a document of just under a megabyte.
const LARGE_WORDS: usize = 110_000;
const LARGE_BATCH: usize = 16;

/// Documents that pass, and how they come.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    count: usize,
    batch: usize,
    /// Words of a description.
    words: usize,
}

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let count = if scale.quick || scale.one_of_many { 50_000 } else { 1_000_000 };
    let large = if scale.quick { 96 } else { 320 };
    let mut rows = Vec::new();
    for kind in [
        Kind { name: "", count, batch: BATCH, words: 100 },
        Kind { name: "large_", count: large, batch: LARGE_BATCH, words: LARGE_WORDS },
    ] {
        rows.extend(pass(stack, kind).await?);
        stack.tidy().await?;
    }
    Ok(rows)
}

async fn pass(stack: &Stack, kind: Kind) -> anyhow::Result<Vec<Row>> {
    let site = Site::open(stack, "memory").await?;
    let (serve, tenant) = site.serve().await?;
    let mut work = site.work()?;
    let index = tenant.index("memory", &documents::fields()).await?;
    let documents = Arc::new(Documents::new());
    let size = documents.json_of(0, kind.words).len();
    let (api, path) = (tenant.api.clone(), index.path("documents:batch"));
    let load = load::run(CLIENTS, kind.count / kind.batch, move |n| {
        let (documents, api, path) = (documents.clone(), api.clone(), path.clone());
        async move {
            let numbers = n * kind.batch..(n + 1) * kind.batch;
            let texts: Vec<String> = numbers.map(|n| documents.json_of(n, kind.words)).collect();
            // The front end's own bounds (bytes in flight, backlog) are part of what is measured.
            api.write_patiently(&path, batch(&texts), &n.to_string()).await
        }
    })
    .await?;
    eprintln!("  accepted, {} documents/s", rounded(load.a_second(kind.count)));
    site.wait_settled(&index, kind.count, &mut work).await?;
    let note = format!("{} documents of {size} bytes; ratio = limit ÷ value", kind.count);
    let row = |of: &str, peak: f64| Row::bound(&format!("{of}_peak_{}mb", kind.name), peak, LIMIT_MB, "MB").note(&note);
    let rows = vec![row("serve", serve.peak_mb()?), row("work", work.peak_mb()?)];
    work.stop().await?;
    serve.stop().await?;
    Ok(rows)
}
