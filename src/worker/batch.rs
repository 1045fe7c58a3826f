//! What one import carries: of each document the newest write, the older ones waiting to see how it fares.

use std::collections::HashMap;

use uuid::Uuid;

use crate::db::outbox::{Operation, Row};

/// A row of the outbox, without its body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowRef {
    pub(super) version: i64,
    pub(super) job_id: Option<Uuid>,
    pub(super) attempts: i16,
}

/// What is to be done to one document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Send this body.
    Upsert(String),
    Delete,
    /// Delete it if it matches this filter.
    DeleteIfMatches(String),
}

/// One document of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) document_id: String,
    /// The version that the document has afterwards.
    pub(super) document_version: i64,
    pub(super) action: Action,
    pub(super) row: RowRef,
    /// Older writes of the document. They are superseded once this one is projected; where it is refused they get their turn, so
    /// that a bad new version does not cost the good one before it.
    pub(super) older: Vec<RowRef>,
}

/// Rows of a lane, put together for one request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whether its rows are retries; all of them are, or none.
    pub(super) retrying: bool,
    pub(super) items: Vec<Item>,
    /// Rows that have nothing left to do: the record has something newer already.
    pub(super) superseded: Vec<RowRef>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.superseded.is_empty()
    }

    /// The version that each document of the batch is about to have.
    pub(super) fn versions(&self) -> HashMap<String, i64> {
        self.items.iter().map(|item| (item.document_id.clone(), item.document_version)).collect()
    }
}

/// Puts rows together. `in_flight` holds the versions that the request before this one carries: rows that are not newer wait for
/// its answer and are left out.
pub(super) fn compose(rows: Vec<Row>, retrying: bool, in_flight: &HashMap<String, i64>) -> Batch {
    let mut documents: HashMap<String, Vec<Row>> = HashMap::new();
    let mut order = Vec::new();
    for row in rows {
        let versions = documents.entry(row.document_id.clone()).or_default();
        if versions.is_empty() {
            order.push(row.document_id.clone());
        }
        versions.push(row);
    }
    let mut batch = Batch { retrying, ..Batch::default() };
    for id in order {
        let Some(rows) = documents.remove(&id) else { continue };
        let awaited = in_flight.get(&id).copied().unwrap_or(i64::MIN);
        compose_document(&mut batch, rows.into_iter().filter(|row| effective(row) > awaited).collect());
    }
    batch
}

/// The version that a row would give its document: a repair gives it the one that it has.
fn effective(row: &Row) -> i64 {
    match row.operation {
        Operation::Reproject => row.recorded_version,
        _ => row.document_version,
    }
}

fn compose_document(batch: &mut Batch, mut rows: Vec<Row>) {
    // A repair comes before a write of the same version could: the write is what it stands for.
    rows.sort_by_key(|row| (effective(row), row.operation != Operation::Reproject));
    let mut live = Vec::with_capacity(rows.len());
    for row in rows {
        let overtaken = row.operation != Operation::Reproject && effective(&row) <= row.recorded_version;
        if overtaken { batch.superseded.push(reference(&row)) } else { live.push(row) }
    }
    // Whether a document matches is known only when its older writes have ended.
    while live.len() > 1 && live.last().is_some_and(|row| row.operation == Operation::DeleteIfMatches) {
        live.pop();
    }
    let Some(newest) = live.pop() else { return };
    batch.items.push(Item {
        document_version: effective(&newest),
        row: reference(&newest),
        older: live.iter().map(reference).collect(),
        action: match (newest.operation, newest.body) {
            (Operation::DeleteIfMatches, Some(filter)) => Action::DeleteIfMatches(filter),
            (Operation::Upsert | Operation::Reproject, Some(body)) => Action::Upsert(body),
            _ => Action::Delete,
        },
        document_id: newest.document_id,
    });
}

