//! How fresh the collections of sync jobs are, and what stands in their way.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::COUNTED_TO;

/// What a job's `health` may be.
pub const HEALTHS: [&str; 6] = ["fresh", "overdue", "failed", "cancelled", "never_synced", "disabled"];

/// One sync job.
#[derive(Clone, Debug, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    pub id: Uuid,
    pub name: String,
    pub enabled: bool,
    /// One of [`HEALTHS`].
    pub health: String,
    pub is_stale: bool,
    /// The moment that the collection is as of; `None` where it was never synced.
    pub last_synced_at: Option<DateTime<Utc>>,
    /// How long ago that is.
    pub age_seconds: Option<f64>,
    /// How long the collection has been without a good run: since the last one, or since the job was made.
    pub unsynced_seconds: f64,
    /// Rows that the collection does not take, as of the last run; `None` before it.
    pub failed_rows: Option<i64>,
    /// Of a run that has not ended.
    pub run_progress_pct: Option<f64>,
    /// How far a live job is behind.
    pub live_lag_bytes: Option<i64>,
    pub live_lag_ms: Option<i64>,
    /// Counted to 10,000.
    pub dead_letters: i64,
}

/// Every job, by name.
pub(super) async fn read(pool: &PgPool) -> Result<Vec<SyncStatus>, sqlx::Error> {
    sqlx::query_as(
        "select status.id, status.name, status.enabled, sync_health as health, is_stale, status.last_synced_at,
                seconds_since_sync as age_seconds,
                extract(epoch from now() - coalesce(status.last_synced_at, job.created_at))::float8 as unsynced_seconds,
                status.last_failed_count as failed_rows, active_run_progress_pct as run_progress_pct,
                live_lag_bytes, live_lag_ms, dead.count as dead_letters
         from public.typesense_sync_job_status as status
         join public.typesense_sync_jobs as job on job.id = status.id
         left join tidewell.sync_states as state on state.job_id = status.id
         cross join lateral (
             select count(*)
             from (select from tidewell.dead_letters where sync_job_id = status.id limit $1) as counted
         ) as dead
         order by status.name",
    )
    .bind(COUNTED_TO)
    .fetch_all(pool)
    .await
}

/// How long the enabled job that has waited longest has been without a good run; `None` where no job is enabled.
pub fn oldest_unsynced_seconds(syncs: &[SyncStatus]) -> Option<f64> {
    syncs.iter().filter(|sync| sync.enabled).map(|sync| sync.unsynced_seconds).max_by(f64::total_cmp)
}
