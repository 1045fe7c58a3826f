//! Redriving the rows of a sync job: it is told to look at them again. A letter goes when the job has written its row, or found that
//! the row is gone; until then it stays.

use sqlx::{PgConnection, PgPool};
use tidewell_jobs::RunSync;
use uuid::Uuid;

use super::{
    Actor, Selection,
    hold::{BATCH, Share, hold, ids},
    trail::note,
};
use crate::db::sync::{
    overlay,
    run::{self, Trigger},
};

/// What became of the letters of one job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Resynced {
    pub(super) marked: i64,
    /// Of these, the ones that no run was queued for: the job has one under way, or is disabled.
    pub(super) deferred: i64,
}

/// Marks every letter that a job has of a selection, batch by batch, each with a run in its own transaction.
pub(super) async fn retry(
    pool: &PgPool,
    selection: Selection<'_>,
    job_id: Uuid,
    share: Share,
    by: Actor<'_>,
) -> Result<Resynced, sqlx::Error> {
    let mut done = Resynced::default();
    let (mut after, mut has_run) = (None, false);
    loop {
        let mut tx = pool.begin().await?;
        let collection = join_runs(&mut tx, job_id).await?;
        let letters = hold(&mut tx, selection, share, after).await?;
        after = letters.last().map(|letter| letter.id);
        note(&mut tx, &ids(&letters), "retry", by).await?;
        if let Some(collection) = &collection {
            let documents: Vec<_> = letters.iter().filter_map(|letter| letter.document_id.as_deref()).collect();
            overlay::look_at(&mut tx, job_id, collection, &documents).await?;
        }
        if !letters.is_empty() {
            match run::queue(&mut tx, job_id, Trigger::Redrive).await? {
                Some(_) => {
                    has_run = true;
                    tidewell_jobs::enqueue(&mut tx, &[RunSync { job_id }]).await?;
                }
                None => make_due_after_pass(&mut tx, job_id).await?,
            }
        }
        tx.commit().await?;
        let count = letters.len() as i64;
        done.marked += count;
        done.deferred += if has_run { 0 } else { count };
        if count < BATCH {
            return Ok(done);
        }
    }
}

/// The collection of a job, if there is one yet. Until the transaction ends no run of the job settles or ends: one that was about to has
/// ended before, and is followed by another, or finds what is marked.
///
/// In the order in which a run settles and a job is deleted: what is known of the job, the job, its letters.
async fn join_runs(conn: &mut PgConnection, job_id: Uuid) -> Result<Option<String>, sqlx::Error> {
    let collection: Option<Option<String>> =
        sqlx::query_scalar("select collection from tidewell.sync_states where job_id = $1 for no key update")
            .bind(job_id)
            .fetch_optional(&mut *conn)
            .await?;
    sqlx::query("select from public.typesense_sync_jobs where id = $1 for key share")
        .bind(job_id)
        .execute(conn)
        .await?;
    Ok(collection.flatten())
}

/// A run that has read everything looks at nothing any more: the job is due as soon as it has ended.
async fn make_due_after_pass(conn: &mut PgConnection, job_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.sync_states set repair_at = clock_timestamp()
         where job_id = $1
           and exists (select from tidewell.sync_positions as position
                       join public.typesense_sync_runs as run on run.id = position.run_id
                       where run.job_id = $1 and position.is_done)",
    )
    .bind(job_id)
    .execute(conn)
    .await
    .map(drop)
}
