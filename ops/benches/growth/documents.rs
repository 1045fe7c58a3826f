//! What a thousand documents cost from their acceptance until they can be found, the more there are in their index.

use std::sync::Arc;

use super::Curves;
use crate::{
    Scale,
    accept::{BATCH, CLIENTS},
    connection::batch,
    cpu::Meter,
    documents::{self, Documents},
    load::{self, Load},
    report::Row,
    stack::Stack,
    tenant::{Index, Site, Tenant},
};

/// Documents whose cost is taken at each size.
const PROBE: usize = 10_000;

pub(super) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let sizes: &[usize] = if scale.quick { &[10_000, 50_000] } else { &[10_000, 100_000, 1_000_000] };
    let site = Site::open(stack, "growth").await?;
    let (serve, tenant) = site.serve().await?;
    let mut work = site.work()?;
    let index = tenant.index("growth", &documents::fields()).await?;
    let documents = Arc::new(Documents::new());
    let mut watched = stack.watched();
    watched.extend([serve.watched(), work.watched()]);
    let mut costs = Curves::new("documents", "ms/1000");
    let mut times = Curves::new("documents", "s/1000");
    let mut written = 0;
    for size in sizes {
        let before = size - PROBE.min(*size);
        if written < before {
            write(&tenant, &index, &documents, written..before).await?;
            site.wait_settled(&index, before, &mut work).await?;
            sqlx::raw_sql("checkpoint").execute(&site.pool).await?;
        }
        let meter = Meter::start(watched.clone());
        let began = std::time::Instant::now();
        write(&tenant, &index, &documents, before..*size).await?;
        site.wait_settled(&index, *size, &mut work).await?;
        let thousands = (size - before) as f64 / 1000.0;
        costs.add_used(*size, &meter.stop(), 1000.0 / thousands);
        times.add("time", *size, began.elapsed().as_secs_f64() / thousands);
        written = *size;
    }
    work.stop().await?;
    serve.stop().await?;
    Ok([costs.rows(), times.rows()].concat())
}

/// Writes the documents of these numbers; the front end's bounds are waited for.
pub(super) async fn write(
    tenant: &Tenant,
    index: &Index,
    documents: &Arc<Documents>,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<Load> {
    let (api, path, documents) = (tenant.api.clone(), index.path("documents:batch"), documents.clone());
    load::run(CLIENTS, numbers.len().div_ceil(BATCH), move |n| {
        let (api, path, documents) = (api.clone(), path.clone(), documents.clone());
        let from = numbers.start + n * BATCH;
        let to = numbers.end.min(from + BATCH);
        async move {
            let texts: Vec<String> = (from..to).map(|n| documents.json(n)).collect();
            api.write_patiently(&path, batch(&texts), &from.to_string()).await
        }
    })
    .await
}
