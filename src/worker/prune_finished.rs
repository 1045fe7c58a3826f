//! `prune_finished`: removes what is finished and old.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{counter, histogram};
use tidewell_jobs::Failure;

use super::{Worker, reindex};
use crate::{
    db,
    metrics::{PRUNE_DURATION, PRUNED_ROWS},
};

/// How long the wake-ups themselves are kept once they are done.
const WAKE_UPS_KEPT: Duration = Duration::from_secs(600);

pub(super) async fn handle(worker: Arc<Worker>) -> Result<(), Failure> {
    let began = Instant::now();
    db::quota::reservation::end_abandoned(&worker.pool).await?;
    let removed = db::prune::prune(&worker.pool, worker.options.keep).await?;
    reindex::drop_versions(&worker).await?;
    tidewell_jobs::prune(&worker.pool, WAKE_UPS_KEPT).await?;
    counter!(PRUNED_ROWS.name).increment(removed);
    histogram!(PRUNE_DURATION.name).record(began.elapsed());
    tracing::debug!(removed, "pruned");
    Ok(())
}
