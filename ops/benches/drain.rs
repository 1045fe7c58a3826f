//! drain: documents a second that `work` brings into Typesense; beside the best raw import of the same lines.

use std::time::{Duration, Instant};

use super::{
    Scale,
    accept::{BATCH, fill},
    cpu::{self, Meter, Used},
    documents::{self, Documents},
    raw::{Lines, Settings},
    report::{Row, median, rounded},
    stack::Stack,
    tenant::{Index, Site},
};

const LINES: [usize; 3] = [250, 500, 1000];
const CONNECTIONS: [usize; 3] = [1, 2, 4];

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let (rounds, count) = if scale.quick { (3, 15_000) } else { (5, 60_000) };
    let site = Site::open(stack, "drain").await?;
    let (serve, tenant) = site.serve().await?;
    let documents = Documents::new();
    let texts: Vec<String> = (0..count).map(|n| documents.json(n)).collect();
    let lines = Lines::new(&tenant.organization, &texts);
    let fields = documents::fields();
    let candidates = sweep(stack, &lines.first(count.min(20_000))).await?;
    let (mut values, mut used, mut used_raw) = (vec![], vec![], vec![]);
    let mut limits = vec![vec![]; candidates.len()];
    for round in 0..rounds {
        for (candidate, rates) in candidates.iter().zip(&mut limits) {
            let meter = Meter::start(stack.watched());
            let rate = stack.typesense.import_rate(&fields, &lines, *candidate).await?;
            used_raw.push(meter.stop());
            eprintln!("  raw, {candidate}: {} documents/s", rounded(rate));
            rates.push(rate);
        }
        let index = tenant.index(&format!("drain-{round}"), &fields).await?;
        fill(&tenant, &index, &texts, BATCH).await?;
        sqlx::raw_sql("checkpoint").execute(&site.pool).await?;
        let (value, processors) = drain(stack, &site, &index, count).await?;
        eprintln!("  {} documents/s", rounded(value));
        values.push(value);
        used.push(processors);
        stack.typesense.delete(&index.alias).await?;
    }
    serve.stop().await?;
    let best = limits.iter().zip(&candidates).map(|(rates, settings)| (median(rates), *settings));
    let (limit, settings) = best.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NAN, candidates[0]));
    let mut rows =
        vec![Row::rate("drain", median(&values), limit, "documents/s").note(format!("best raw import: {settings}"))];
    rows.extend(cpu::rows("drain", &used, count));
    rows.extend(cpu::rows("drain_raw", &used_raw, count));
    Ok(rows)
}

/// The two best settings for this machine.
async fn sweep(stack: &Stack, lines: &Lines) -> anyhow::Result<[Settings; 2]> {
    let mut rates = Vec::new();
    for connections in CONNECTIONS {
        for lines_a_request in LINES {
            let settings = Settings { lines: lines_a_request, connections };
            let rate = stack.typesense.import_rate(&documents::fields(), lines, settings).await?;
            eprintln!("  raw, {settings}: {} documents/s", rounded(rate));
            rates.push((rate, settings));
        }
    }
    rates.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok([rates[0].1, rates[1].1])
}

/// Starts `work` on a full outbox; documents a second from the first settled row to the last.
async fn drain(stack: &Stack, site: &Site<'_>, index: &Index, count: usize) -> anyhow::Result<(f64, Vec<Used>)> {
    let mut work = site.work()?;
    let mut first = site.settled(index).await?;
    while first == 0 {
        work.check()?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        first = site.settled(index).await?;
    }
    let began = Instant::now();
    let mut watched = stack.watched();
    watched.push(work.watched());
    let meter = Meter::start(watched);
    site.wait_settled(index, count, &mut work).await?;
    let rate = (count - first as usize) as f64 / began.elapsed().as_secs_f64();
    let used = meter.stop();
    work.stop().await?;
    Ok((rate, used))
}
