//! From what the backend said of each document to what becomes of each row. Pure, but for the counting.

use std::collections::BTreeMap;

use metrics::{counter, histogram};
use uuid::Uuid;

use super::batch::{Batch, RowRef};
use crate::{
    db::{
        job::Change,
        settlement::{Death, Retry, Settlement},
    },
    domain::{backoff::Backoff, signature::signature},
    metrics::{FAILED_ROWS, FRESHNESS, SETTLED_ROWS},
};

/// What must wait for something else comes back after as long as a row that has failed so often.
const WAITS_LIKE: u32 = 3;

/// What the backend said of one document of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Projected,
    /// The document was looked at, and there was nothing to do.
    NothingToDo,
    /// It can't be taken, now or later.
    Refused {
        code: String,
        message: String,
    },
    /// It was not taken, and may be later.
    Failed {
        code: String,
        message: String,
    },
    /// It must wait for something else; no attempt is spent.
    Wait,
    /// Nothing is known: the row stays as it is.
    Unknown,
}

/// What to write down of a batch, and what it changes in each job's counts.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    pub(super) settlement: Settlement,
    pub(super) changes: Vec<(Uuid, Change)>,
}

impl Reconciled {
    /// Counts what was written down; `ages` tells how many seconds ago each of its jobs was enqueued.
    pub(super) fn count(&self, ages: &[(Uuid, f64)]) {
        let Settlement { projected, superseded, retries, deaths, .. } = &self.settlement;
        let outcomes = [
            ("projected", projected.len()),
            ("superseded", superseded.len()),
            ("retried", retries.len()),
            ("dead", deaths.len()),
        ];
        for (outcome, rows) in outcomes {
            counter!(SETTLED_ROWS.name, "outcome" => outcome).increment(rows as u64);
        }
        let retried = retries.iter().map(|retry| (&retry.code, "retried"));
        for (code, fate) in retried.chain(deaths.iter().map(|death| (&death.code, "dead"))) {
            counter!(FAILED_ROWS.name, "code" => code.clone(), "fate" => fate).increment(1);
        }
        let freshness = histogram!(FRESHNESS.name);
        for (job_id, age) in ages {
            // They are in the order of their ids.
            let Ok(n) = self.changes.binary_search_by_key(job_id, |(id, _)| *id) else { continue };
            freshness.record_many(age.max(0.0), self.changes[n].1.succeeded.unsigned_abs() as usize);
        }
    }
}

/// Decides the fate of every row of a batch. `outcomes` has one entry for each item.
pub(super) fn reconcile(batch: &Batch, outcomes: Vec<Outcome>, max_attempts: i32, backoff: Backoff) -> Reconciled {
    let mut ledger = Ledger { retrying: batch.retrying, changes: BTreeMap::new() };
    let mut settlement = Settlement { retrying: batch.retrying, ..Settlement::default() };
    let supersede = |ledger: &mut Ledger, row: &RowRef, superseded: &mut Vec<i64>| {
        superseded.push(row.version);
        ledger.leave(row, |change| &mut change.superseded);
    };
    for row in &batch.superseded {
        supersede(&mut ledger, row, &mut settlement.superseded);
    }
    for (item, outcome) in batch.items.iter().zip(outcomes) {
        let row = &item.row;
        match outcome {
            Outcome::Projected => {
                settlement.projected.push(row.version);
                ledger.leave(row, |change| &mut change.succeeded);
                for older in &item.older {
                    supersede(&mut ledger, older, &mut settlement.superseded);
                }
            }
            Outcome::NothingToDo => supersede(&mut ledger, row, &mut settlement.superseded),
            Outcome::Refused { code, message } => {
                settlement.deaths.push(death(row, code, message));
                ledger.leave(row, |change| &mut change.dead);
            }
            Outcome::Failed { code, message } if i32::from(row.attempts) + 1 >= max_attempts => {
                settlement.deaths.push(death(row, code, message));
                ledger.leave(row, |change| &mut change.dead);
            }
            Outcome::Failed { code, message } => {
                let wait = backoff.after(u32::from(row.attempts.unsigned_abs()) + 1);
                settlement.retries.push(Retry { version: row.version, wait, attempt: true, code, message });
                ledger.retry(row);
            }
            Outcome::Wait => {
                let code = "waiting".to_owned();
                let message = "it is not known yet what the document holds".to_owned();
                let wait = backoff.after(WAITS_LIKE);
                settlement.retries.push(Retry { version: row.version, wait, attempt: false, code, message });
                ledger.retry(row);
            }
            Outcome::Unknown => {}
        }
    }
    Reconciled { settlement, changes: ledger.changes.into_iter().collect() }
}

