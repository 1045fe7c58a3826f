use sqlx::PgConnection;
use ulid::Ulid;

use crate::Job;

/// Enqueues wake-ups in the caller's transaction, in one statement.
///
/// Make it the transaction's last statement, and call it once for each kind of job: it takes locks
/// that are held until the commit, and a worker of the same key waits for them.
///
/// # No wake-up is lost
///
/// Wake-ups that share a [coalesce key](Job::coalesce_key) are one row for as long as that row
/// waits. A writer whose wake-up coalesced relies on a row that another writer inserted, so it has to
/// be certain that the handler of that row will see its writes:
///
/// - the **writer** takes the key's advisory lock *shared*, until its transaction ends, and then
///   inserts `on conflict do nothing`;
/// - the **worker** frees the key in the statement that claims the row, commits that, takes the
///   same lock *exclusively* for an instant (`Store::settle`), and
///   only then calls the handler.
///
/// Take a writer W and a row R whose handler begins after W's insert met R's key. The unique index
/// judges by what is committed now, not by W's snapshot, and waits for a claim that is under way; so
/// R's key was freed after W met it, hence after W took the shared lock. The worker's exclusive lock
/// comes after the key was freed, so it waits for W to end, and whatever the handler then reads
/// includes W's writes. Had W come later, it would have found the key free and inserted a row of its
/// own. Under `repeatable read` or above a conflict with a row newer than the snapshot is a
/// serialization failure, which is safe too.
///
/// An advisory lock, not a row lock: heavyweight locks queue in order, so writers that overlap
/// without end can't starve the worker, which they do where each holds `for key share` on the row
/// (`skip locked` then never finds the row free, and an update waits as long as new sharers come).
///
/// Keys are taken in sorted order, so that neither the locks nor the unique index can deadlock.
pub async fn enqueue<J: Job>(conn: &mut PgConnection, jobs: &[J]) -> Result<(), sqlx::Error> {
    insert(conn, jobs, |_| Ulid::generate()).await
}

/// Enqueues the wake-up of one tick. The id is made from the tick, so that every replica's insert
/// of it is the same row: one of them wins, for as long as the row is kept. Ticks that still wait
/// coalesce like any wake-up.
pub(crate) async fn enqueue_tick<J: Job>(conn: &mut PgConnection, tick_secs: u64, job: J) -> Result<(), sqlx::Error> {
    insert(conn, &[job], |payload| {
        // FNV-1a: any hash will do that is the same in every build of every replica.
        let hash = J::QUEUE
            .bytes()
            .chain(payload.iter().copied())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Ulid::from_parts(tick_secs * 1000, u128::from(hash))
    })
    .await
}

async fn insert<J: Job>(conn: &mut PgConnection, jobs: &[J], id: impl Fn(&[u8]) -> Ulid) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(jobs.len());
    for job in jobs {
        let payload = serde_json::to_vec(job).map_err(|e| sqlx::Error::Encode(e.into()))?;
        rows.push((job.coalesce_key(), id(&payload).to_string(), payload));
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let keys: Vec<_> = rows.iter().map(|row| row.0.as_deref()).collect();
    let ids: Vec<_> = rows.iter().map(|row| row.1.as_str()).collect();
    let payloads: Vec<_> = rows.iter().map(|row| row.2.as_slice()).collect();

    // A row's lock is taken as the row is read from `held`, before its insert. A null key takes none.
    // apalis' trigger notifies of each row inserted, and so not of one that coalesced.
    sqlx::query(
        "with held as materialized (
             select key, id, job,
                    pg_advisory_xact_lock_shared(hashtextextended($1 || ':' || key, 0))
             from unnest($2::text[], $3::text[], $4::bytea[]) as new (key, id, job)
         )
         insert into apalis.jobs
             (id, job_type, job, status, attempts, max_attempts, run_at, priority, idempotency_key)
         select id, $1, job, 'Pending', 0, $5, now(), 0, key from held
         on conflict do nothing",
    )
    .bind(J::QUEUE)
    .bind(keys)
    .bind(ids)
    .bind(payloads)
    .bind(J::MAX_ATTEMPTS)
    .execute(conn)
    .await?;
    Ok(())
}
