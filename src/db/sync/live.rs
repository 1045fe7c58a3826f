//! Live jobs: who follows, how far behind, and the slots that hold changes for them.

use std::time::Duration;

use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::{
    flight::{self, Settled},
    lease::{self, Lease},
    overlay,
    settle::{self, Letter},
};
use crate::domain::sync_entry::Entry;

/// Live jobs that nobody follows and that need not wait.
pub async fn unattended(pool: &PgPool, limit: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select job.id
         from public.typesense_sync_jobs as job
         left join tidewell.sync_states as state on state.job_id = job.id
         where job.enabled and job.mode = 'live'
           and coalesce(state.leased_until < clock_timestamp(), true)
           and coalesce(state.live_resume_at <= clock_timestamp(), true)
         limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// The slot whose changes continue what a comparison has found; `None`: a comparison has to come first.
pub async fn compared_slot(pool: &PgPool, job_id: Uuid) -> Result<Option<String>, sqlx::Error> {
    let slot: Option<Option<String>> =
        sqlx::query_scalar("select live_slot from tidewell.sync_states where job_id = $1")
            .bind(job_id)
            .fetch_optional(pool)
            .await?;
    Ok(slot.flatten())
}

/// Notes whether a slot's changes continue what is known.
pub async fn set_compared_slot(pool: &PgPool, lease: &Lease, slot: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.sync_states set live_slot = $3 where job_id = $1 and fence = $2")
        .bind(lease.job_id)
        .bind(lease.fence)
        .bind(slot)
        .execute(pool)
        .await
        .map(drop)
}

/// Lets a comparison that is under way begin anew, as after a change of the mapping.
pub async fn begin_comparison_anew(pool: &PgPool, lease: &Lease) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.sync_positions as position set mapping = '' from public.typesense_sync_runs as run
         where run.id = position.run_id and run.job_id = $1 and run.status in ('queued', 'running', 'paused')
           and exists (select from tidewell.sync_states where job_id = $1 and fence = $2)",
    )
    .bind(lease.job_id)
    .bind(lease.fence)
    .execute(pool)
    .await
    .map(drop)
}

/// How far a follower is behind.
#[derive(Clone, Copy, Debug)]
pub struct Lag {
    /// Of the source's log.
    pub bytes: i64,
    /// How old the last change is that was written, while more wait; zero where none does.
    pub millis: i64,
}

/// Notes that a live job keeps up: as of now it is fresh.
pub async fn note(pool: &PgPool, lease: &Lease, lag: Lag) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    if !lease::renew(&mut tx, lease).await? {
        return Ok(false);
    }
    sqlx::query(
        "update tidewell.sync_states set live_lag_bytes = $2, live_lag_ms = $3, live_error = null, live_resume_at = null
         where job_id = $1",
    )
    .bind(lease.job_id)
    .bind(lag.bytes)
    .bind(lag.millis)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update public.typesense_sync_jobs
         set last_synced_at = clock_timestamp() - make_interval(secs => $2 / 1000.0), last_sync_status = 'success',
             last_sync_error = null
         where id = $1",
    )
    .bind(lease.job_id)
    .bind(lag.millis as f64)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Notes why a live job stands still, and for how long.
pub async fn stand_still(pool: &PgPool, lease: &Lease, reason: &str, wait: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with state as (
             update tidewell.sync_states
             set live_error = $3, live_resume_at = clock_timestamp() + make_interval(secs => $4)
             where job_id = $1 and fence = $2
             returning job_id
         )
         update public.typesense_sync_jobs set last_sync_error = $3 from state where id = state.job_id",
    )
    .bind(lease.job_id)
    .bind(lease.fence)
    .bind(reason)
    .bind(wait.as_secs_f64())
    .execute(pool)
    .await
    .map(drop)
}

/// Changes that were written, as they are settled.
#[derive(Debug)]
pub struct Followed<'a> {
    pub collection: &'a str,
    /// What is known of each document from now on; `None`: it was deleted.
    pub entries: Vec<(&'a str, Option<Entry>)>,
    pub flight: Settled,
    pub letters: Vec<Letter>,
    pub healed: Vec<String>,
}

/// Settles changes; false where the lease is lost, and nothing is written.
pub async fn settle(pool: &PgPool, lease: &Lease, followed: &Followed<'_>) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    if !lease::renew(&mut tx, lease).await? {
        return Ok(false);
    }
    overlay::put(&mut tx, lease.job_id, followed.collection, followed.flight.id, &followed.entries).await?;
    flight::close(&mut tx, lease.job_id, followed.flight).await?;
    settle::bury(&mut tx, lease.job_id, &followed.letters).await?;
    settle::heal(&mut tx, lease.job_id, &followed.healed).await?;
    tx.commit().await?;
    Ok(true)
}

/// A slot in a source database.
#[derive(Clone, Debug, FromRow)]
pub struct Slot {
    pub name: String,
    pub client_id: Uuid,
    /// Its job is there, is live, and reads from this client.
    pub is_wanted: bool,
    /// Somebody follows it.
    pub is_followed: bool,
}

/// Notes that there is a slot, before it is made.
pub async fn add_slot(conn: &mut PgConnection, name: &str, job_id: Uuid, client_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.sync_slots (name, job_id, client_id) values ($1, $2, $3)
         on conflict do nothing",
    )
    .bind(name)
    .bind(job_id)
    .bind(client_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Every slot.
pub async fn slots(pool: &PgPool) -> Result<Vec<Slot>, sqlx::Error> {
    sqlx::query_as(
        "select slot.name, slot.client_id,
                coalesce(job.mode = 'live' and job.source_client_name = client.name, false) as is_wanted,
                coalesce(job.enabled and state.leased_until > clock_timestamp(), false) as is_followed
         from tidewell.sync_slots as slot
         join tidewell.clients as client on client.id = slot.client_id
         left join public.typesense_sync_jobs as job on job.id = slot.job_id
         left join tidewell.sync_states as state on state.job_id = slot.job_id",
    )
    .fetch_all(pool)
    .await
}

/// Notes that a slot is gone: whoever follows its job again begins with a comparison.
pub async fn forget_slot(pool: &PgPool, slot: &Slot) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with gone as (delete from tidewell.sync_slots where name = $1 and client_id = $2)
         update tidewell.sync_states set live_slot = null where live_slot = $1 and $3",
    )
    .bind(&slot.name)
    .bind(slot.client_id)
    .bind(slot.is_wanted)
    .execute(pool)
    .await
    .map(drop)
}
