//! Runs as they are shown.

use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::db::sync::{
    job::Job,
    run::{self, Run},
};

use super::bar;
use crate::cli::{
    Session,
    output::{age, maybe, maybe_time, nothing, record, short, table, time, word},
    page::PageArgs,
};

/// As the API shows it.
pub(super) fn view(run: &Run) -> Value {
    let mut view = json!(run);
    view["run_id"] = json!(run.id);
    view["eta_seconds"] = json!(run.eta_seconds());
    view
}

pub(super) fn show(session: &Session, run: &Run) -> anyhow::Result<()> {
    session.show(&view(run), || {
        record([
            ("run", run.id.to_string()),
            ("status", word(run.status)),
            ("why", word(run.trigger_source)),
            ("rows", run.source_row_count.to_string()),
            ("imported", run.imported_count.to_string()),
            ("deleted", run.deleted_count.to_string()),
            ("failed", run.failed_count.to_string()),
            ("unchanged", run.unchanged_count.to_string()),
            ("error", maybe(run.error.as_ref())),
            ("started", maybe_time(run.started_at)),
            ("took", took(run)),
        ])
    })
}

pub(super) async fn list(session: &Session, pool: &PgPool, job: &Job, page: &PageArgs) -> anyhow::Result<()> {
    let rows = run::list(pool, job.id, page.cursor, page.reads()).await?;
    page.show(session, &rows, |row| row.id, view, runs)
}

fn runs(runs: &[Run]) -> String {
    let lines = runs.iter().map(|run| {
        let counts =
            [run.source_row_count, run.imported_count, run.deleted_count, run.failed_count, run.unchanged_count];
        let [rows, imported, deleted, failed, unchanged] = counts.map(|count| count.to_string());
        let note = match &run.error {
            Some(error) => short(error, 60),
            None if run.status.has_ended() => nothing(),
            None => bar::stage(run),
        };
        let (status, why, queued) = (word(run.status), word(run.trigger_source), time(run.queued_at));
        [run.id.to_string(), status, why, rows, imported, deleted, failed, unchanged, queued, took(run), note]
    });
    let numbers = ["rows", "imported", "deleted", "failed", "unchanged"];
    let [rows, imported, deleted, failed, unchanged] = numbers;
    table(
        ["run", "status", "why", rows, imported, deleted, failed, unchanged, "queued", "took", "note"],
        &numbers,
        lines,
    )
}

fn took(run: &Run) -> String {
    run.elapsed_ms.map_or_else(nothing, |millis| match millis {
        ..10_000 => format!("{:.1}s", millis as f64 / 1000.0),
        _ => age(millis as f64 / 1000.0),
    })
}
