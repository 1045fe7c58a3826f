//! `tidewell sync status`: how fresh each collection is, at a glance.

use serde_json::json;
use sqlx::PgPool;
use tidewell::db::sync::job::{self, Status};

use super::watch;
use crate::cli::{
    Session,
    output::{age, maybe, nothing, table},
    page::PageArgs,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on showing it, with a bar for each run under way, until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    pub(super) page: PageArgs,
}

pub(super) async fn run(session: &Session, pool: &PgPool, args: &Args) -> anyhow::Result<()> {
    if args.watch {
        return watch::watch(session, pool, &args.page).await;
    }
    show(session, pool, &args.page).await
}

pub(super) async fn show(session: &Session, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
    let rows = job::statuses(pool, page.cursor, page.reads()).await?;
    page.show(session, &rows, |row| row.id, |row| json!(row), text)
}

/// The table, and below it what is wrong with whom.
pub(super) fn text(jobs: &[Status]) -> String {
    if jobs.is_empty() {
        return "no sync jobs: `tidewell sync create --help` tells what one is made of".to_owned();
    }
    let lines = jobs.iter().map(|job| {
        [
            job.name.clone(),
            format!("{}/{}.{}", job.source_client_name, job.source_schema_name, job.source_table_name),
            job.collection_name.clone(),
            job.sync_health.clone(),
            job.seconds_since_sync.map_or_else(nothing, |seconds| format!("{} ago", age(seconds))),
            next(job),
            maybe(job.last_source_row_count),
            maybe(job.last_failed_count),
            active(job),
            job.live_lag_ms.map_or_else(nothing, |millis| format!("{:.1}s", millis as f64 / 1000.0)),
        ]
    });
    let numbers = ["rows", "failed"];
    let names = ["job", "table", "collection", "health", "synced", "next", numbers[0], numbers[1], "run", "lag (live)"];
    let faults = jobs.iter().filter_map(|job| {
        let error = match job.sync_health.as_str() {
            "failed" | "cancelled" => job.live_error.as_ref().or(job.last_sync_error.as_ref()),
            _ => job.live_error.as_ref(),
        };
        error.map(|error| format!("{}: {error}", job.name))
    });
    let faults: Vec<String> = faults.collect();
    let table = table(names, &numbers, lines);
    if faults.is_empty() { table } else { format!("{table}\n\n{}", faults.join("\n")) }
}

/// When the schedule comes next; a live job has none.
fn next(job: &Status) -> String {
    match job.seconds_until_sync {
        Some(seconds) if job.enabled && job.auto_sync_enabled && job.mode == "scheduled" => {
            if seconds > 0.0 {
                format!("in {}", age(seconds))
            } else {
                "due".to_owned()
            }
        }
        _ => nothing(),
    }
}

fn active(job: &Status) -> String {
    match (job.active_run_status.as_deref(), job.active_run_progress_pct) {
        (Some("running"), Some(progress)) => format!("{progress:.0}%"),
        (Some(status), _) => status.to_owned(),
        (None, _) => nothing(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn status() -> Status {
        Status {
            id: Uuid::nil(),
            name: "books".to_owned(),
            source_client_name: "shop".to_owned(),
            source_schema_name: "public".to_owned(),
            source_table_name: "books".to_owned(),
            typesense_profile_id: Uuid::nil(),
            profile_name: "search".to_owned(),
            collection_name: "all_books".to_owned(),
            sync_strategy: "upsert".to_owned(),
            mode: "scheduled".to_owned(),
            stale_after_minutes: 120,
            enabled: true,
            auto_sync_enabled: true,
            last_synced_at: None,
            next_sync_at: None,
            last_sync_status: Some("failed".to_owned()),
            last_sync_error: Some("the table has gone".to_owned()),
            last_source_row_count: Some(1200),
            last_imported_count: Some(1),
            last_deleted_count: Some(2),
            last_failed_count: Some(3),
            seconds_since_sync: Some(125.0),
            seconds_until_sync: Some(61.0),
            is_stale: false,
            sync_health: "failed".to_owned(),
            active_run_id: Some(Uuid::nil()),
            active_run_status: Some("running".to_owned()),
            active_run_progress_pct: Some(41.7),
            live_lag_bytes: None,
            live_lag_ms: None,
            live_error: None,
        }
    }

    #[test]
    fn a_job_is_one_line_and_its_trouble_another() {
        let shown = text(&[status()]);
        for expected in
            ["shop/public.books", "all_books", "2m 5s ago", "in 1m 1s", "1200", "42%", "books: the table has gone"]
        {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
        let well = Status { sync_health: "fresh".to_owned(), seconds_until_sync: Some(-1.0), ..status() };
        let shown = text(&[well]);
        assert!(shown.contains("due") && !shown.contains("the table has gone"), "{shown}");
        assert!(text(&[]).contains("tidewell sync create"));
    }

    #[test]
    fn a_schedule_that_is_not_followed_has_no_next_run() {
        for job in [
            Status { enabled: false, ..status() },
            Status { auto_sync_enabled: false, ..status() },
            Status { mode: "live".to_owned(), ..status() },
        ] {
            assert_eq!(next(&job), "-");
        }
    }
}
