//! What the same number of documents costs when it is spread over more and more indexes, and what indexes cost when nothing happens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Curves, idle};
use crate::{
    Scale,
    accept::{BATCH, CLIENTS},
    connection::batch,
    cpu::Meter,
    documents::{self, Documents},
    load,
    process::Process,
    report::{Row, median},
    stack::Stack,
    tenant::{Index, Site, Tenant},
};

pub(super) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let (sizes, count): (&[usize], usize) =
        if scale.quick { (&[1, 10, 100], 10_000) } else { (&[1, 10, 100, 1000], 50_000) };
    let site = Site::open(stack, "growth_indexes").await?;
    let (serve, tenant) = site.serve().await?;
    let mut work = site.work()?;
    let documents = Arc::new(Documents::new());
    let mut watched = stack.watched();
    watched.extend([serve.watched(), work.watched()]);
    let mut costs = Curves::new("indexes", "ms/1000");
    let mut times = Curves::new("indexes", "s/1000");
    let mut idling = Curves::new("indexes_idle", "s/min");
    let (mut scrapes, mut sizes_scraped) = (Curves::new("indexes_scrape", "ms"), Curves::new("indexes_scrape", "kB"));
    let (mut indexes, mut settled) = (Vec::<Index>::new(), 0);
    for (round, size) in sizes.iter().enumerate() {
        for n in indexes.len()..*size {
            indexes.push(tenant.index(&format!("growth-{n}"), &documents::fields()).await?);
        }
        // Its collection is made before time is taken.
        settled += spread(&tenant, &indexes, &documents, *size, 1_000_000_000 + round * 10_000).await?;
        wait_settled(&site, settled, &mut work).await?;
        // Nor is what PostgreSQL still has to do for the sizes before.
        for statement in ["vacuum (analyze)", "checkpoint"] {
            sqlx::raw_sql(statement).execute(&site.pool).await?;
        }
        let meter = Meter::start(watched.clone());
        let began = Instant::now();
        settled += spread(&tenant, &indexes, &documents, count, round * count).await?;
        wait_settled(&site, settled, &mut work).await?;
        let thousands = count as f64 / 1000.0;
        costs.add_used(*size, &meter.stop(), 1000.0 / thousands);
        times.add("time", *size, began.elapsed().as_secs_f64() / thousands);
        let (used, a_minute) = idle(watched.clone(), scale).await;
        idling.add_used(*size, &used, a_minute);
        let (took, bytes) = scrape(&tenant).await?;
        scrapes.add("time", *size, took);
        sizes_scraped.add("size", *size, bytes as f64 / 1000.0);
    }
    work.stop().await?;
    serve.stop().await?;
    Ok([costs.rows(), times.rows(), idling.rows(), scrapes.rows(), sizes_scraped.rows()].concat())
}

/// Writes so many documents, numbered from `first`, as many into each index; how many those were.
async fn spread(
    tenant: &Tenant,
    indexes: &[Index],
    documents: &Arc<Documents>,
    count: usize,
    first: usize,
) -> anyhow::Result<usize> {
    let share = (count / indexes.len()).max(1);
    let requests = share.div_ceil(BATCH);
    let paths: Arc<Vec<String>> = Arc::new(indexes.iter().map(|index| index.path("documents:batch")).collect());
    let (api, documents) = (tenant.api.clone(), documents.clone());
    load::run(CLIENTS, indexes.len() * requests, move |n| {
        let (api, paths, documents) = (api.clone(), paths.clone(), documents.clone());
        async move {
            // One index after the other gets a request, as if each had writers of its own.
            let (index, request) = (n % paths.len(), n / paths.len());
            let from = request * BATCH;
            let texts: Vec<String> =
                (from..share.min(from + BATCH)).map(|n| documents.json(first + index * share + n)).collect();
            api.write_patiently(&paths[index], batch(&texts), &format!("{first}-{n}")).await
        }
    })
    .await?;
    Ok(share * indexes.len())
}

/// Waits until so many rows of all indexes have ended.
async fn wait_settled(site: &Site<'_>, count: usize, work: &mut Process) -> anyhow::Result<()> {
    let settled = "select coalesce(sum(settled), 0)::bigint from tidewell.lanes";
    while (sqlx::query_scalar::<_, i64>(settled).fetch_one(&site.pool).await? as usize) < count {
        work.check()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Milliseconds and bytes of an answer of `/metrics`.
async fn scrape(tenant: &Tenant) -> anyhow::Result<(f64, usize)> {
    const TIMES: usize = 5;
    /// What was seen is told again for half a second.
    const APART: Duration = Duration::from_millis(600);
    let (mut took, mut bytes) = (Vec::with_capacity(TIMES), 0);
    for _ in 0..TIMES {
        tokio::time::sleep(APART).await;
        let began = Instant::now();
        bytes = tenant.api.get("/metrics").await?.len();
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok((median(&took), bytes))
}
