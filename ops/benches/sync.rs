//! sync: rows a second that a first run brings from a table into Typesense, beside a `copy` that is piped into imports; what a second
//! run costs, and how much memory a million rows need.

use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::mpsc;

use super::{
    Scale,
    connection::Connection,
    cpu::{self, Meter},
    documents::{self, Documents},
    process::Process,
    raw::{Settings, Typesense},
    report::{Row, median, percentile, rounded},
    stack::{self, Stack},
    tenant::Site,
};

const LINES: [usize; 2] = [250, 1000];
const CONNECTIONS: [usize; 2] = [2, 4];
/// Rows that one statement inserts.
const AT_ONCE: usize = 5000;
/// A run with nothing to do takes so much of the first at most.
const UNCHANGED_PART: f64 = 0.1;
const MEMORY_MB: f64 = 200.0;

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let (rounds, count) = if scale.quick { (2, 20_000) } else { (3, 100_000) };
    let source = Source::fill(stack, count).await?;
    let settings = sweep(stack, &source).await?;
    let site = Site::open(stack, "sync").await?;
    let (serve, operator) = site.serve_operator().await?;
    let mut work = site.work()?;
    let jobs = Jobs::new(stack, operator, &source).await?;
    let (mut limits, mut firsts, mut unchanged, mut parts, mut used) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        let limit = source.piped(&stack.typesense, settings).await?;
        eprintln!("  raw, {settings}: {} rows/s", rounded(limit));
        limits.push(limit);
        let job = jobs.make(round).await?;
        let mut watched = stack.watched();
        watched.push(work.watched());
        let meter = Meter::start(watched);
        let first = jobs.run(&job, count, &mut work).await?;
        used.push(meter.stop());
        let second = jobs.run(&job, 0, &mut work).await?;
        let rate = count as f64 / first.as_secs_f64();
        eprintln!("  {} rows/s; unchanged: {:.2} s", rounded(rate), second.as_secs_f64());
        firsts.push(rate);
        unchanged.push(second.as_secs_f64());
        parts.push(first.as_secs_f64() * UNCHANGED_PART);
        if round + 1 == rounds {
            source.change().await?;
            jobs.run(&job, 1500, &mut work).await?;
        }
        jobs.drop_collection(&job).await?;
    }
    let note = format!("{count} rows; limit: a copy piped into imports of {settings}");
    let mut rows = vec![Row::rate("sync", median(&firsts), median(&limits), "rows/s").note(note)];
    rows.push(
        Row::bound("sync_unchanged", median(&unchanged), median(&parts), "s")
            .note("nothing has changed; limit: a tenth of the first run"),
    );
    rows.extend(cpu::rows("sync", &used, count));
    rows.extend(live(&jobs, &source, if scale.quick { 20 } else { 100 }).await?);
    rows.push(Row::bound("sync_peak", work.peak_mb()?, MEMORY_MB, "MB").note(format!("work, {count} rows")));
    work.stop().await?;
    serve.stop().await?;
    if !scale.quick && !scale.one_of_many {
        stack.tidy().await?;
        rows.push(million(stack).await?);
    }
    Ok(rows)
}

