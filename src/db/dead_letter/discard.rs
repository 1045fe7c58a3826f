//! Discarding: the letter goes, the trail and the job's counts remember it.

use sqlx::PgPool;

use super::{
    Actor, Selection,
    hold::{BATCH, count, hold, ids, remove},
    trail::note,
};

/// What became of a discard.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Discarded {
    pub matched: i64,
    pub discarded: i64,
}

/// Discards every letter of a selection, batch by batch, each its own transaction; with `dry_run` it only counts them.
pub async fn discard(
    pool: &PgPool,
    selection: Selection<'_>,
    by: Actor<'_>,
    dry_run: bool,
) -> Result<Discarded, sqlx::Error> {
    let shares = count(pool, selection).await?;
    let mut done = Discarded { matched: shares.iter().map(|share| share.count).sum(), discarded: 0 };
    if dry_run {
        return Ok(done);
    }
    for share in shares {
        let mut after = None;
        loop {
            let mut tx = pool.begin().await?;
            let ids = ids(&hold(&mut tx, selection, share, after).await?);
            note(&mut tx, &ids, "discard", by).await?;
            remove(&mut tx, &ids).await?;
            tx.commit().await?;
            done.discarded += ids.len() as i64;
            after = ids.last().copied();
            if (ids.len() as i64) < BATCH {
                break;
            }
        }
    }
    tracing::info!(actor = by.name, discarded = done.discarded, "dead letters discarded");
    Ok(done)
}
