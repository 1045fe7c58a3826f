//! `prune_finished`: removes what is finished and old.

use std::{sync::Arc, time::Duration};

use tidewell_jobs::Failure;

use super::{Worker, reindex};
use crate::db;

/// How long the wake-ups themselves are kept once they are done.
const WAKE_UPS_KEPT: Duration = Duration::from_secs(600);

pub(super) async fn handle(worker: Arc<Worker>) -> Result<(), Failure> {
    db::quota::reservation::end_abandoned(&worker.pool).await?;
    let removed = db::prune::prune(&worker.pool, worker.options.keep).await?;
    reindex::drop_versions(&worker).await?;
    tidewell_jobs::prune(&worker.pool, WAKE_UPS_KEPT).await?;
    tracing::debug!(removed, "pruned");
    Ok(())
}
