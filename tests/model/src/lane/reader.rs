//! Reading a lane and composing a batch (`worker/reader.rs`, `worker/batch.rs`, `db/outbox.rs`).

use super::{
    Lane, Rule,
    state::{Batch, Content, Drain, Item, Operation, Row, State, Version},
};

/// The next batch of a drain's pass, `None` at its end. `in_flight`: the version that is being sent meanwhile.
pub(super) fn next(lane: &Lane, state: &State, drain: &mut Drain, in_flight: Option<Version>) -> Option<Batch> {
    loop {
        let rows = rows(state, drain.retrying, drain.after);
        match rows.last() {
            Some(last) => {
                drain.after = last.place;
                let batch = compose(lane, state, rows, drain.retrying, in_flight);
                if batch.item.is_some() || !batch.superseded.is_empty() {
                    return Some(batch);
                }
            }
            None if drain.retrying => (drain.retrying, drain.after) = (false, beginning(lane, state)),
            None => return None,
        }
    }
}

/// Where a pass begins.
pub(super) fn beginning(lane: &Lane, state: &State) -> Version {
    if lane.keeps(Rule::PassFromTheBeginning) { 0 } else { state.seen }
}

/// Whether a pass would find anything.
pub(super) fn has_work(lane: &Lane, state: &State) -> bool {
    !rows(state, true, 0).is_empty() || !rows(state, false, beginning(lane, state)).is_empty()
}

fn rows(state: &State, retrying: bool, after: Version) -> Vec<Row> {
    let is_overflown = |row: &Row| retrying && state.flights.iter().any(|flight| flight.version > row.version);
    let due = state.outbox.iter().filter(|row| row.retrying == retrying && row.place > after && !is_overflown(row));
    due.copied().collect()
}

fn compose(lane: &Lane, state: &State, rows: Vec<Row>, retrying: bool, in_flight: Option<Version>) -> Batch {
    let recorded = state.record.map_or(0, |record| record.version);
    let effective = |row: &Row| match row.operation {
        Operation::Reproject => recorded,
        _ => row.version,
    };
    let awaited = |row: &Row| in_flight.is_some_and(|version| effective(row) <= version);
    let mut rows: Vec<Row> = rows.into_iter().filter(|row| !awaited(row)).collect();
    rows.sort_by_key(|row| (effective(row), row.operation != Operation::Reproject));
    let is_overtaken =
        |row: &Row| row.operation != Operation::Reproject && effective(row) <= recorded && lane.keeps(Rule::Comparison);
    let (superseded, mut live): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(is_overtaken);
    let item = live.pop().map(|newest| Item {
        row: newest,
        content: content(state, newest),
        version: effective(&newest),
        older: live.iter().map(|row| row.place).collect(),
    });
    Batch { retrying, item, superseded: superseded.iter().map(|row| row.place).collect() }
}

fn content(state: &State, row: Row) -> Content {
    match (row.operation, state.record) {
        (Operation::Upsert, _) => Content::Document(row.version),
        (Operation::Unfit, _) => Content::Unfit,
        (Operation::Reproject, Some(record)) if record.is_there => Content::Document(record.version),
        (Operation::Reproject | Operation::Delete, _) => Content::Absence,
    }
}
