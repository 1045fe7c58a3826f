//! `tidewell job`.

use std::time::Duration;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::db::{
    self,
    job::{Failure, Job, Listing, Status},
};
use uuid::Uuid;

use super::{
    Session, index, organization,
    output::{maybe, maybe_time, nothing, record, short, table, time},
    page::PageArgs,
    reindex,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List jobs, newest first
    List {
        /// Of one organization: its id or slug
        #[arg(long)]
        org: Option<String>,
        /// Of one index: its id or slug
        #[arg(long)]
        index: Option<String>,
        /// Of one status
        #[arg(long, value_enum)]
        status: Option<StatusArg>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a job with its first failures
    Show {
        /// The jobId of the answer to the request
        job: Uuid,
        /// Wait until it has ended, for so many seconds at most
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "300")]
        wait: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StatusArg {
    Queued,
    Running,
    Succeeded,
    Partial,
    Failed,
}

impl From<StatusArg> for Status {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Queued => Self::Queued,
            StatusArg::Running => Self::Running,
            StatusArg::Succeeded => Self::Succeeded,
            StatusArg::Partial => Self::Partial,
            StatusArg::Failed => Self::Failed,
        }
    }
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    let pool = session.database().await?;
    match command {
        Command::List { org, index, status, page } => {
            let organization_id = match org {
                Some(name) => Some(organization::find(&pool, name).await?.id),
                None => None,
            };
            let index_id = match index {
                Some(name) => Some(index::find(&pool, org.as_deref(), name).await?.id),
                None => None,
            };
            let status = status.map(Status::from);
            let listing = Listing { organization_id, index_id, status, before: page.cursor, limit: page.reads() };
            let rows = db::job::list(&pool, listing).await?;
            page.show(session, &rows, |row| row.id, |row| view(row, &[]), jobs_table)
        }
        Command::Show { job, wait } => {
            if let Some(found) = db::reindex::find(&pool, *job).await? {
                return reindex::show_job(session, &pool, found, wait.map(Duration::from_secs)).await;
            }
            let found = match wait {
                Some(seconds) => wait_for(&pool, *job, Duration::from_secs(*seconds)).await?,
                None => find(&pool, *job).await?,
            };
            let failures = db::job::failures(&pool, found.id, found.index_id).await?;
            session.show(&view(&found, &failures), || job_text(&found, &failures))
        }
    }
}

async fn find(pool: &PgPool, id: Uuid) -> anyhow::Result<Job> {
    let found = db::job::find(pool, id).await?;
    found.with_context(|| format!("there is no job {id}: `tidewell job list` shows those there are"))
}

/// The job once it has ended, or as it stands when the patience has. The progress is shown on a terminal.
pub(super) async fn wait_for(pool: &PgPool, id: Uuid, patience: Duration) -> anyhow::Result<Job> {
    const LOOK: Duration = Duration::from_millis(100);
    let mut job = find(pool, id).await?;
    let progress = ProgressBar::new(job.total.unsigned_abs().into());
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos} of {len} documents, {elapsed}")?);
    let deadline = tokio::time::Instant::now() + patience;
    while !job.has_ended() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        job = find(pool, id).await?;
        progress.set_position((job.total - job.pending - job.retrying).unsigned_abs().into());
    }
    progress.finish_and_clear();
    Ok(job)
}

fn status_text(job: &Job) -> String {
    format!("{:?}", job.status()).to_lowercase()
}

fn jobs_table(jobs: &[Job]) -> String {
    let lines = jobs.iter().map(|job| {
        let counts = [job.total, job.succeeded, job.pending, job.retrying, job.dead].map(|count| count.to_string());
        let [total, succeeded, pending, retrying, dead] = counts;
        let (status, enqueued) = (status_text(job), time(job.enqueued_at));
        [job.id.to_string(), job.index_slug.clone(), status, total, succeeded, pending, retrying, dead, enqueued]
    });
    let numbers = ["total", "succeeded", "pending", "retrying", "dead"];
    let [total, succeeded, pending, retrying, dead] = numbers;
    table(["job", "index", "status", total, succeeded, pending, retrying, dead, "enqueued"], &numbers, lines)
}

fn job_text(job: &Job, failures: &[Failure]) -> String {
    let about = record([
        ("job", job.id.to_string()),
        ("index", job.index_slug.clone()),
        ("status", status_text(job)),
        ("total", job.total.to_string()),
        ("pending", job.pending.to_string()),
        ("succeeded", job.succeeded.to_string()),
        ("retrying", job.retrying.to_string()),
        ("dead", job.dead.to_string()),
        ("superseded", job.superseded.to_string()),
        ("enqueued", time(job.enqueued_at)),
        ("started", maybe_time(job.started_at)),
        ("finished", maybe_time(job.finished_at)),
    ]);
    with_failures(about, failures)
}

/// Adds what has failed, if anything has.
pub(super) fn with_failures(about: String, failures: &[Failure]) -> String {
    if failures.is_empty() {
        return about;
    }
    let lines = failures.iter().map(|failure| {
        let fate = match failure.next_retry_at {
            Some(at) => format!("again {}", time(at)),
            None => failure.dead_letter_id.map_or_else(nothing, |id| format!("dead {id}")),
        };
        [maybe(failure.document_id.as_ref()), failure.code.clone(), short(&failure.message, 60), fate]
    });
    format!("{about}\n\n{}", table(["document", "code", "message", "fate"], &[], lines))
}

fn view(job: &Job, failures: &[Failure]) -> Value {
    json!({
        "jobId": job.id,
        "index": job.index_slug,
        "status": job.status(),
        "counts": {
            "total": job.total,
            "pending": job.pending,
            "succeeded": job.succeeded,
            "retrying": job.retrying,
            "dead": job.dead,
            "superseded": job.superseded,
        },
        "errors": failures,
        "enqueuedAt": job.enqueued_at,
        "startedAt": job.started_at,
        "finishedAt": job.finished_at,
        "reindex": null,
    })
}
