//! Redriving the rows of a sync job: it is told to look at them again. A letter goes when the job has written its row, or found that
//! the row is gone; until then it stays.

use sqlx::PgPool;
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
    state,
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
        let collection = state::join_runs(&mut tx, job_id).await?;
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
                None => state::make_due_after_pass(&mut tx, job_id).await?,
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
