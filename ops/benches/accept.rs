//! accept: documents a second that `serve`, alone, makes durable; beside the same rows inserted by hand.

use std::sync::Arc;

use reqwest::Method;
use sqlx::PgPool;
use tidewell::domain::lane::lane_of;
use uuid::Uuid;

use super::{
    Scale,
    connection::batches,
    cpu::{self, Meter},
    documents::{self, Documents},
    load::{self, Load},
    report::{Row, median, percentile, rounded},
    stack::{self, Stack},
    tenant::{Index, Site, Tenant},
};

pub(crate) const CLIENTS: usize = 8;
pub(crate) const BATCH: usize = 100;

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let (rounds, count) = if scale.quick { (3, 20_000) } else { (7, 60_000) };
    let site = Site::open(stack, "accept").await?;
    let (serve, tenant) = site.serve().await?;
    let by_hand = ByHand::new(&site.url).await?;
    let documents = Documents::new();
    let (mut values, mut limits, mut latencies, mut used) = (vec![], vec![], vec![], vec![]);
    let mut used_by_hand = vec![];
    // One round more: what is done first is done before everything is warm.
    for round in 0..=rounds {
        let texts: Vec<String> = (0..count).map(|n| documents.json(n)).collect();
        let index = tenant.index(&format!("accept-{round}"), &documents::fields()).await?;
        let mut watched = stack.watched();
        watched.push(serve.watched());
        let meter = Meter::start(watched);
        let load = fill(&tenant, &index, &texts, BATCH).await?;
        let processors = meter.stop();
        let meter = Meter::start(stack.watched());
        let (value, limit) = (load.a_second(count), by_hand.insert(texts).await?.a_second(count));
        let processors_by_hand = meter.stop();
        eprintln!("  {} documents/s, by hand {}", rounded(value), rounded(limit));
        if round > 0 {
            values.push(value);
            limits.push(limit);
            latencies.extend(load.latencies);
            used.push(processors);
            used_by_hand.push(processors_by_hand);
        }
    }
    serve.stop().await?;
    let limit = format!("rows inserted by hand, {BATCH} a statement, {CLIENTS} connections");
    let mut rows = vec![
        Row::rate("accept", median(&values), median(&limits), "documents/s").note(limit),
        Row::plain("accept_p50_ms", percentile(&latencies, 0.5), "ms").note(format!("a request of {BATCH} documents")),
        Row::plain("accept_p99_ms", percentile(&latencies, 0.99), "ms"),
    ];
    rows.extend(cpu::rows("accept", &used, count));
    rows.extend(cpu::rows("accept_by_hand", &used_by_hand, count));
    Ok(rows)
}

/// Writes documents through `serve`.
pub(crate) async fn fill(tenant: &Tenant, index: &Index, texts: &[String], batch: usize) -> anyhow::Result<Load> {
    let bodies = Arc::new(batches(texts, batch));
    let (api, path, count) = (tenant.api.clone(), index.path("documents:batch"), bodies.len());
    load::run(CLIENTS, count, move |n| {
        let (api, path, body) = (api.clone(), path.clone(), bodies[n].clone());
        async move { api.write(Method::POST, &path, body).await }
    })
    .await
}

/// A table like the outbox, and the one statement that it takes to fill it.
struct ByHand(PgPool);

impl ByHand {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let pool = stack::pool(url, CLIENTS as u32).await?;
        sqlx::raw_sql(
            "create table public.by_hand (like tidewell.outbox including defaults including constraints including indexes)
             with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 1)",
        )
        .execute(&pool)
        .await?;
        Ok(Self(pool))
    }

    async fn insert(&self, texts: Vec<String>) -> anyhow::Result<Load> {
        let (texts, pool, index_id) = (Arc::new(texts), self.0.clone(), Uuid::now_v7());
        load::run(CLIENTS, texts.len() / BATCH, move |n| {
            let (texts, pool) = (texts.clone(), pool.clone());
            async move {
                let bodies = &texts[n * BATCH..(n + 1) * BATCH];
                let ids: Vec<String> = (n * BATCH..(n + 1) * BATCH).map(Documents::id).collect();
                let lanes: Vec<i16> = ids.iter().map(|id| lane_of(id)).collect();
                sqlx::query(
                    "insert into public.by_hand (index_id, lane, operation, document_id, job_id, body)
                     select $1, lane, 'upsert', document_id, $2, body
                     from unnest($3::smallint[], $4::text[], $5::text[]) as row (lane, document_id, body)",
                )
                .bind(index_id)
                .bind(Uuid::now_v7())
                .bind(lanes)
                .bind(ids)
                .bind(bodies)
                .execute(&pool)
                .await?;
                Ok(())
            }
        })
        .await
    }
}
