//! The end of one range of a run: what was written of it, what was refused, and how far the run has come, in one transaction.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{
    chunk::{self, Chunk, Place},
    flight::{self, Settled},
    lease::{self, Lease},
    overlay,
};
use crate::domain::{signature::signature, sync_entry::Entry};

/// A row that can't be in the collection.
#[derive(Clone, Debug)]
pub struct Letter {
    pub document_id: String,
    /// As it was sent, where it could be made.
    pub document: Option<String>,
    pub code: String,
    pub message: String,
    pub attempts: i32,
}

/// Rows and documents of one range.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub rows: i64,
    pub imported: i64,
    pub deleted: i64,
    pub failed: i64,
    pub unchanged: i64,
    pub read_ms: i64,
    pub import_ms: i64,
    /// Of the ranges before.
    pub reconcile_ms: i64,
}

/// One range of a run, done.
#[derive(Debug)]
pub struct Settlement {
    pub run_id: Uuid,
    pub collection: String,
    /// What is known of the range from now on.
    pub chunk: Chunk,
    /// The one chunk that said the same before.
    pub same_as: Option<Place>,
    /// The chunks that the range has read up.
    pub consumed: Vec<Place>,
    /// What they said of documents that have not been met yet, where the range ended within them: kept beside the chunks.
    pub left_over: Vec<(String, Entry)>,
    pub overlay_taken: Vec<String>,
    pub overlay_read_at: DateTime<Utc>,
    pub flight: Option<Settled>,
    pub letters: Vec<Letter>,
    /// Documents of which no letter stands any more.
    pub healed: Vec<String>,
    pub counts: Counts,
}

/// Settles a range; false where the lease is lost, and nothing is written.
pub async fn settle(conn: &mut PgConnection, lease: &Lease, settlement: &Settlement) -> Result<bool, sqlx::Error> {
    let mut tx = conn.begin().await?;
    // Forgotten in a crash of the database, the range would be read again: nothing here needs to wait for the disk.
    sqlx::query("set local synchronous_commit = off").execute(&mut *tx).await?;
    if !lease::renew(&mut tx, lease).await? {
        return Ok(false);
    }
    let (job_id, collection) = (lease.job_id, settlement.collection.as_str());
    match settlement.same_as {
        Some(before) => chunk::carry(&mut tx, job_id, collection, before, settlement.chunk.place).await?,
        None => {
            if !settlement.consumed.is_empty() {
                chunk::remove(&mut tx, job_id, collection, &settlement.consumed).await?;
            }
            chunk::put(&mut tx, job_id, collection, &settlement.chunk).await?;
            if !settlement.left_over.is_empty() {
                overlay::keep(&mut tx, job_id, collection, &settlement.left_over).await?;
            }
        }
    }
    if !settlement.overlay_taken.is_empty() {
        overlay::remove(&mut tx, job_id, collection, &settlement.overlay_taken, settlement.overlay_read_at).await?;
    }
    if let Some(flight) = settlement.flight {
        flight::close(&mut tx, job_id, flight).await?;
    }
    bury(&mut tx, job_id, &settlement.letters).await?;
    heal(&mut tx, job_id, &settlement.healed).await?;
    advance(&mut tx, job_id, settlement).await?;
    tx.commit().await?;
    Ok(true)
}

