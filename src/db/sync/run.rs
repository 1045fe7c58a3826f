//! Runs of sync jobs: one of a job at a time, by a unique index over those that have not ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{lease::Lease, position};

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "id, job_id, status, trigger_source, rebuild, imported_count, deleted_count, failed_count, unchanged_count,
         source_row_count, expected_row_count, progress_pct, error, paused_reason, resume_at, cancel_requested_at, read_ms,
         import_ms, reconcile_ms, paused_ms, queued_at, started_at, finished_at,
         (1000 * extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at))::bigint as elapsed_ms"
    };
}

/// Why a run was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, Serialize, ToSchema)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    Schedule,
    /// Somebody at the command line.
    Manual,
    Api,
    /// Documents have drifted, or their requests are in doubt.
    Repair,
    /// Dead letters of the job are to be tried again.
    Redrive,
    /// The comparison that a live job begins with.
    Live,
    /// No sync: the collection before is put back.
    Rollback,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, Serialize, ToSchema)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = SyncRunStatus)]
pub enum Status {
    Queued,
    Running,
    /// The backend or the source is away; it goes on by itself.
    Paused,
    Success,
    Failed,
    Cancelled,
}

impl Status {
    /// As the database calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn has_ended(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Cancelled)
    }
}

/// A run as stored.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[schema(as = SyncRun)]
pub struct Run {
    pub id: Uuid,
    pub job_id: Uuid,
    pub status: Status,
    pub trigger_source: Trigger,
    /// Into a new collection, which takes the old one's place at the end.
    pub rebuild: bool,
    pub imported_count: i64,
    pub deleted_count: i64,
    /// Rows that the collection does not take, refused now or before.
    pub failed_count: i64,
    pub unchanged_count: i64,
    pub source_row_count: i64,
    pub expected_row_count: Option<i64>,
    pub progress_pct: f64,
    pub error: Option<String>,
    pub paused_reason: Option<String>,
    pub resume_at: Option<DateTime<Utc>>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub read_ms: i64,
    pub import_ms: i64,
    pub reconcile_ms: i64,
    pub paused_ms: i64,
    pub queued_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// From its start until its end, or until now.
    pub elapsed_ms: Option<i64>,
}

impl Run {
    /// Seconds until its end at its present pace; `None` where that can't be told.
    pub fn eta_seconds(&self) -> Option<f64> {
        let worked = (self.elapsed_ms? - self.paused_ms).max(0) as f64 / 1000.0;
        let is_under_way = self.status == Status::Running && self.progress_pct > 0.0;
        is_under_way.then(|| worked * (100.0 - self.progress_pct) / self.progress_pct)
    }
}

/// Queues a run; `None` where the job has one that has not ended, or is disabled. To be followed by a wake-up in the same transaction.
pub async fn queue(conn: &mut PgConnection, job_id: Uuid, trigger: Trigger) -> Result<Option<Run>, sqlx::Error> {
    sqlx::query_as(concat!(
        "insert into public.typesense_sync_runs (id, job_id, trigger_source)
         select $1, id, $3 from public.typesense_sync_jobs where id = $2 and enabled
         on conflict (job_id) where status in ('queued', 'running', 'paused') do nothing
         returning ",
        columns!()
    ))
    .bind(Uuid::now_v7())
    .bind(job_id)
    .bind(trigger)
    .fetch_optional(conn)
    .await
}

/// Has a queued run build a new collection, whatever the job's strategy says.
pub async fn build_anew(conn: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("update public.typesense_sync_runs set rebuild = true where id = $1")
        .bind(id)
        .execute(conn)
        .await
        .map(drop)
}

/// One run.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Run>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from public.typesense_sync_runs where id = $1"))
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// The run of a job that has not ended.
pub async fn active(pool: &PgPool, job_id: Uuid) -> Result<Option<Run>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from public.typesense_sync_runs where job_id = $1 and status in ('queued', 'running', 'paused')"
    ))
    .bind(job_id)
    .fetch_optional(pool)
    .await
}

