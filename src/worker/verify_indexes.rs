//! `verify_indexes`: compares each index whose check is due with its collection, one after the other.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use tidewell_jobs::Failure;

use super::Worker;
use crate::{
    db,
    drift::{self, Error},
    metrics::INDEX_CHECKS,
};

/// When a check that could not be made is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(900);

pub(super) async fn handle(worker: Arc<Worker>) -> Result<(), Failure> {
    // A wake-up of before checks were switched off.
    let Some(every) = worker.options.verify_every else { return Ok(()) };
    while !worker.gate.is_open()
        && !worker.shutdown.is_cancelled()
        && let Some(index_id) = db::index_check::lease(&worker.pool).await?
    {
        let checked = tokio::select! {
            checked = drift::verify(&worker.pool, &worker.typesense, index_id, false) => checked,
            () = worker.shutdown.cancelled() => {
                db::index_check::give_back(&worker.pool, index_id).await?;
                break;
            }
        };
        match checked {
            Ok(drift) => {
                let found = &drift.found;
                checked_as(if found.drifted() > 0 { "drifted" } else { "clean" });
                if found.drifted() > 0 {
                    tracing::warn!(%index_id, index = drift.index, missing = found.missing, extra = found.extra,
                        stale = found.stale, "the collection has drifted from what was written");
                }
                db::index_check::end(&worker.pool, index_id, every, None).await?;
            }
            // With the lease: who comes after finds it run out.
            Err(Error::Database(error)) => return Err(error.into()),
            Err(error) => {
                checked_as("failed");
                tracing::warn!(%index_id, %error, "an index could not be compared with its collection");
                let wait = TRY_AGAIN.min(every);
                db::index_check::end(&worker.pool, index_id, wait, Some(&error.to_string())).await?;
            }
        }
    }
    Ok(())
}

/// Counts a comparison.
fn checked_as(outcome: &'static str) {
    counter!(INDEX_CHECKS.name, "outcome" => outcome).increment(1);
}
