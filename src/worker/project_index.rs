//! `project_index`: sees which lanes of an index wait.

use std::sync::Arc;

use tidewell_jobs::{Failure, ProjectIndex, ProjectLane};

use super::{Worker, project_lane};
use crate::db;

/// Takes a turn with the lanes that have little to do, and leaves each of the others to a turn of its own. What becomes more after the
/// look has a wake-up of its own.
pub(super) async fn handle(worker: Arc<Worker>, ProjectIndex { index_id }: ProjectIndex) -> Result<(), Failure> {
    let waiting = db::lane::waiting(&worker.pool, index_id, worker.few()).await?;
    let Some((first, others)) = waiting.split_first() else { return Ok(()) };
    let alone = others.iter().filter(|other| !other.is_little);
    let alone: Vec<_> = alone.map(|other| ProjectLane { index_id, lane: other.lane }).collect();
    if !alone.is_empty() {
        tidewell_jobs::enqueue(&mut *worker.pool.acquire().await?, &alone).await?;
    }
    project_lane::handle(worker, ProjectLane { index_id, lane: first.lane }).await
}