fn death(row: &RowRef, code: String, message: String) -> Death {
    let signature = signature(&code, &message);
    Death { letter_id: Uuid::now_v7(), version: row.version, code, message, signature }
}

/// Changes of the jobs' counts, in the order of their ids.
struct Ledger {
    retrying: bool,
    changes: BTreeMap<Uuid, Change>,
}

impl Ledger {
    /// The row ends, counted under `as_`.
    fn leave(&mut self, row: &RowRef, as_: fn(&mut Change) -> &mut i32) {
        let Some(job_id) = row.job_id else { return };
        let change = self.changes.entry(job_id).or_default();
        *as_(change) += 1;
        *(if self.retrying { &mut change.retrying } else { &mut change.pending }) -= 1;
    }

    /// The row waits for a retry from now on.
    fn retry(&mut self, row: &RowRef) {
        if let (Some(job_id), false) = (row.job_id, self.retrying) {
            let change = self.changes.entry(job_id).or_default();
            change.pending -= 1;
            change.retrying += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::batch::{Action, Item},
        *,
    };

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(9) };
    const JOB: Uuid = Uuid::from_u128(1);

    fn row(version: i64, attempts: i16) -> RowRef {
        RowRef { version, job_id: Some(JOB), attempts }
    }

    fn batch(retrying: bool, rows: &[(RowRef, Vec<RowRef>)]) -> Batch {
        let item = |(row, older): &(RowRef, Vec<RowRef>)| Item {
            document_id: row.version.to_string(),
            document_version: row.version,
            action: Action::Delete,
            row: row.clone(),
            older: older.clone(),
        };
        Batch { retrying, items: rows.iter().map(item).collect(), superseded: vec![] }
    }

    fn refused() -> Outcome {
        Outcome::Refused { code: "refused".into(), message: "no".into() }
    }

    fn failed() -> Outcome {
        Outcome::Failed { code: "failed".into(), message: "not now".into() }
    }

    #[test]
    fn older_writes_are_superseded_only_by_one_that_was_projected() {
        let batch = batch(false, &[(row(3, 0), vec![row(1, 0)]), (row(4, 0), vec![row(2, 0)])]);
        let done = reconcile(&batch, vec![Outcome::Projected, refused()], 8, BACKOFF);
        assert_eq!(done.settlement.projected, [3]);
        assert_eq!(done.settlement.superseded, [1]);
        assert_eq!(done.settlement.deaths[0].version, 4);
        let change = Change { pending: -3, succeeded: 1, superseded: 1, dead: 1, retrying: 0 };
        assert_eq!(done.changes, [(JOB, change)]);
    }

    #[test]
    fn a_passing_fault_is_retried_until_the_attempts_are_spent() {
        let done = reconcile(&batch(false, &[(row(1, 0), vec![])]), vec![failed()], 3, BACKOFF);
        assert_eq!(done.settlement.retries.len(), 1);
        assert_eq!(done.changes, [(JOB, Change { pending: -1, retrying: 1, ..Change::default() })]);
        let done = reconcile(&batch(true, &[(row(1, 1), vec![])]), vec![failed()], 3, BACKOFF);
        assert_eq!((done.settlement.retries.len(), done.changes.len()), (1, 0));
        let done = reconcile(&batch(true, &[(row(1, 2), vec![])]), vec![failed()], 3, BACKOFF);
        assert_eq!(done.settlement.deaths.len(), 1);
        assert_eq!(done.changes, [(JOB, Change { retrying: -1, dead: 1, ..Change::default() })]);
    }

    #[test]
    fn what_is_not_known_changes_nothing() {
        let done = reconcile(&batch(false, &[(row(1, 0), vec![])]), vec![Outcome::Unknown], 1, BACKOFF);
        assert_eq!(done.settlement.settled() + done.settlement.retries.len() + done.changes.len(), 0);
    }
}
