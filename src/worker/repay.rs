//! Documents that were written without a vector get it once their model is back: they are projected again, in their lanes.

use uuid::Uuid;

use super::Worker;
use crate::{
    db::{self, embedding_debt, reindex::record},
    drift,
};

/// Documents of one step: their vectors are made first, so that their lanes find them in the cache.
const STEP: i64 = 100;

/// Projects again what waits for its vectors, index by index, as far as their models are back.
pub(super) async fn repay(worker: &Worker) -> Result<(), sqlx::Error> {
    for index_id in embedding_debt::debtors(&worker.pool).await? {
        while !worker.shutdown.is_cancelled() && !worker.gate.is_open() && step(worker, index_id).await? {}
    }
    Ok(())
}

/// False where nothing is left that can be done now.
async fn step(worker: &Worker, index_id: Uuid) -> Result<bool, sqlx::Error> {
    let Some(index) = db::index::find(&worker.pool, index_id).await? else { return Ok(false) };
    let ids = embedding_debt::read(&worker.pool, index_id, STEP).await?;
    let bodies = record::bodies(&worker.pool, index_id, &ids).await?;
    let Some(version) = db::version::find(&worker.pool, index_id, index.version).await? else { return Ok(false) };
    // The model as the collection knows it: another one is no reason to try again.
    let Ok(embeds) = worker.embeds(&version).await else { return Ok(false) };
    let embeds = embeds.map(|(_, embeds)| embeds);
    match worker.vectors(embeds.as_ref(), bodies.iter().map(String::as_str)).await {
        Ok(vectors) if !vectors.are_due() => {}
        _ => return Ok(false),
    }
    let mut tx = worker.pool.begin().await?;
    let taken = embedding_debt::take(&mut tx, index_id, &ids).await?;
    let documents = taken.len();
    drift::reproject(&mut tx, index_id, taken).await?;
    tx.commit().await?;
    tracing::info!(%index_id, documents, "documents get the vectors that they went without");
    Ok(documents > 0)
}
