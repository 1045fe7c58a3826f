//! What somebody looks for in the story of a job: its documents that were refused, and those that wait. Told once a batch for each job.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use uuid::Uuid;

use super::batch::{Batch, Item};
use crate::db::{lane::Lease, settlement::Settlement};

/// Jobs of a batch that are told of, when all of them wait for the same thing.
const TOLD: usize = 16;

/// What became of documents of one job, with the first of them as an example.
#[derive(Debug, PartialEq)]
pub(super) struct Chapter {
    job_id: Uuid,
    documents: usize,
    document_id: String,
    code: String,
    reason: String,
    /// Until the first of them is tried again; `None`: they are dead letters.
    wait: Option<Duration>,
}

/// What there is to tell of a batch that has been reconciled.
pub(super) fn chapters(batch: &Batch, settlement: &Settlement) -> Vec<Chapter> {
    let Settlement { deaths, retries, .. } = settlement;
    if deaths.is_empty() && retries.is_empty() {
        return vec![];
    }
    let items: HashMap<i64, &Item> = batch.items.iter().map(|item| (item.row.version, item)).collect();
    let died = deaths.iter().map(|death| (death.version, &death.code, &death.message, None));
    let wait = retries.iter().map(|retry| (retry.version, &retry.code, &retry.message, Some(retry.wait)));
    let mut chapters = BTreeMap::new();
    for (version, code, reason, wait) in died.chain(wait) {
        let Some(item) = items.get(&version) else { continue };
        let Some(job_id) = item.row.job_id else { continue };
        let chapter = chapters.entry((job_id, wait.is_some())).or_insert_with(|| Chapter {
            job_id,
            documents: 0,
            document_id: item.document_id.clone(),
            code: code.clone(),
            reason: reason.clone(),
            wait,
        });
        chapter.documents += 1;
        chapter.wait = chapter.wait.min(wait);
    }
    chapters.into_values().collect()
}

/// Tells it, once it is so.
pub(super) fn tell(lease: &Lease, chapters: &[Chapter]) {
    for Chapter { job_id, documents, document_id, code, reason, wait } in chapters {
        let Lease { index_id, lanes, .. } = lease;
        match wait {
            None => tracing::warn!(%job_id, %index_id, ?lanes, documents, document_id, code, reason,
                "documents were refused for good: they are dead letters"),
            Some(wait) => tracing::info!(%job_id, %index_id, ?lanes, documents, document_id, code, reason, ?wait,
                "documents wait for another try"),
        }
    }
}

/// Tells the jobs of a batch that it waits for a backend that is away.
pub(super) fn tell_of_pause(lease: &Lease, batch: &Batch, reason: &str) {
    let mut jobs: Vec<Uuid> = batch.items.iter().filter_map(|item| item.row.job_id).collect();
    jobs.sort_unstable();
    jobs.dedup();
    for job_id in jobs.into_iter().take(TOLD) {
        tracing::warn!(%job_id, index_id = %lease.index_id, lanes = ?lease.lanes, reason, "documents wait: the backend is in trouble");
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::batch::{Action, RowRef},
        *,
    };
    use crate::db::settlement::{Death, Retry};

    #[test]
    fn a_batch_is_told_once_for_each_job_and_fate() {
        let item = |version, job| Item {
            document_id: format!("d{version}"),
            document_version: version,
            action: Action::Delete,
            row: RowRef { version, job_id: Some(Uuid::from_u128(job)), attempts: 0 },
            older: vec![],
        };
        let batch = Batch { items: vec![item(1, 1), item(2, 1), item(3, 1), item(4, 2)], ..Batch::default() };
        let death = |version| Death {
            letter_id: Uuid::nil(),
            version,
            code: "refused".into(),
            message: format!("m{version}"),
            signature: String::new(),
        };
        let retry = |version, seconds| Retry {
            version,
            wait: Duration::from_secs(seconds),
            attempt: true,
            code: "failed".into(),
            message: "not now".into(),
        };
        let settlement = Settlement {
            deaths: vec![death(1), death(2)],
            retries: vec![retry(3, 9), retry(4, 5)],
            ..Settlement::default()
        };
        let told = chapters(&batch, &settlement);
        let told: Vec<_> = told.iter().map(|one| (one.job_id.as_u128(), one.documents, &*one.document_id)).collect();
        assert_eq!(told, [(1, 2, "d1"), (1, 1, "d3"), (2, 1, "d4")]);
        assert!(chapters(&batch, &Settlement::default()).is_empty());
    }
}
