//! fresh: how soon after it was sent a single document is found; beside a direct write to Typesense.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use tidewell::domain::document::TENANT_FIELD;

use super::{
    Scale,
    documents::{self, Documents},
    raw::Lines,
    report::{Row, median, percentile},
    stack::Stack,
    tenant::{Index, Site, Tenant},
};

const LIMIT_MS: f64 = 100.0;
const RAW: &str = "tidewell_bench_fresh";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// Between two documents: the system is to be idle.
const IDLE: Duration = Duration::from_millis(50);

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let count = if scale.quick { 50 } else { 200 };
    let site = Site::open(stack, "fresh").await?;
    let (serve, tenant) = site.serve().await?;
    let mut work = site.work()?;
    let documents = Documents::new();
    let index = tenant.index("fresh", &documents::fields()).await?;
    stack.typesense.create(RAW, &documents::fields()).await?;
    let (mut through, mut direct) = (vec![], vec![]);
    // The first ones make the collection and the connections.
    for n in 0..count + 5 {
        work.check()?;
        let (one, other) =
            (write_through(&tenant, &index, &documents, n).await?, write_raw(stack, &tenant, &documents, n).await?);
        if n >= 5 {
            through.push(one);
            direct.push(other);
        }
    }
    work.stop().await?;
    serve.stop().await?;
    let (value, limit) = (median(&through), median(&direct));
    Ok(vec![
        Row::rate("fresh", 1000.0 / value, 1000.0 / limit, "1/s")
            .note(format!("1 ÷ median time until found; limit: written to Typesense itself, {limit:.1} ms")),
        Row::bound("fresh_p50_ms", value, LIMIT_MS, "ms").note("ratio = limit ÷ value"),
        Row::bound("fresh_p99_ms", percentile(&through, 0.99), LIMIT_MS, "ms").note("ratio = limit ÷ value"),
        Row::plain("fresh_raw_p99_ms", percentile(&direct, 0.99), "ms"),
    ])
}

/// Milliseconds from the PUT until a search through `serve` finds it.
async fn write_through(tenant: &Tenant, index: &Index, documents: &Documents, n: usize) -> anyhow::Result<f64> {
    tokio::time::sleep(IDLE).await;
    let body = Bytes::from(documents.json(n));
    let search = Bytes::from(json!({ "q": "*", "filterBy": format!("id:={}", Documents::id(n)) }).to_string());
    let (put, find) = (index.path("documents"), index.path("search"));
    let began = Instant::now();
    tenant.api.write(Method::PUT, &put, body).await?;
    loop {
        let found: Value = serde_json::from_slice(&tenant.api.search(&find, search.clone()).await?)?;
        if found["found"] == 1 {
            return Ok(began.elapsed().as_secs_f64() * 1000.0);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The same without the gateway.
async fn write_raw(stack: &Stack, tenant: &Tenant, documents: &Documents, n: usize) -> anyhow::Result<f64> {
    tokio::time::sleep(IDLE).await;
    let line = Lines::new(&tenant.organization, &[documents.json(n)]).request();
    let filter = format!("{TENANT_FIELD}:={} && id:={}", tenant.organization, Documents::id(n));
    let search = json!({ "collection": RAW, "q": "*", "filter_by": filter });
    let began = Instant::now();
    stack.typesense.import(RAW, line).await?;
    while stack.typesense.search(&search).await?["found"] != 1 {
        tokio::time::sleep(LOOK).await;
    }
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}
