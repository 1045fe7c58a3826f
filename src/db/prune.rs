//! Removing what is finished, in small steps, so that nothing grows without end.

use std::time::Duration;

use sqlx::PgPool;

use super::{embedding, sync};

/// How long finished things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Jobs, counted from their end, and log lines of whatever kind.
    pub jobs: Duration,
    /// Tombstones of deleted documents.
    pub tombstones: Duration,
    /// The trail of what was done to dead letters.
    pub acts: Duration,
    /// The history of sync runs, counted from their end.
    pub sync_runs: Duration,
    /// Vectors of texts, in number: those used last.
    pub embeddings: i64,
}

/// Rows of one step.
const STEP: i64 = 5000;

/// Removes everything whose time is up; gives how many rows went.
pub async fn prune(pool: &PgPool, keep: Keep) -> Result<u64, sqlx::Error> {
    let jobs = "delete from tidewell.jobs where id in (
                    select id from tidewell.jobs where finished_at < now() - make_interval(secs => $1) limit $2 for update skip locked)";
    // Rows that somebody holds are left for the next time: what revives one may be about to commit.
    // A tombstone must outlive everything older of its document. Anything of the index that is unsettled and older than it
    // keeps it: coarse, but a lookup by lane instead of by document.
    let tombstones = "delete from tidewell.documents where (index_id, document_id) in (
                          select index_id, document_id from tidewell.documents
                          where deleted_at < now() - make_interval(secs => $1)
                            and not exists (select from tidewell.dead_letters
                                            where dead_letters.index_id = documents.index_id
                                              and dead_letters.document_id = documents.document_id)
                            and not exists (select from tidewell.flights where flights.index_id = documents.index_id)
                            and not exists (select from tidewell.filter_deletes
                                            where filter_deletes.index_id = documents.index_id)
                            and not exists (select from tidewell.lanes join tidewell.outbox using (index_id, lane)
                                            where lanes.index_id = documents.index_id and not retrying
                                              and outbox.version <= documents.accepted_version)
                            and not exists (select from tidewell.lanes join tidewell.outbox using (index_id, lane)
                                            where lanes.index_id = documents.index_id and retrying
                                              and outbox.version <= documents.accepted_version)
                          limit $2 for update skip locked)";
    let log_lines = "delete from tidewell.log_lines where (subject, at, id) in (
                         select subject, at, id from tidewell.log_lines
                         where at < now() - make_interval(secs => $1) limit $2 for update skip locked)";
    let acts = "delete from tidewell.dead_letter_acts where id in (
                    select id from tidewell.dead_letter_acts where acted_at < now() - make_interval(secs => $1) limit $2 for update skip locked)";
    let idempotency_keys = "delete from tidewell.idempotency_keys where (organization_id, method, path, key) in (
                                select organization_id, method, path, key from tidewell.idempotency_keys
                                where created_at < now() - make_interval(secs => $1) limit $2 for update skip locked)";
    let rate_grants = "delete from tidewell.rate_grants where id in (
                           select id from tidewell.rate_grants where granted_at < now() - make_interval(secs => $1) limit $2 for update skip locked)";
    let workers = "delete from tidewell.workers where name in (
                       select name from tidewell.workers where last_seen_at < now() - make_interval(secs => $1) limit $2 for update skip locked)";
    let mut removed = 0;
    for (statement, kept) in [
        (jobs, keep.jobs),
        (log_lines, keep.jobs),
        (tombstones, keep.tombstones),
        (acts, keep.acts),
        (idempotency_keys, Duration::from_secs(24 * 3600)),
        (rate_grants, Duration::from_secs(120)),
        (workers, Duration::from_secs(3600)),
    ] {
        loop {
            let step = sqlx::query(statement).bind(kept.as_secs_f64()).bind(STEP).execute(pool).await?.rows_affected();
            removed += step;
            if step < STEP.unsigned_abs() {
                break;
            }
        }
    }
    loop {
        let step = sync::run::prune(pool, keep.sync_runs, STEP).await?;
        removed += step;
        if step < STEP.unsigned_abs() {
            break;
        }
    }
    loop {
        let step = embedding::prune(pool, keep.embeddings, STEP).await?;
        removed += step;
        if step < STEP.unsigned_abs() {
            return Ok(removed);
        }
    }
}