/// How long a committed change takes until it is found, one after the other, of a job that follows its table.
async fn live(jobs: &Jobs, source: &Source, changes: usize) -> anyhow::Result<Vec<Row>> {
    const LIMIT_MS: f64 = 1000.0;
    let job = jobs.make_of("live", json!({ "mode": "live" })).await?;
    let collection = job["collection_name"].as_str().unwrap_or_default();
    jobs.wait_followed(&job).await?;
    let mut took = Vec::with_capacity(changes);
    for n in 0..changes {
        let (id, price) = (2 + n as i64, 1_000_000.0 + n as f64);
        sqlx::query("update products set price = $2 where id = $1").bind(id).bind(price).execute(&source.pool).await?;
        let committed = Instant::now();
        while jobs.typesense.document(collection, &id.to_string()).await?["price"].as_f64() != Some(price) {
            if committed.elapsed() > Duration::from_secs(30) {
                bail!("a change did not arrive within 30 s");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(committed.elapsed().as_secs_f64() * 1000.0);
    }
    jobs.drop_collection(&job).await?;
    let row = |name: &str, part: f64| Row::bound(name, percentile(&took, part), LIMIT_MS, "ms");
    let note = format!("{changes} changes, from the commit until Typesense gives the new document");
    Ok(vec![row("sync_live", 0.5).note(note), row("sync_live_p99", 0.99)])
}

/// A table of a million rows, once.
async fn million(stack: &Stack) -> anyhow::Result<Row> {
    const ROWS: usize = 1_000_000;
    let source = Source::fill(stack, ROWS).await?;
    let site = Site::open(stack, "sync_million").await?;
    let (serve, operator) = site.serve_operator().await?;
    let mut work = site.work()?;
    let jobs = Jobs::new(stack, operator, &source).await?;
    let job = jobs.make(0).await?;
    let first = jobs.run(&job, ROWS, &mut work).await?;
    let second = jobs.run(&job, 0, &mut work).await?;
    let note =
        format!("work, {ROWS} rows in {:.0} s, then unchanged in {:.1} s", first.as_secs_f64(), second.as_secs_f64());
    let row = Row::bound("sync_peak_million", work.peak_mb()?, MEMORY_MB, "MB").note(note);
    jobs.drop_collection(&job).await?;
    work.stop().await?;
    serve.stop().await?;
    Ok(row)
}

/// The best way to pipe a copy into imports on this machine.
async fn sweep(stack: &Stack, source: &Source) -> anyhow::Result<Settings> {
    let mut best = (0.0, Settings { lines: LINES[0], connections: CONNECTIONS[0] });
    for connections in CONNECTIONS {
        for lines in LINES {
            let settings = Settings { lines, connections };
            let rate = source.piped(&stack.typesense, settings).await?;
            eprintln!("  raw, {settings}: {} rows/s", rounded(rate));
            if rate > best.0 {
                best = (rate, settings);
            }
        }
    }
    Ok(best.1)
}

/// A table in a database of its own.
pub(crate) struct Source {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
    rows: usize,
}

impl Source {
    pub(crate) async fn fill(stack: &Stack, rows: usize) -> anyhow::Result<Self> {
        let url = stack.database("source").await?;
        let pool = stack::pool(&url, 2).await?;
        sqlx::raw_sql(
            "create table products (id bigint primary key, title text not null, description text not null, category text not null,
                                    price double precision not null, created bigint not null)",
        )
        .execute(&pool)
        .await?;
        let documents = Documents::new();
        for from in (0..rows).step_by(AT_ONCE) {
            let batch: Vec<String> = (from..rows.min(from + AT_ONCE)).map(|n| documents.json(n)).collect();
            sqlx::query(
                "insert into products
                 select $2 + row_number() over (), title, description, category, price, created
                 from jsonb_to_recordset($1::jsonb)
                      as row (title text, description text, category text, price double precision, created bigint)",
            )
            .bind(format!("[{}]", batch.join(",")))
            .bind(from as i64)
            .execute(&pool)
            .await?;
        }
        for statement in ["vacuum analyze products", "checkpoint"] {
            sqlx::raw_sql(statement).execute(&pool).await?;
        }
        Ok(Self { url, pool, rows })
    }

    /// Rows a second that go from a copy into a new collection.
    async fn piped(&self, typesense: &Typesense, settings: Settings) -> anyhow::Result<f64> {
        const NAME: &str = "tidewell_bench_piped";
        typesense.delete(NAME).await?;
        typesense.create_plain(NAME, &documents::fields()).await?;
        let began = Instant::now();
        let (send, receive) = async_channel(settings.connections);
        let mut importing = tokio::task::JoinSet::new();
        for _ in 0..settings.connections {
            let (typesense, receive) = (typesense.clone(), receive.clone());
            importing.spawn(async move {
                while let Some(lines) = receive.lock().await.recv().await {
                    typesense.import(NAME, lines).await?;
                }
                anyhow::Ok(())
            });
        }
        let mut conn = PgConnection::connect(&self.url).await?;
        {
            // By a format that leaves JSON as it is: no text of these rows holds these characters.
            let copy = "copy (select json_build_object('id', id::text, 'title', title, 'description', description,
                                     'category', category, 'price', price, 'created', created) from products order by id)
                        to stdout with (format csv, quote e'\\x01', delimiter e'\\x02')";
            let mut rows = conn.copy_out_raw(copy).await?;
            let (mut lines, mut held) = (Vec::new(), 0);
            while let Some(row) = rows.try_next().await? {
                lines.extend_from_slice(&row);
                held += row.iter().filter(|byte| **byte == b'\n').count();
                if held >= settings.lines {
                    send.send(Bytes::from(std::mem::take(&mut lines))).await?;
                    held = 0;
                }
            }
            if !lines.is_empty() {
                send.send(Bytes::from(lines)).await?;
            }
        }
        drop(send);
        while let Some(ended) = importing.join_next().await {
            ended??;
        }
        let rate = self.rows as f64 / began.elapsed().as_secs_f64();
        conn.close().await?;
        typesense.delete(NAME).await?;
        Ok(rate)
    }

    /// A thousand rows are changed, 500 come, 500 go.
    async fn change(&self) -> anyhow::Result<()> {
        let step = self.rows as i64 / 1000;
        sqlx::query("update products set price = price + 1 where id % $1 = 0").bind(step).execute(&self.pool).await?;
        sqlx::query("delete from products where id % ($1 * 2) = 1").bind(step).execute(&self.pool).await?;
        sqlx::query(
            "insert into products select -id, title, description, category, price, created from products where id % $1 = 0 limit 500",
        )
        .bind(step)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// Batches for several importers, no more waiting than there are of them.
fn async_channel(waiting: usize) -> (mpsc::Sender<Bytes>, std::sync::Arc<tokio::sync::Mutex<mpsc::Receiver<Bytes>>>) {
    let (send, receive) = mpsc::channel(waiting);
    (send, std::sync::Arc::new(tokio::sync::Mutex::new(receive)))
}

/// Sync jobs from the source into the bench's Typesense.
pub(crate) struct Jobs {
    pub(crate) operator: Connection,
    profile_id: Value,
    pub(crate) typesense: Typesense,
}

impl Jobs {
    pub(crate) async fn new(stack: &Stack, operator: Connection, source: &Source) -> anyhow::Result<Self> {
        let typesense = stack.typesense.clone();
        let url = source.url.clone();
        operator.post("/v1/clients", &json!({ "name": "bench", "url": url })).await?;
        let backend = json!({ "name": "bench", "base_url": typesense.url, "api_key": typesense.key });
        let backend = operator.post("/typesense/backends", &backend).await?;
        Ok(Self { operator, profile_id: backend["data"]["id"].clone(), typesense })
    }

    async fn make(&self, round: usize) -> anyhow::Result<Value> {
        self.make_of(&round.to_string(), json!({})).await
    }

    /// `more` adds to the job's properties.
    pub(crate) async fn make_of(&self, what: &str, more: Value) -> anyhow::Result<Value> {
        let name = format!("tidewell_bench_sync_{}_{what}", std::process::id());
        self.typesense.remember(&name);
        self.typesense.remember(&format!("{name}_v1"));
        let mut job = json!({ "name": name, "source_client_name": "bench", "source_table_name": "products",
                              "typesense_profile_id": self.profile_id, "collection_name": name, "document_id_column": "id",
                              "facet_by_fields": ["category"] });
        if let (Some(job), Some(more)) = (job.as_object_mut(), more.as_object()) {
            job.extend(more.clone());
        }
        Ok(self.operator.post("/typesense/sync-jobs", &job).await?["data"].clone())
    }

    /// Waits until a live job follows its table.
    async fn wait_followed(&self, job: &Value) -> anyhow::Result<()> {
        loop {
            let all: Value = serde_json::from_slice(&self.operator.get("/typesense/sync-job-status").await?)?;
            let jobs = all["data"]["items"].as_array().into_iter().flatten();
            if jobs.into_iter().any(|status| status["id"] == job["id"] && status["live_lag_ms"].is_number()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs a job; how long that took by its own account. It must have imported so many rows.
    async fn run(&self, job: &Value, imports: usize, work: &mut Process) -> anyhow::Result<Duration> {
        let ended = self.begin(job, true).await?;
        work.check()?;
        let run = &ended["data"];
        if run["status"] != "success" || run["imported_count"] != imports {
            bail!("not the run that was expected: {run}");
        }
        Ok(Duration::from_millis(run["elapsed_ms"].as_u64().unwrap_or_default()))
    }

    /// Asks for a run, and waits until it has ended where `wait` says so; the answer.
    pub(crate) async fn begin(&self, job: &Value, wait: bool) -> anyhow::Result<Value> {
        let path = format!("/typesense/sync-jobs/{}/run?wait={wait}", job["id"].as_str().unwrap_or_default());
        Ok(serde_json::from_slice(&self.operator.run(&path).await?)?)
    }

    async fn drop_collection(&self, job: &Value) -> anyhow::Result<()> {
        let name = job["collection_name"].as_str().unwrap_or_default();
        self.typesense.delete(&format!("{name}_v1")).await?;
        self.typesense.delete(name).await
    }
}
