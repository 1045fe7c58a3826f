//! Redriving: a letter goes back to where its write came from, at its own version, unless a newer write has overtaken it.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, PgPool};
use tidewell_jobs::{ProjectIndex, ResolveFilterDelete};
use uuid::Uuid;

use super::{
    Actor, Selection,
    hold::{BATCH, Held, Owner, Share, count, hold, ids, remove},
    overtaken, resync,
    trail::note,
};
use crate::{
    db::{accept::join_order, backlog, job},
    domain::lane::lane_of,
};

/// What became of a retry.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Retried {
    pub matched: i64,
    /// Back in line.
    pub retried: i64,
    /// Of these, rows of sync jobs that no run was queued for: the one under way takes them, or the next one.
    pub deferred: i64,
    /// Ended: a newer write of the same document stands.
    pub superseded: i64,
}

/// Sends every letter of a selection back to where it came from, batch by batch, each its own transaction: a write into its lane, a row
/// into a run of its sync job. With `dry_run` it only counts them.
pub async fn retry(
    pool: &PgPool,
    selection: Selection<'_>,
    by: Actor<'_>,
    dry_run: bool,
) -> Result<Retried, sqlx::Error> {
    let shares = count(pool, selection).await?;
    let mut done = Retried { matched: shares.iter().map(|share| share.count).sum(), ..Retried::default() };
    if dry_run {
        return Ok(done);
    }
    for share in shares {
        match share.owner {
            Owner::Index(index_id) => retry_writes(pool, selection, index_id, share, by, &mut done).await?,
            Owner::SyncJob(job_id) => {
                let resynced = resync::retry(pool, selection, job_id, share, by).await?;
                done.retried += resynced.marked;
                done.deferred += resynced.deferred;
            }
        }
    }
    tracing::info!(actor = by.name, retried = done.retried, superseded = done.superseded, "dead letters retried");
    Ok(done)
}

async fn retry_writes(
    pool: &PgPool,
    selection: Selection<'_>,
    index_id: Uuid,
    share: Share,
    by: Actor<'_>,
    done: &mut Retried,
) -> Result<(), sqlx::Error> {
    let waiting = overtaken::by_waiting(pool, selection, index_id).await?;
    let mut after = None;
    loop {
        let mut tx = pool.begin().await?;
        join_order(&mut tx, index_id, false).await?;
        let letters = hold(&mut tx, selection, share, after).await?;
        after = letters.last().map(|letter| letter.id);
        let mut overtaken = overtaken::by_settled(&mut tx, index_id, &letters).await?;
        overtaken.extend(letters.iter().map(|letter| letter.id).filter(|id| waiting.contains(id)));
        note(&mut tx, &ids(&letters), "retry", by).await?;
        note(&mut tx, &overtaken.iter().copied().collect::<Vec<_>>(), "superseded", by).await?;
        redrive(&mut tx, index_id, &letters, &overtaken, None).await?;
        tx.commit().await?;
        done.retried += (letters.len() - overtaken.len()) as i64;
        done.superseded += overtaken.len() as i64;
        if (letters.len() as i64) < BATCH {
            return Ok(());
        }
    }
}

/// What became of a mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    Yes,
    /// The document has a newer write; nothing was changed.
    Overtaken,
    /// The letter is not there any more.
    Gone,
}

/// Puts another document in the place of a letter's own and sends it into its lane as an upsert of the letter's version. The
/// letter must be an upsert or a reprojection: the version of a delete may be that of other rows too.
pub async fn mend(
    pool: &PgPool,
    id: Uuid,
    index_id: Uuid,
    document: &str,
    by: Actor<'_>,
) -> Result<Mended, sqlx::Error> {
    let waiting = overtaken::by_waiting(pool, Selection { ids: Some(&[id]), ..Selection::default() }, index_id).await?;
    let mut tx = pool.begin().await?;
    join_order(&mut tx, index_id, false).await?;
    let letter: Option<Held> = sqlx::query_as(
        "select id, document_id, job_id, version from tidewell.dead_letters
         where id = $1 and index_id = $2 for update",
    )
    .bind(id)
    .bind(index_id)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(letter) = letter else { return Ok(Mended::Gone) };
    let letters = [letter];
    let overtaken = overtaken::by_settled(&mut tx, index_id, &letters).await?;
    if !overtaken.is_empty() || !waiting.is_empty() {
        return Ok(Mended::Overtaken);
    }
    note(&mut tx, &[id], "mend", by).await?;
    redrive(&mut tx, index_id, &letters, &overtaken, Some(document)).await?;
    tx.commit().await?;
    tracing::info!(actor = by.name, dead_letter_id = %id, "dead letter mended");
    Ok(Mended::Yes)
}