fn reference(row: &Row) -> RowRef {
    RowRef { version: row.version, job_id: row.job_id, attempts: row.attempts }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(id: &str, version: i64, operation: Operation, recorded_version: i64) -> Row {
        let body = (operation != Operation::Delete).then(|| format!("body {version}"));
        let document_id = id.to_owned();
        Row {
            version,
            document_version: version,
            operation,
            document_id,
            job_id: None,
            body,
            attempts: 0,
            recorded_version,
        }
    }

    fn sent(batch: &Batch) -> Vec<(&str, i64, usize)> {
        batch.items.iter().map(|item| (&*item.document_id, item.document_version, item.older.len())).collect()
    }

    #[test]
    fn the_newest_write_of_a_document_is_sent_and_the_older_ones_wait() {
        use Operation::{Delete, Upsert};
        let rows = vec![row("a", 1, Upsert, 0), row("b", 2, Upsert, 0), row("a", 3, Delete, 0), row("a", 4, Upsert, 0)];
        let batch = compose(rows, false, &HashMap::new());
        assert_eq!(sent(&batch), [("a", 4, 2), ("b", 2, 0)]);
        assert_eq!(batch.items[0].action, Action::Upsert("body 4".into()));
    }

    #[test]
    fn a_row_that_the_record_has_overtaken_is_not_sent() {
        let batch = compose(vec![row("a", 5, Operation::Upsert, 9)], true, &HashMap::new());
        assert!(batch.items.is_empty());
        assert_eq!(batch.superseded[0].version, 5);
    }

    #[test]
    fn a_row_that_is_not_newer_than_what_is_in_flight_waits() {
        let in_flight = HashMap::from([("a".to_owned(), 5)]);
        let rows = vec![row("a", 4, Operation::Upsert, 0), row("a", 5, Operation::Upsert, 0)];
        assert!(compose(rows, false, &in_flight).is_empty());
        let batch = compose(vec![row("a", 6, Operation::Upsert, 0)], false, &in_flight);
        assert_eq!(sent(&batch), [("a", 6, 0)]);
    }

    #[test]
    fn a_repair_sends_the_record_and_yields_to_a_newer_write() {
        let repair = || row("a", 20, Operation::Reproject, 7);
        let batch = compose(vec![repair()], false, &HashMap::new());
        assert_eq!(sent(&batch), [("a", 7, 0)]);
        let batch = compose(vec![row("a", 9, Operation::Upsert, 7), repair()], false, &HashMap::new());
        assert_eq!(sent(&batch), [("a", 9, 1)]);
        let mut gone = repair();
        gone.body = None;
        assert_eq!(compose(vec![gone], false, &HashMap::new()).items[0].action, Action::Delete);
    }

    #[test]
    fn a_conditional_delete_takes_its_place_in_the_order_and_waits_for_the_writes_before_it() {
        let mut conditional = row("a", 30, Operation::DeleteIfMatches, 0);
        conditional.document_version = 10;
        let alone = compose(vec![row("a", 30, Operation::DeleteIfMatches, 0)], false, &HashMap::new());
        assert_eq!(alone.items[0].action, Action::DeleteIfMatches("body 30".into()));
        let older = compose(vec![row("a", 9, Operation::Upsert, 0), conditional], false, &HashMap::new());
        assert_eq!(sent(&older), [("a", 9, 0)]);
        let mut conditional = row("a", 30, Operation::DeleteIfMatches, 0);
        conditional.document_version = 10;
        let newer = compose(vec![row("a", 12, Operation::Upsert, 0), conditional], false, &HashMap::new());
        assert_eq!(sent(&newer), [("a", 12, 1)]);
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let operations = proptest::sample::select(&[
            Operation::Upsert,
            Operation::Delete,
            Operation::Reproject,
            Operation::DeleteIfMatches,
        ]);
        proptest::collection::vec((0..3usize, operations), 0..12).prop_map(|kinds| {
            let one = |(n, (document, operation)): (usize, (usize, Operation))| {
                row(["a", "b", "c"][document], n as i64 + 1, operation, [0, 4, 20][document])
            };
            kinds.into_iter().enumerate().map(one).collect()
        })
    }

    proptest! {
        #[test]
        fn of_each_document_the_newest_write_goes_and_no_row_is_lost_or_taken_twice(
            rows in rows(), in_flight in proptest::option::of(0..12i64),
        ) {
            let all: HashMap<i64, (String, i64)> =
                rows.iter().map(|row| (row.version, (row.document_id.clone(), effective(row)))).collect();
            let waiting: Vec<i64> =
                rows.iter().filter(|row| row.operation == Operation::DeleteIfMatches).map(|row| row.version).collect();
            let flying: HashMap<String, i64> = in_flight.map(|version| ("a".to_owned(), version)).into_iter().collect();
            let batch = compose(rows, false, &flying);
            let mut taken: Vec<i64> = batch.superseded.iter().map(|row| row.version).collect();
            let mut documents = std::collections::HashSet::new();
            for item in &batch.items {
                prop_assert!(documents.insert(&item.document_id), "a document is in a request once");
                prop_assert!(item.older.iter().all(|older| all[&older.version].1 <= item.document_version));
                prop_assert!(flying.get(&item.document_id).is_none_or(|flying| item.document_version > *flying));
                taken.extend(item.older.iter().chain([&item.row]).map(|row| row.version));
            }
            let count = taken.len();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), count);
            for (version, (document_id, effective)) in &all {
                let awaited = flying.get(document_id).is_some_and(|flying| effective <= flying);
                prop_assert!(taken.contains(version) != awaited || waiting.contains(version), "row {version}");
            }
        }
    }
}
