//! What sync jobs cost when none is due, and what a run costs that finds nothing changed, the more jobs there are.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Curves, idle};
use crate::{
    Scale,
    cpu::{Meter, Used},
    process::Process,
    report::Row,
    stack::Stack,
    sync::{Jobs, Source},
    tenant::Site,
};

/// Rows of the table that each job reads.
const ROWS: usize = 100;
/// Runs whose cost is taken at each size, at least.
const RUNS: usize = 20;
/// How often due jobs are looked for: more often than by default, so that few jobs take no hours.
const POLL_MS: &str = "1000";

pub(super) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let sizes: &[usize] = if scale.quick { &[1, 10, 100] } else { &[1, 10, 100, 1000] };
    let source = Source::fill(stack, ROWS).await?;
    let site = Site::open(stack, "growth_jobs").await?.with("ATHENA_TYPESENSE_SYNC_WORKER_POLL_MS", POLL_MS);
    let (serve, operator) = site.serve_operator().await?;
    let mut work = site.work()?;
    let jobs = Jobs::new(stack, operator, &source).await?;
    let mut watched = stack.watched();
    watched.extend([serve.watched(), work.watched()]);
    let mut idling = Curves::new("jobs_idle", "s/min");
    let mut costs = Curves::new("jobs", "ms/run");
    let mut made = 0;
    for size in sizes {
        for n in made..*size {
            jobs.make_of(&format!("growth_{n}"), json!({ "sync_interval_minutes": 1440 })).await?;
        }
        made = *size;
        // Each is due for the first time a day from now.
        sqlx::query("update public.typesense_sync_jobs set next_sync_at = now() where last_sync_status is null")
            .execute(&site.pool)
            .await?;
        wait_quiet(&site, &mut work).await?;
        let (idle, a_minute) = idle(watched.clone(), scale).await;
        idling.add_used(*size, &idle, a_minute);
        let rounds = RUNS.div_ceil(*size);
        let meter = Meter::start(watched.clone());
        let began = Instant::now();
        for _ in 0..rounds {
            sqlx::query("update public.typesense_sync_jobs set next_sync_at = now()").execute(&site.pool).await?;
            wait_quiet(&site, &mut work).await?;
        }
        // What the processes use without any run is not the runs'.
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        let used = meter
            .stop()
            .into_iter()
            .zip(&idle)
            .map(|(used, idle)| Used { seconds: (used.seconds - idle.seconds * a_minute * minutes).max(0.0), ..used });
        costs.add_used(*size, &used.collect::<Vec<_>>(), 1000.0 / (rounds * size) as f64);
    }
    work.stop().await?;
    serve.stop().await?;
    Ok([idling.rows(), costs.rows()].concat())
}

/// Waits until no job is due, and no run is under way; fails where one did not end well.
async fn wait_quiet(site: &Site<'_>, work: &mut Process) -> anyhow::Result<()> {
    let at_work = "select exists (select from public.typesense_sync_jobs where next_sync_at <= now() or last_sync_status is null)
                       or exists (select from public.typesense_sync_runs where status in ('queued', 'running', 'paused'))";
    while sqlx::query_scalar::<_, bool>(at_work).fetch_one(&site.pool).await? {
        work.check()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let fault: Option<String> = sqlx::query_scalar(
        "select coalesce(error, status) from public.typesense_sync_runs where status <> 'success' limit 1",
    )
    .fetch_optional(&site.pool)
    .await?;
    anyhow::ensure!(fault.is_none(), "a run did not end well: {fault:?}");
    Ok(())
}
