//! search: searches a second through `serve`; beside the same searches sent to Typesense itself.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tidewell::domain::{document::VERSION_FIELD, fields::searchable, filter};

use super::{
    Scale,
    accept::{BATCH, fill},
    cpu::{self, Meter},
    documents::{self, Documents},
    load::{self, Load},
    meaning,
    report::{Row, median, percentile, rounded},
    stack::Stack,
    tenant::{Index, Site, Tenant},
};

const CLIENTS: usize = 16;
const DOCUMENTS: usize = 20_000;

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let (rounds, count) = if scale.quick { (3, 1000) } else { (7, 4000) };
    let site = Site::open(stack, "search").await?;
    let (serve, tenant) = site.serve().await?;
    let documents = Documents::new();
    let texts: Vec<String> = (0..DOCUMENTS).map(|n| documents.json(n)).collect();
    let index = tenant.index("search", &documents::fields()).await?;
    let mut work = site.work()?;
    fill(&tenant, &index, &texts, BATCH).await?;
    site.wait_settled(&index, DOCUMENTS, &mut work).await?;
    work.stop().await?;
    let queries: Vec<String> = (0..count).map(|n| documents.query(n)).collect();
    let through = Through::new(&tenant, &index, &queries);
    let direct = Direct::new(stack, &tenant, &index, &queries)?;
    let (mut values, mut limits, mut used) = (vec![], vec![], vec![]);
    let (mut times, mut direct_times) = (vec![], vec![]);
    for round in 0..=rounds {
        let mut watched = stack.watched();
        watched.push(serve.watched());
        let meter = Meter::start(watched);
        let load = through.run().await?;
        let processors = meter.stop();
        let raw = direct.run().await?;
        eprintln!("  {} searches/s, direct {}", rounded(load.a_second(count)), rounded(raw.a_second(count)));
        if round > 0 {
            values.push(load.a_second(count));
            limits.push(raw.a_second(count));
            times.extend(load.latencies);
            direct_times.extend(raw.latencies);
            used.push(processors);
        }
    }
    let (alone, direct_alone) = in_turns(&through, &direct, count).await?;
    serve.stop().await?;
    let latency = |name: &str, part: f64| {
        Row::bound(name, percentile(&times, part), percentile(&direct_times, part), "ms").note("ratio = limit ÷ value")
    };
    let added = |name: &str, part: f64, limit: f64| {
        let added = percentile(&alone, part) - percentile(&direct_alone, part);
        Row::bound(name, added, limit, "ms").note("one client, the same search in turns through serve and at Typesense")
    };
    let limit = format!("/multi_search of Typesense; both {CLIENTS} clients, {DOCUMENTS} documents");
    let mut rows = vec![
        Row::rate("search", median(&values), median(&limits), "searches/s").note(limit),
        latency("search_p50_ms", 0.5),
        latency("search_p99_ms", 0.99),
        added("search_added_p50_ms", 0.5, 1.0),
        added("search_added_p99_ms", 0.99, 3.0),
    ];
    rows.extend(cpu::rows("search", &used, count));
    rows.extend(meaning::measure(stack, scale).await?);
    Ok(rows)
}

/// Milliseconds of each search through the gateway and at Typesense itself, one after the other, so that both see the same machine.
async fn in_turns(through: &Through, direct: &Direct, count: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let (mut times, mut direct_times) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for n in 0..count {
        let started = Instant::now();
        through.search(n).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        let started = Instant::now();
        direct.search(n).await?;
        direct_times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    Ok((times, direct_times))
}

/// Searches through the gateway.
#[derive(Clone)]
struct Through {
    tenant: Tenant,
    path: String,
    bodies: Arc<Vec<Bytes>>,
}

impl Through {
    fn new(tenant: &Tenant, index: &Index, queries: &[String]) -> Self {
        let bodies = queries.iter().map(|query| json!({ "q": query }).to_string().into());
        Self { tenant: tenant.clone(), path: index.path("search"), bodies: Arc::new(bodies.collect()) }
    }

    async fn search(&self, n: usize) -> anyhow::Result<()> {
        self.tenant.api.search(&self.path, self.bodies[n].clone()).await.map(drop)
    }

    async fn run(&self) -> anyhow::Result<Load> {
        let through = self.clone();
        load::run(CLIENTS, self.bodies.len(), move |n| {
            let through = through.clone();
            async move { through.search(n).await }
        })
        .await
    }
}

/// The searches that the gateway makes of them.
#[derive(Clone)]
struct Direct {
    typesense: super::raw::Typesense,
    bodies: Arc<Vec<Bytes>>,
}

impl Direct {
    fn new(stack: &Stack, tenant: &Tenant, index: &Index, queries: &[String]) -> anyhow::Result<Self> {
        let query_by = searchable(&documents::fields()).join(",");
        let confined = filter::confine([], tenant.organization.parse()?);
        let search = |query: &String| -> Value {
            json!({ "searches": [{
                "collection": index.alias, "q": query, "query_by": query_by, "page": 1, "per_page": 10,
                "filter_by": confined, "exclude_fields": VERSION_FIELD,
            }] })
        };
        let bodies = queries.iter().map(|query| search(query).to_string().into());
        Ok(Self { typesense: stack.typesense.clone(), bodies: Arc::new(bodies.collect()) })
    }

    async fn search(&self, n: usize) -> anyhow::Result<()> {
        self.typesense.multi_search(self.bodies[n].clone()).await.map(drop)
    }

    async fn run(&self) -> anyhow::Result<Load> {
        let direct = self.clone();
        load::run(CLIENTS, self.bodies.len(), move |n| {
            let direct = direct.clone();
            async move { direct.search(n).await }
        })
        .await
    }
}
