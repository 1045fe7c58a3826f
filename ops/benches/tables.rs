//! tables: what it costs to keep accepted writes in an append-only outbox beside a record of what was projected (what Tidewell
//! does), or in one table of states whose unprojected rows are the queue.
//!
//! Statements alone, on tables without anything else to do: the door (8 connections × 100 rows), then claiming, settling and
//! vacuuming. The processor time is that of all of PostgreSQL's processes together, over the whole of it.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, PgPool};
use tidewell::domain::lane::{LANES, lane_of};
use uuid::Uuid;

use super::{
    Scale,
    accept::{BATCH, CLIENTS},
    cpu::Meter,
    documents::Documents,
    load,
    report::{Row, median, rounded},
    stack::{self, Stack},
};

/// Rows that are claimed and settled at one time.
const CLAIM: i64 = 500;
/// Lanes worked on side by side.
const WORKERS: usize = 4;

/// One way to keep accepted writes.
struct Design {
    name: &'static str,
    tables: &'static str,
    /// $1 an index; $2 rows that have been projected already, numbered from 0.
    seed: &'static str,
    /// $1 an index, $2 a job; then lanes, ids and bodies.
    accept: &'static str,
    /// $1 an index, $2 a lane, $3 how many; gives versions, ids and bodies.
    claim: &'static str,
    /// $1 an index, $2 a lane, $3 versions, $4 ids.
    settle: &'static str,
    vacuum: &'static str,
}

static DESIGNS: [Design; 2] = [
    Design {
        name: "outbox",
        tables: "create table bench.outbox (like tidewell.outbox including defaults including constraints including indexes)
                     with (autovacuum_enabled = off);
                 create table bench.record (like tidewell.documents including defaults including constraints including indexes)
                     with (autovacuum_enabled = off);",
        seed: "insert into bench.record (index_id, document_id, version, accepted_version, body)
               select $1, 'doc-' || lpad(n::text, 8, '0'), n + 1, n + 1, repeat(md5(n::text), 31)
               from generate_series(0, $2 - 1) as n",
        accept: "insert into bench.outbox (index_id, lane, operation, document_id, job_id, body)
                 select $1, lane, 'upsert', document_id, $2, body
                 from unnest($3::smallint[], $4::text[], $5::text[]) as row (lane, document_id, body)",
        claim: "select outbox.version, outbox.document_id, outbox.body
                from bench.outbox left join bench.record using (index_id, document_id)
                where index_id = $1 and lane = $2 and not retrying
                order by outbox.version limit $3",
        settle: "with projected as (
                     delete from bench.outbox where index_id = $1 and lane = $2 and not retrying and version = any($3)
                     returning document_id, version, body
                 )
                 insert into bench.record (index_id, document_id, version, accepted_version, body)
                 select distinct on (document_id) $1, document_id, version, version, body
                 from projected where document_id = any($4) order by document_id, version desc
                 on conflict (index_id, document_id) do update
                 set version = excluded.version, body = excluded.body,
                     accepted_version = greatest(record.accepted_version, excluded.version)
                 where record.version < excluded.version",
        vacuum: "vacuum bench.outbox, bench.record",
    },
    Design {
        name: "state",
        tables: "create table bench.state (
                     index_id uuid not null,
                     document_id text collate \"C\" not null,
                     lane smallint not null,
                     version bigint not null default nextval('tidewell.versions'),
                     projected_version bigint not null default 0,
                     operation tidewell.operation not null,
                     job_id uuid,
                     body text,
                     projected_body text,
                     attempts smallint not null default 0,
                     next_retry_at timestamptz,
                     primary key (index_id, document_id)
                 ) with (autovacuum_enabled = off);
                 create index state_queue on bench.state (index_id, lane, version) where version > projected_version;",
        seed: "insert into bench.state (index_id, document_id, lane, version, projected_version, operation, body)
               select $1, 'doc-' || lpad(n::text, 8, '0'), 0, n + 1, n + 1, 'upsert', repeat(md5(n::text), 31)
               from generate_series(0, $2 - 1) as n",
        accept: "insert into bench.state (index_id, document_id, lane, operation, job_id, body)
                 select $1, document_id, lane, 'upsert', $2, body
                 from unnest($3::smallint[], $4::text[], $5::text[]) as row (lane, document_id, body)
                 order by document_id
                 on conflict (index_id, document_id) do update
                 set version = excluded.version, operation = excluded.operation, job_id = excluded.job_id,
                     lane = excluded.lane, body = excluded.body, attempts = 0, next_retry_at = null,
                     projected_body = case state.version when state.projected_version then state.body
                                      else state.projected_body end",
        claim: "select version, document_id, body from bench.state
                where index_id = $1 and lane = $2 and version > projected_version
                order by version limit $3",
        settle: "update bench.state set projected_version = done.version, projected_body = null
                 from unnest($3::bigint[], $4::text[]) as done (version, document_id)
                 where index_id = $1 and state.document_id = done.document_id and state.version = done.version
                   and $2::smallint is not null",
        vacuum: "vacuum bench.state",
    },
];

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let (seeded, count, rounds) = if scale.quick { (200_000, 20_000, 1) } else { (1_000_000, 40_000, 3) };
    let site = super::tenant::Site::open(stack, "tables").await?;
    let pool = stack::pool(&site.url, CLIENTS as u32).await?;
    let documents = Documents::new();
    let mut rows = Vec::new();
    for existing in [0, seeded] {
        for design in &DESIGNS {
            sqlx::raw_sql("drop schema if exists bench cascade; create schema bench").execute(&pool).await?;
            sqlx::raw_sql(design.tables).execute(&pool).await?;
            let bench = Bench { stack, design, pool: pool.clone(), index_id: Uuid::now_v7() };
            if existing > 0 {
                sqlx::query(design.seed).bind(bench.index_id).bind(existing as i64).execute(&pool).await?;
                sqlx::raw_sql(AssertSqlSafe(design.vacuum)).execute(&pool).await?;
            }
            let (mut fresh, mut updates) = (vec![], vec![]);
            for round in 0..rounds {
                let first = existing + round * count;
                let new: Vec<usize> = (first..first + count).collect();
                fresh.push(bench.cycle(&documents, &new).await?);
                // All over what is there, each once; the factor has nothing in common with these numbers.
                let there = first + count;
                let old: Vec<usize> = (0..count).map(|n| n * 7_919 % there).collect();
                updates.push(bench.cycle(&documents, &old).await?);
            }
            let name = format!("tables_{}_{}", design.name, if existing == 0 { "empty" } else { "full" });
            rows.extend(figures(&format!("{name}_new"), &fresh, existing));
            rows.extend(figures(&format!("{name}_updates"), &updates, existing));
        }
    }
    Ok(rows)
}

