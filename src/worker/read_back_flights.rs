//! `read_back_flights`: looks after requests whose outcome is in doubt.
//!
//! A worker that dies leaves a request that may land at any later time, over newer writes: Typesense has no conditional write that
//! could stop it. So the documents that it carried are read back until it can no longer be alive, and each that does not hold what
//! the record says is projected again, in its lane.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use serde_json::Value;
use tidewell_jobs::Failure;

use super::{Worker, error::Error, reindex::mend_aliases};
use crate::{
    db::{
        self,
        flight::{Doubted, Record},
    },
    domain::document::VERSION_FIELD,
    drift,
    metrics::{FLIGHTS_READ_BACK, REPAIRED_DOCUMENTS},
};

/// Between two looks at one flight.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

pub(super) async fn handle(worker: Arc<Worker>) -> Result<(), Failure> {
    if !worker.gate.is_open()
        && let Err(error) = mend_aliases(&worker).await
    {
        tracing::warn!(%error, "could not see whether all aliases are where they belong");
    }
    let every = LOOK_AGAIN.min(worker.options.doubt);
    while !worker.gate.is_open()
        && !worker.shutdown.is_cancelled()
        && let Some(flight) = db::flight::next_doubted(&worker.pool, every, worker.options.lifetime().timeout).await?
    {
        match stale(&worker, &flight).await {
            Ok(stale) => {
                read_back(if stale.is_empty() { "clean" } else { "stale" });
                settle(&worker, &flight, stale).await?;
            }
            Err(Error::Database(error)) => return Err(error.into()),
            // Looked at again when it is due.
            Err(Error::Typesense(error)) => {
                read_back("unreadable");
                tracing::warn!(flight_id = %flight.id, %error, "could not read a doubted request back");
            }
        }
    }
    Ok(())
}

/// Counts a look at a flight.
fn read_back(outcome: &'static str) {
    counter!(FLIGHTS_READ_BACK.name, "outcome" => outcome).increment(1);
}

/// The documents of a flight that the collection does not hold as the record says.
async fn stale(worker: &Worker, flight: &Doubted) -> Result<Vec<String>, Error> {
    let ids: Vec<&str> = flight.document_ids.iter().map(String::as_str).collect();
    let Some(typesense) = worker.typesense.caught_up(&flight.collection).await? else { return Ok(vec![]) };
    let found = typesense.field_of(&flight.collection, &ids, VERSION_FIELD).await?;
    // Read after the collection: what was projected in between is newer there than here, or the same.
    let records = db::flight::records(&worker.pool, flight.index_id, &flight.document_ids).await?;
    let stale = records.into_iter().filter(|record| {
        let found = found.get(&record.document_id);
        is_stale(found.map(|version| version.as_ref().and_then(Value::as_i64).unwrap_or(0)), record)
    });
    Ok(stale.map(|record| record.document_id).collect())
}

/// Whether what was found (`None`: no document) is not what the record says. Something newer is on its way into the record, unless
/// it has died since.
fn is_stale(found: Option<i64>, record: &Record) -> bool {
    match found {
        None => record.is_there,
        Some(found) if found == record.version => !record.is_there,
        Some(found) => found <= record.accepted_version,
    }
}

async fn settle(worker: &Worker, flight: &Doubted, stale: Vec<String>) -> Result<(), sqlx::Error> {
    if !stale.is_empty() {
        tracing::warn!(flight_id = %flight.id, index_id = %flight.index_id, lost_worker = flight.worker,
            documents = stale.len(), "a lost request landed late: repairing");
        let documents = stale.len() as u64;
        let mut tx = worker.pool.begin().await?;
        drift::reproject(&mut tx, flight.index_id, stale).await?;
        tx.commit().await?;
        counter!(REPAIRED_DOCUMENTS.name).increment(documents);
    }
    match (flight.outlived, flight.confirmed) {
        (true, false) => db::flight::confirm(&worker.pool, flight.id).await,
        // What was found can't be judged for good before the record has what it may have overwritten.
        (true, true) if !flight.is_overlapped => db::flight::forget(&worker.pool, flight.id).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_record_does_not_say_is_repaired_unless_it_is_newer_and_alive() {
        let record = |version, accepted_version, is_there| Record {
            document_id: "a".to_owned(),
            version,
            accepted_version,
            is_there,
        };
        assert!(is_stale(None, &record(5, 5, true)), "a late delete took it");
        assert!(is_stale(Some(3), &record(5, 5, true)), "a late import put an older version over it");
        assert!(is_stale(Some(3), &record(5, 5, false)), "a late import revived it");
        assert!(is_stale(Some(9), &record(5, 9, true)), "what landed has died since");
        assert!(!is_stale(Some(5), &record(5, 9, true)));
        assert!(!is_stale(None, &record(5, 5, false)));
        assert!(!is_stale(Some(9), &record(5, 5, true)), "a newer version is being projected");
        assert!(!is_stale(Some(9), &record(5, 5, false)));
    }
}