/// A job's runs, newest first, only those older than `before`.
pub async fn list(pool: &PgPool, job_id: Uuid, before: Option<Uuid>, limit: i64) -> Result<Vec<Run>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from public.typesense_sync_runs where job_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3"
    ))
    .bind(job_id)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Jobs with a run that can go on and that nobody holds: the scan that correctness rests on.
pub async fn unattended(pool: &PgPool, limit: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select run.job_id
         from public.typesense_sync_runs as run
         left join tidewell.sync_states as state on state.job_id = run.job_id
         where run.status in ('queued', 'running', 'paused')
           and (run.cancel_requested_at is not null or coalesce(run.resume_at <= clock_timestamp(), true))
           and coalesce(state.leased_until < clock_timestamp(), true)
         order by run.queued_at
         limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Begins or goes on with a run.
pub async fn begin(pool: &PgPool, id: Uuid) -> Result<Option<Run>, sqlx::Error> {
    sqlx::query_as(concat!(
        "update public.typesense_sync_runs
         set status = 'running', started_at = coalesce(started_at, clock_timestamp()), resume_at = null, paused_reason = null
         where id = $1 and status in ('queued', 'running', 'paused')
         returning ",
        columns!()
    ))
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Says how many rows there are to read.
pub async fn set_expected(pool: &PgPool, id: Uuid, rows: Option<i64>) -> Result<(), sqlx::Error> {
    sqlx::query("update public.typesense_sync_runs set expected_row_count = $2 where id = $1")
        .bind(id)
        .bind(rows)
        .execute(pool)
        .await
        .map(drop)
}

/// Begins a run's pass, or begins it anew: what it has counted no longer counts. Rows without a key are read by no range.
pub async fn restart(conn: &mut PgConnection, id: Uuid, rebuild: bool, without_key: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update public.typesense_sync_runs
         set rebuild = $2, imported_count = 0, deleted_count = 0, failed_count = $3, unchanged_count = 0, source_row_count = $3,
             progress_pct = 0
         where id = $1",
    )
    .bind(id)
    .bind(rebuild)
    .bind(without_key)
    .execute(conn)
    .await
    .map(drop)
}

/// Lets a run wait, for nothing that it can help; unless somebody else has its job by now.
pub async fn pause(pool: &PgPool, lease: &Lease, id: Uuid, reason: &str, wait: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update public.typesense_sync_runs
         set status = 'paused', paused_reason = $2, resume_at = clock_timestamp() + make_interval(secs => $3),
             paused_ms = paused_ms + ($3 * 1000)::bigint
         where id = $1 and status in ('queued', 'running', 'paused')
           and exists (select from tidewell.sync_states where job_id = $4 and fence = $5)",
    )
    .bind(id)
    .bind(reason)
    .bind(wait.as_secs_f64())
    .bind(lease.job_id)
    .bind(lease.fence)
    .execute(pool)
    .await
    .map(drop)
}

/// Asks for a run's end. One that nobody works on has ended with this; else its worker sees it within a second. `None`: no run to cancel.
pub async fn cancel(pool: &PgPool, job_id: Uuid) -> Result<Option<Run>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    // A worker takes the job by this row, too.
    let held: Option<bool> = sqlx::query_scalar(
        "select leased_until > clock_timestamp() from tidewell.sync_states where job_id = $1 for update",
    )
    .bind(job_id)
    .fetch_optional(&mut *tx)
    .await?;
    let run: Option<Run> = sqlx::query_as(concat!(
        "update public.typesense_sync_runs
         set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
             status = case when $2 then status else 'cancelled' end,
             finished_at = case when $2 then finished_at else clock_timestamp() end
         where job_id = $1 and status in ('queued', 'running', 'paused')
         returning ",
        columns!()
    ))
    .bind(job_id)
    .bind(held.unwrap_or(false))
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(ended) = run.as_ref().filter(|run| run.status.has_ended()) {
        super::overlay::doubt_flights(&mut tx, job_id).await?;
        put_off_repair(&mut tx, job_id).await?;
        position::end(&mut tx, ended.id).await?;
        sqlx::query(
            "update public.typesense_sync_jobs
             set last_sync_status = 'cancelled', last_sync_error = 'cancelled before its end' where id = $1",
        )
        .bind(job_id)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(run)
}