/// Takes letters of one index out and puts those that are not overtaken back in line, with the jobs' counts and the wake-ups.
/// The caller holds the letters and the index's order.
async fn redrive(
    conn: &mut PgConnection,
    index_id: Uuid,
    letters: &[Held],
    overtaken: &HashSet<Uuid>,
    mended: Option<&str>,
) -> Result<(), sqlx::Error> {
    let (mut rows, mut row_lanes, mut filter_deletes, mut wake) = (vec![], vec![], vec![], vec![]);
    let mut changes: HashMap<Uuid, job::Change> = HashMap::new();
    for letter in letters {
        let mut change = job::Change { dead: -1, ..job::Change::default() };
        if overtaken.contains(&letter.id) {
            change.superseded = 1;
        } else {
            change.pending = 1;
            match &letter.document_id {
                Some(document_id) => {
                    rows.push(letter.id);
                    row_lanes.push(lane_of(document_id));
                }
                None => {
                    filter_deletes.push(letter.id);
                    wake.push(ResolveFilterDelete { index_id, version: letter.version });
                }
            }
        }
        if let Some(job_id) = letter.job_id {
            let total = changes.entry(job_id).or_default();
            total.dead += change.dead;
            total.pending += change.pending;
            total.superseded += change.superseded;
        }
    }
    remove(conn, &overtaken.iter().copied().collect::<Vec<_>>()).await?;
    put_back_rows(conn, &rows, &row_lanes, mended).await?;
    put_back_filter_deletes(conn, &filter_deletes).await?;
    job::apply(conn, &changes.into_iter().collect::<Vec<_>>()).await?;
    tidewell_jobs::enqueue(conn, &wake).await?;
    if rows.is_empty() {
        return Ok(());
    }
    tidewell_jobs::enqueue(conn, &[ProjectIndex { index_id }]).await?;
    backlog::add(conn, index_id, rows.len() as i64).await
}

/// Upserts go back to their own place in the order: before a delete by filter that was accepted after them. The deletions that a
/// filter resolved to share one version, so deletes take a new place and keep the version beside it. Repairs have no place of their
/// own: they take a new one, and a mended repair is a new write.
async fn put_back_rows(
    conn: &mut PgConnection,
    ids: &[Uuid],
    lanes: &[i16],
    mended: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with taken as (
             delete from tidewell.dead_letters as letter
             using unnest($1::uuid[], $2::smallint[]) as row (id, lane)
             where letter.id = row.id
             returning letter.*, row.lane, operation = 'upsert' as in_its_place
         )
         insert into tidewell.outbox (index_id, lane, version, document_version, operation, document_id, job_id, body)
         select index_id, lane, case when in_its_place then version else nextval('tidewell.versions') end,
                case when not in_its_place and operation <> 'reproject' then version end,
                case when $3 is null then operation::tidewell.operation else 'upsert' end,
                document_id, job_id, coalesce($3, body)
         from taken
         order by version",
    )
    .bind(ids)
    .bind(lanes)
    .bind(mended)
    .execute(conn)
    .await
    .map(drop)
}

async fn put_back_filter_deletes(conn: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with taken as (
             delete from tidewell.dead_letters where id = any($1) returning index_id, version, job_id, body
         )
         insert into tidewell.filter_deletes (index_id, version, job_id, filter)
         select index_id, version, job_id, body from taken",
    )
    .bind(ids)
    .execute(conn)
    .await
    .map(drop)
}