/// Writes letters, each over the one that stood for its document.
pub async fn bury(conn: &mut PgConnection, job_id: Uuid, letters: &[Letter]) -> Result<(), sqlx::Error> {
    for letter in letters {
        sqlx::query(
            "insert into tidewell.dead_letters as letter
                 (id, sync_job_id, document_id, operation, version, body, error_code, error_message, error_signature, attempts,
                  first_failed_at)
             values ($1, $2, $3, 'upsert', nextval('tidewell.versions'), $4, $5, $6, $7, $8, now())
             on conflict (sync_job_id, document_id) where sync_job_id is not null do update
             set version = excluded.version, body = excluded.body, error_code = excluded.error_code,
                 error_message = excluded.error_message, error_signature = excluded.error_signature,
                 attempts = letter.attempts + excluded.attempts, last_failed_at = now()",
        )
        .bind(Uuid::now_v7())
        .bind(job_id)
        .bind(&letter.document_id)
        .bind(&letter.document)
        .bind(&letter.code)
        .bind(&letter.message)
        .bind(signature(&letter.code, &letter.message))
        .bind(letter.attempts)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Removes the letters of documents that are well again, or gone.
pub async fn heal(conn: &mut PgConnection, job_id: Uuid, document_ids: &[String]) -> Result<(), sqlx::Error> {
    if document_ids.is_empty() {
        return Ok(());
    }
    sqlx::query("delete from tidewell.dead_letters where sync_job_id = $1 and document_id = any($2)")
        .bind(job_id)
        .bind(document_ids)
        .execute(conn)
        .await
        .map(drop)
}

/// Removes the letters of a job that are older than a moment (`None`: all of them): whatever is refused now was written later.
pub async fn heal_older(conn: &mut PgConnection, job_id: Uuid, than: Option<DateTime<Utc>>) -> Result<(), sqlx::Error> {
    sqlx::query("delete from tidewell.dead_letters where sync_job_id = $1 and coalesce(last_failed_at < $2, true)")
        .bind(job_id)
        .bind(than)
        .execute(conn)
        .await
        .map(drop)
}

/// Documents of a job that Typesense refused.
pub async fn refused(pool: &PgPool, job_id: Uuid) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("select document_id from tidewell.dead_letters where sync_job_id = $1")
        .bind(job_id)
        .fetch_all(pool)
        .await
}

async fn advance(conn: &mut PgConnection, job_id: Uuid, settlement: &Settlement) -> Result<(), sqlx::Error> {
    let counts = settlement.counts;
    sqlx::query(
        "with moved as (
             update tidewell.sync_positions set position = $2, ordinal = $3 + 1, is_done = $2 is null where run_id = $1
         ), counted as (
             update tidewell.sync_states set synced = synced + $5 + $6 where job_id = $12 and $5 + $6 > 0
         )
         update public.typesense_sync_runs
         set source_row_count = source_row_count + $4, imported_count = imported_count + $5, deleted_count = deleted_count + $6,
             failed_count = failed_count + $7, unchanged_count = unchanged_count + $8, read_ms = read_ms + $9,
             import_ms = import_ms + $10, reconcile_ms = reconcile_ms + $11,
             progress_pct = least(99.9, 100.0 * (source_row_count + $4) / greatest(expected_row_count, source_row_count + $4, 1))
         where id = $1",
    )
    .bind(settlement.run_id)
    .bind(&settlement.chunk.upper)
    .bind(settlement.chunk.place.ordinal)
    .bind(counts.rows)
    .bind(counts.imported)
    .bind(counts.deleted)
    .bind(counts.failed)
    .bind(counts.unchanged)
    .bind(counts.read_ms)
    .bind(counts.import_ms)
    .bind(counts.reconcile_ms)
    .bind(job_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Notes the end of a pass: the moment that the next one may begin from, and when documents in doubt are due. A repair after which some are
/// in doubt again is not followed by another one at once: maybe they never get an answer.
pub async fn end_pass(conn: &mut PgConnection, lease: &Lease, run_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.sync_states as state
         set cursor_since = position.cursor_since, mapping = position.mapping,
             repair_at = (select greatest(max(doubted_until), clock_timestamp() + case
                                when run.trigger_source = 'repair' and bool_and(coalesce(doubted_until > clock_timestamp(), false))
                                then interval '5 minutes' else interval '0' end)
                          from tidewell.sync_overlay as overlay
                          where overlay.job_id = state.job_id and overlay.collection = position.collection having count(*) > 0)
         from tidewell.sync_positions as position join public.typesense_sync_runs as run on run.id = position.run_id
         where state.job_id = $1 and state.fence = $2 and position.run_id = $3",
    )
    .bind(lease.job_id)
    .bind(lease.fence)
    .bind(run_id)
    .execute(conn)
    .await
    .map(drop)
}
