//! How fresh sync jobs are, as `/metrics` and `tidewell status` tell it, and what is kept of their runs.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::db::prune::{Keep, prune};

use crate::support::{
    process,
    stack::{Setting, Stack},
    sync_job::SyncJob,
};

/// Jobs of four kinds, the fresh one live and the failed one at work.
async fn jobs(pool: &PgPool) {
    let fresh = SyncJob::make(pool, "fresh", &[]).await;
    let failed = SyncJob::make(pool, "failed \"one\"", &["1", "2"]).await;
    SyncJob::without_collection(pool, "never", &[]).await;
    let disabled = SyncJob::make(pool, "disabled", &[]).await;
    let synced = "update public.typesense_sync_jobs
                  set last_sync_status = 'success', last_synced_at = now() - interval '1 minute', last_failed_count = 0 where id = $1";
    fresh.set(pool, synced).await;
    fresh
        .set(pool, "update tidewell.sync_states set live_lag_bytes = 4096, live_lag_ms = 1500 where job_id = $1")
        .await;
    let overdue = "update public.typesense_sync_jobs
                   set last_sync_status = 'failed', last_synced_at = now() - interval '1 day', last_failed_count = 2 where id = $1";
    failed.set(pool, overdue).await;
    let run = "insert into public.typesense_sync_runs (job_id, status, trigger_source, progress_pct)
               values ($1, 'running', 'schedule', 12.5)";
    failed.set(pool, run).await;
    let off =
        "update public.typesense_sync_jobs set enabled = false, created_at = now() - interval '1 year' where id = $1";
    disabled.set(pool, off).await;
}

#[tokio::test]
async fn each_jobs_freshness_can_be_scraped() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    jobs(&stack.setting.pool().await).await;
    let metrics = stack.operator().get("/metrics").await.body;
    let metrics = metrics.as_str().expect("text");
    let value = |series: &str| -> Option<f64> {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a number"))
    };
    let failed = r#"{sync_job="failed \"one\""}"#;
    assert!((60.0..90.0).contains(&value(r#"tidewell_sync_age_seconds{sync_job="fresh"}"#).expect("an age")));
    assert_eq!(value(r#"tidewell_sync_age_seconds{sync_job="never"}"#), None);
    for (job, stale) in [
        (r#"{sync_job="fresh"}"#, 0.0),
        (failed, 1.0),
        (r#"{sync_job="never"}"#, 1.0),
        (r#"{sync_job="disabled"}"#, 0.0),
    ] {
        assert_eq!(value(&format!("tidewell_sync_stale{job}")), Some(stale), "{job}");
    }
    for (job, health) in
        [("fresh", "fresh"), (r#"failed \"one\""#, "failed"), ("never", "never_synced"), ("disabled", "disabled")]
    {
        let is = |health: &str| value(&format!(r#"tidewell_sync_health{{sync_job="{job}",health="{health}"}}"#));
        assert_eq!((is(health), is("cancelled")), (Some(1.0), Some(0.0)), "{job}");
    }
    let oldest = value("tidewell_sync_oldest_unsynced_age_seconds").expect("an age");
    assert!((86_400.0..90_000.0).contains(&oldest), "the disabled job is older, and does not count: {oldest}");
    for (series, expected) in [
        (format!("tidewell_sync_failed_rows{failed}"), Some(2.0)),
        (format!("tidewell_sync_dead_letters{failed}"), Some(2.0)),
        (format!("tidewell_sync_run_progress_pct{failed}"), Some(12.5)),
        (r#"tidewell_sync_run_progress_pct{sync_job="fresh"}"#.to_owned(), None),
        (r#"tidewell_sync_failed_rows{sync_job="never"}"#.to_owned(), None),
        (r#"tidewell_sync_live_lag_bytes{sync_job="fresh"}"#.to_owned(), Some(4096.0)),
        (r#"tidewell_sync_live_lag_seconds{sync_job="fresh"}"#.to_owned(), Some(1.5)),
    ] {
        assert_eq!(value(&series), expected, "{series}");
    }
}

#[tokio::test]
async fn the_status_sums_sync_jobs_up() {
    let setting = Setting::fresh().await;
    setting.migrate();
    let said = |arguments: &[&str]| {
        let output = process::run(arguments, &setting.variables());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(!said(&["status"]).contains("sync"), "where there are no sync jobs, none are told of");
    jobs(&setting.pool().await).await;
    let line = "sync jobs: 4 (1 fresh, 1 failed, 1 never synced, 1 disabled), the oldest without a good run for 1d 0h: \
                see `tidewell sync status`";
    let text = said(&["status"]);
    assert!(text.contains(line), "{text}");
    let status: Value = serde_json::from_str(&said(&["status", "--json"])).expect("JSON");
    let failed = status["syncs"].as_array().expect("jobs").iter().find(|sync| sync["health"] == "failed");
    let failed = failed.expect("the failed one");
    assert_eq!((&failed["deadLetters"], &failed["failedRows"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn runs_that_ended_long_ago_are_pruned() {
    let setting = Setting::fresh().await;
    setting.migrate();
    let pool = setting.pool().await;
    let books = SyncJob::make(&pool, "books", &[]).await;
    for run in [
        "insert into public.typesense_sync_runs (job_id, status, trigger_source, finished_at)
         values ($1, 'success', 'manual', now() - interval '2 hours')",
        "insert into public.typesense_sync_runs (job_id, status, trigger_source, finished_at)
         values ($1, 'failed', 'manual', now())",
        "insert into public.typesense_sync_runs (job_id, status, trigger_source, queued_at)
         values ($1, 'paused', 'manual', now() - interval '2 hours')",
    ] {
        books.set(&pool, run).await;
    }
    let hour = Duration::from_secs(3600);
    prune(&pool, Keep { jobs: hour, tombstones: hour, acts: hour, sync_runs: hour, embeddings: 0 })
        .await
        .expect("pruned");
    let mut left: Vec<_> = books.runs(&pool).await.into_iter().map(|(status, _)| status).collect();
    left.sort();
    assert_eq!(left, ["failed", "paused"]);
}
