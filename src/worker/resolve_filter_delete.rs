//! `resolve_filter_delete`: turns a delete by filter into deletes of documents.
//!
//! While one waits, the lanes of its index stop at its version. Once everything before it has ended, the collection is in exactly
//! the state that the delete is about: what matches then is deleted, at the delete's own version, so that later writes survive.

use std::{collections::HashSet, sync::Arc};

use futures::TryStreamExt;
use sqlx::PgConnection;
use tidewell_jobs::{Failure, ProjectIndex};
use uuid::Uuid;

use super::{Worker, error::Error};
use crate::{
    db::{self, filter_delete::FilterDelete, index::Index, job::Change, settlement::Death},
    domain::{filter, lane::lane_of, signature::signature},
    typesense,
};

/// Ids of one insert.
const CHUNK: usize = 1000;

pub(super) async fn handle(worker: Arc<Worker>) -> Result<(), Failure> {
    Ok(resolve_due(&worker).await?)
}

/// Resolves every delete whose turn it is.
pub(super) async fn resolve_due(worker: &Worker) -> Result<(), sqlx::Error> {
    while !worker.gate.is_open()
        && let Some(delete) = db::filter_delete::lease(&worker.pool, worker.options.lease).await?
    {
        let Some(index) = db::index::find(&worker.pool, delete.index_id).await? else { return Ok(()) };
        let resolved = tokio::select! {
            resolved = resolve(worker, &index, &delete) => resolved,
            // Rolled back, and found by whoever looks next.
            () = worker.shutdown.cancelled() => return Ok(()),
        };
        match resolved {
            Ok(()) => tracing::info!(job_id = %delete.job_id, index_id = %index.id, "resolved a delete by filter"),
            Err(Error::Database(error)) => return Err(error),
            Err(Error::Typesense(fault)) => failed(worker, &index, &delete, &fault).await?,
        }
    }
    Ok(())
}

/// A delete whose filter the backend refuses, or again and again can't cope with, must not hold its index up for ever.
async fn failed(
    worker: &Worker,
    index: &Index,
    delete: &FilterDelete,
    fault: &typesense::Error,
) -> Result<(), sqlx::Error> {
    tracing::warn!(job_id = %delete.job_id, index_id = %index.id, error = %fault, "a delete by filter failed");
    if fault.refuses_work() || (fault.is_transient() && !worker.backend_is_well().await) {
        worker.gate.trip(&fault.to_string());
        return db::filter_delete::postpone(&worker.pool, delete, worker.options.backoff.base, false).await;
    }
    if !fault.is_transient() || i32::from(delete.attempts) + 1 >= index.max_attempts {
        return bury(worker, delete, fault).await;
    }
    let wait = worker.options.backoff.after(u32::from(delete.attempts.unsigned_abs()) + 1);
    db::filter_delete::postpone(&worker.pool, delete, wait, true).await
}

async fn resolve(worker: &Worker, index: &Index, delete: &FilterDelete) -> Result<(), Error> {
    let mut tx = worker.pool.begin().await?;
    if !db::filter_delete::remove(&mut tx, delete).await? {
        return Ok(());
    }
    let undecided = db::filter_delete::unsettled_ids(&mut tx, delete).await?;
    let mut spread = 0;
    if let Some(collection) = &index.collection
        && let Some(typesense) = worker.typesense.caught_up(collection).await?
    {
        spread = spread_matching(&typesense, index, collection, delete, &undecided, &mut tx).await?;
    }
    let undecided: Vec<_> = undecided.into_iter().map(with_lane).collect();
    db::filter_delete::spread(&mut tx, delete, &undecided, true).await?;
    finish(&mut tx, delete, Change { pending: -1, succeeded: 1, ..Change::default() }).await?;
    db::backlog::add(&mut tx, index.id, (spread + undecided.len()) as i64).await?;
    tx.commit().await?;
    Ok(())
}

/// Gives how many documents match.
async fn spread_matching(
    typesense: &typesense::Client,
    index: &Index,
    collection: &str,
    delete: &FilterDelete,
    undecided: &HashSet<String>,
    conn: &mut PgConnection,
) -> Result<usize, Error> {
    let confined = filter::confine([delete.filter.as_str()], index.organization_id);
    let mut matching = std::pin::pin!(typesense.ids_matching(collection, &confined).await?);
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut spread = 0;
    while let Some(id) = matching.try_next().await? {
        if undecided.contains(&id) {
            continue;
        }
        chunk.push(with_lane(id));
        spread += 1;
        if chunk.len() == CHUNK {
            db::filter_delete::spread(conn, delete, &chunk, false).await?;
            chunk.clear();
        }
    }
    db::filter_delete::spread(conn, delete, &chunk, false).await?;
    Ok(spread)
}

fn with_lane(id: String) -> (i16, String) {
    (lane_of(&id), id)
}

/// Wakes the lanes, which may go on, and closes the delete's own row in its job.
async fn finish(conn: &mut PgConnection, delete: &FilterDelete, change: Change) -> Result<(), sqlx::Error> {
    tidewell_jobs::enqueue(conn, &[ProjectIndex { index_id: delete.index_id }]).await?;
    db::job::apply(conn, &[(delete.job_id, change)]).await.map(drop)
}

async fn bury(worker: &Worker, delete: &FilterDelete, fault: &typesense::Error) -> Result<(), sqlx::Error> {
    let (code, message) = ("filter_refused".to_owned(), fault.to_string());
    let signature = signature(&code, &message);
    let death = Death { letter_id: Uuid::now_v7(), version: delete.version, code, message, signature };
    let mut tx = worker.pool.begin().await?;
    if db::filter_delete::remove(&mut tx, delete).await? {
        db::filter_delete::bury(&mut tx, delete, &death).await?;
        finish(&mut tx, delete, Change { pending: -1, dead: 1, ..Change::default() }).await?;
    }
    tx.commit().await
}