fn figures(name: &str, cycles: &[Cycle], existing: usize) -> Vec<Row> {
    let of = |figure: fn(&Cycle) -> f64| median(&cycles.iter().map(figure).collect::<Vec<_>>());
    let note = format!("with {existing} documents there already");
    eprintln!("  {name}: {} rows/s at the door, {:.0} ms/1000", rounded(of(|c| c.door)), of(|c| c.cpu));
    vec![
        Row::plain(&format!("{name}_door"), of(|cycle| cycle.door), "rows/s").note(&note),
        Row::plain(&format!("{name}_settle"), of(|cycle| cycle.settle), "rows/s")
            .note("claimed and settled, and vacuumed after"),
        Row::plain(&format!("{name}_door_cpu"), of(|cycle| cycle.door_cpu), "ms/1000")
            .note("PostgreSQL's, at the door"),
        Row::plain(&format!("{name}_cpu"), of(|cycle| cycle.cpu), "ms/1000").note("PostgreSQL's, all of it"),
    ]
}

/// What one cycle was like.
struct Cycle {
    /// Rows a second.
    door: f64,
    settle: f64,
    /// Milliseconds a thousand rows.
    door_cpu: f64,
    cpu: f64,
}

struct Bench<'a> {
    stack: &'a Stack,
    design: &'static Design,
    pool: PgPool,
    index_id: Uuid,
}

impl Bench<'_> {
    async fn cycle(&self, documents: &Documents, numbers: &[usize]) -> anyhow::Result<Cycle> {
        let rows: Vec<(String, String)> = numbers.iter().map(|n| (Documents::id(*n), documents.json(*n))).collect();
        sqlx::raw_sql("checkpoint").execute(&self.pool).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (whole, door) = (Meter::start(self.stack.watched()), Meter::start(self.stack.watched()));
        let accepted = self.accept(rows).await?;
        let door = door.stop();
        let settled = self.settle().await?;
        sqlx::raw_sql(AssertSqlSafe(self.design.vacuum)).execute(&self.pool).await?;
        let whole = whole.stop();
        let postgres = |used: &[super::cpu::Used]| {
            let used = used.iter().find(|used| used.name == "postgres");
            used.map_or(f64::NAN, |used| used.seconds * 1e6 / numbers.len() as f64)
        };
        Ok(Cycle {
            door: accepted.a_second(numbers.len()),
            settle: settled.a_second(numbers.len()),
            door_cpu: postgres(&door),
            cpu: postgres(&whole),
        })
    }

    async fn accept(&self, rows: Vec<(String, String)>) -> anyhow::Result<load::Load> {
        let (rows, pool, index_id, accept) = (Arc::new(rows), self.pool.clone(), self.index_id, self.design.accept);
        load::run(CLIENTS, rows.len() / BATCH, move |n| {
            let (rows, pool) = (rows.clone(), pool.clone());
            async move {
                let rows = &rows[n * BATCH..(n + 1) * BATCH];
                sqlx::query(accept)
                    .bind(index_id)
                    .bind(Uuid::now_v7())
                    .bind(rows.iter().map(|(id, _)| lane_of(id)).collect::<Vec<_>>())
                    .bind(rows.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
                    .bind(rows.iter().map(|(_, body)| body.as_str()).collect::<Vec<_>>())
                    .execute(&pool)
                    .await?;
                Ok(())
            }
        })
        .await
    }

    /// Claims and settles everything, lane by lane.
    async fn settle(&self) -> anyhow::Result<load::Load> {
        let (pool, index_id, design) = (self.pool.clone(), self.index_id, self.design);
        load::run(WORKERS, LANES as usize, move |lane| {
            let pool = pool.clone();
            async move {
                let lane = i16::try_from(lane)?;
                loop {
                    let claimed: Vec<(i64, String, String)> =
                        sqlx::query_as(design.claim).bind(index_id).bind(lane).bind(CLAIM).fetch_all(&pool).await?;
                    if claimed.is_empty() {
                        return Ok(());
                    }
                    sqlx::query(design.settle)
                        .bind(index_id)
                        .bind(lane)
                        .bind(claimed.iter().map(|(version, ..)| *version).collect::<Vec<_>>())
                        .bind(claimed.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>())
                        .execute(&pool)
                        .await?;
                }
            }
        })
        .await
    }
}