/// Whether somebody has asked for a run's end.
pub async fn is_cancelled(pool: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
    let requested: Option<bool> =
        sqlx::query_scalar("select cancel_requested_at is not null from public.typesense_sync_runs where id = $1")
            .bind(id)
            .fetch_optional(pool)
            .await?;
    // A job that was deleted takes its runs along.
    Ok(requested.unwrap_or(true))
}

/// How a run ends.
#[derive(Debug)]
pub struct Ending<'a> {
    pub status: Status,
    pub error: Option<&'a str>,
    /// When the job is due next, unless that lies ahead already.
    pub next_sync_at: Option<DateTime<Utc>>,
}

/// Ends a run and notes on its job how it went; false where the lease is lost, and nothing is written.
pub async fn finish(
    conn: &mut PgConnection,
    run_id: Uuid,
    lease: &Lease,
    ending: &Ending<'_>,
) -> Result<bool, sqlx::Error> {
    if !super::lease::renew(&mut *conn, lease).await? {
        return Ok(false);
    }
    sqlx::query(
        "with ended as (
             update public.typesense_sync_runs
             set status = $3, error = $4, finished_at = clock_timestamp(),
                 progress_pct = case when $3 = 'success' then 100 else progress_pct end
             where id = $1 and status in ('queued', 'running', 'paused')
             returning *
         )
         update public.typesense_sync_jobs
         set last_sync_status = $3, last_sync_error = $4,
             -- What was due to come stays, and so does a job that was changed while it ran.
             next_sync_at = case when next_sync_at > clock_timestamp() or updated_at > ended.started_at then next_sync_at else $5 end,
             -- Fresh as of when the reading began: what changed since may not have been seen.
             last_synced_at = case when $3 = 'success' then ended.started_at else last_synced_at end,
             last_source_row_count = case when $3 = 'cancelled' then last_source_row_count else ended.source_row_count end,
             last_imported_count = ended.imported_count, last_deleted_count = ended.deleted_count,
             last_failed_count = ended.failed_count
         from ended
         where typesense_sync_jobs.id = $2 and ended.trigger_source <> 'rollback'",
    )
    .bind(run_id)
    .bind(lease.job_id)
    .bind(ending.status)
    .bind(ending.error)
    .bind(ending.next_sync_at)
    .execute(&mut *conn)
    .await?;
    // What it had under way may come when the next run is through.
    super::overlay::doubt_flights(&mut *conn, lease.job_id).await?;
    if ending.status != Status::Success {
        put_off_repair(&mut *conn, lease.job_id).await?;
    }
    position::end(conn, run_id).await?;
    Ok(true)
}

/// After a run that did not end well, what was to be looked at still is: later, and not at every glance at what is due.
async fn put_off_repair(conn: &mut PgConnection, job_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.sync_states as state
         set repair_at = (select greatest(max(doubted_until), clock_timestamp() + interval '5 minutes')
                          from tidewell.sync_overlay as overlay
                          where overlay.job_id = state.job_id and overlay.collection = state.collection
                            and (look or doubted_until is not null)
                          having count(*) > 0)
         where job_id = $1",
    )
    .bind(job_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Removes the history that is older than `keep`, some of it; how much that was.
pub async fn prune(pool: &PgPool, keep: Duration, limit: i64) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "delete from public.typesense_sync_runs where id in (
             select id from public.typesense_sync_runs
             where finished_at < now() - make_interval(secs => $1) limit $2 for update skip locked)",
    )
    .bind(keep.as_secs_f64())
    .bind(limit)
    .execute(pool)
    .await
    .map(|removed| removed.rows_affected())
}
