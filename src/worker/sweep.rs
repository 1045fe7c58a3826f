//! The scan that correctness rests on: it takes no input and trusts no message.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Worker, project_lane::Drained, resolve_filter_delete};
use crate::db;

/// Every so often, and whenever the backend is well again, attends to lanes that have something to do and nobody who does it.
pub(super) async fn sweep(worker: Arc<Worker>) {
    let mut drains = JoinSet::new();
    loop {
        tokio::select! {
            () = worker.shutdown.cancelled() => break,
            () = worker.gate.opened_again() => {}
            () = tokio::time::sleep(worker.options.poll) => {}
        }
        while drains.try_join_next().is_some() {}
        if worker.gate.is_open() || !drains.is_empty() {
            continue;
        }
        if let Err(error) = look(&worker, &mut drains).await {
            tracing::warn!(%error, "could not look for unattended lanes");
        }
    }
    drains.join_all().await;
}

async fn look(worker: &Arc<Worker>, drains: &mut JoinSet<()>) -> Result<(), sqlx::Error> {
    resolve_filter_delete::resolve_due(worker).await?;
    for lane in db::lane::unattended(&worker.pool).await? {
        let worker = worker.clone();
        drains.spawn(async move {
            while !worker.shutdown.is_cancelled() {
                match worker.drain(lane).await {
                    Ok(Drained::More) => {}
                    Ok(_) => return,
                    Err(error) => {
                        return tracing::warn!(%error, index_id = %lane.index_id, lane = lane.lane, "a drain broke off");
                    }
                }
            }
        });
    }
    Ok(())
}
