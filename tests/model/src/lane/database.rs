//! The transactions (`db/settlement.rs`, `db/dead_letter/redrive.rs`, `db/prune.rs`).

use super::{
    Lane, Rule,
    state::{Accepting, Letter, Operation, Outcome, Record, Redriving, Row, Settling, State, Version, Write},
};

/// Failures after which a row is dead.
const MAX_ATTEMPTS: u8 = 2;

/// Puts a row into the outbox.
pub(super) fn enqueue(state: &mut State, row: Row) {
    state.outbox.push(row);
    state.outbox.sort_unstable();
}

/// Has the record sent again.
pub(super) fn reproject(state: &mut State) {
    let place = state.draw_place();
    enqueue(state, Row { retrying: false, place, version: place, operation: Operation::Reproject, attempts: 0 });
}

/// What became of a batch. The caller has proved the fence.
pub(super) fn settle(lane: &Lane, state: &mut State, settling: Settling) {
    let Settling { batch, outcome, landed } = settling;
    for place in batch.superseded {
        take_row(state, batch.retrying, place);
    }
    if let (Some(item), Some(outcome)) = (batch.item, outcome) {
        let is_last = item.row.attempts + 1 >= MAX_ATTEMPTS;
        let ends_older = outcome == Outcome::Projected || !lane.keeps(Rule::OlderWritesWait);
        if let Some(row) = take_row(state, batch.retrying, item.row.place) {
            match outcome {
                Outcome::Projected => record(state, row),
                Outcome::Failed if !is_last => {
                    enqueue(state, Row { retrying: true, attempts: row.attempts + 1, ..row });
                }
                Outcome::Refused | Outcome::Failed => bury(lane, state, row),
            }
        }
        if ends_older {
            for place in item.older {
                take_row(state, batch.retrying, place);
            }
        }
    }
    if let Some(id) = landed {
        state.flights.retain(|flight| flight.id != id);
    }
}

fn take_row(state: &mut State, retrying: bool, place: Version) -> Option<Row> {
    let at = state.outbox.iter().position(|row| row.retrying == retrying && row.place == place)?;
    Some(state.outbox.remove(at))
}

fn record(state: &mut State, row: Row) {
    if row.operation == Operation::Reproject {
        return;
    }
    let is_there = row.operation != Operation::Delete;
    let projected = Record { version: row.version, accepted_version: row.version, is_there };
    state.record = Some(match state.record {
        None => projected,
        Some(before) if before.version < row.version => {
            Record { accepted_version: before.accepted_version.max(row.version), ..projected }
        }
        Some(before) => before,
    });
}

fn bury(lane: &Lane, state: &mut State, row: Row) {
    let recorded = state.record.map_or(0, |record| record.version);
    if row.operation == Operation::Reproject {
        state.letters.push(Letter { version: recorded, operation: row.operation });
        return;
    }
    state.letters.push(Letter { version: row.version, operation: row.operation });
    state.letters.sort_unstable();
    state.died |= 1 << row.version;
    let before = state.record.unwrap_or(Record { version: 0, accepted_version: 0, is_there: false });
    let remembered = if lane.keeps(Rule::AcceptedVersion) { row.version } else { before.accepted_version };
    state.record = Some(Record { accepted_version: before.accepted_version.max(remembered), ..before });
    if row.attempts > 0 && lane.keeps(Rule::RepairAfterDeath) {
        reproject(state);
    }
}

/// Looks whether a letter has been overtaken by a write that waits.
pub(super) fn choose(state: &mut State, letter: Letter) {
    let is_newer = |row: &Row| row.operation != Operation::Reproject && row.version > letter.version;
    state.redriving = Some(Redriving { letter, overtaken: state.outbox.iter().any(is_newer) });
}

/// Puts a letter back in line, mended, unless a newer write has overtaken it.
pub(super) fn redrive(state: &mut State, Redriving { letter, overtaken }: Redriving) {
    state.letters.retain(|other| *other != letter);
    if overtaken || state.record.is_some_and(|record| record.accepted_version > letter.version) {
        return;
    }
    let Letter { version, operation } = letter;
    let operation = if operation == Operation::Unfit { Operation::Upsert } else { operation };
    let place = if operation == Operation::Upsert { version } else { state.draw_place() };
    let version = if operation == Operation::Reproject { place } else { version };
    if operation != Operation::Reproject {
        state.died &= !(1 << version);
    }
    enqueue(state, Row { retrying: false, place, version, operation, attempts: 0 });
}

/// Whether the tombstone may go. That it is kept for longer than a transaction takes is assumed.
pub(super) fn is_prunable(lane: &Lane, state: &State) -> bool {
    let Some(record) = state.record.filter(|record| !record.is_there) else { return false };
    let is_older = |version: Version| version <= record.accepted_version;
    let is_committing = |write: &Write| write.accepting == Accepting::Drawn && is_older(write.version);
    if state.writes.iter().any(is_committing) || state.redriving.is_some() {
        return false;
    }
    let is_awaited =
        !state.letters.is_empty() || !state.flights.is_empty() || state.outbox.iter().any(|row| is_older(row.place));
    !is_awaited || !lane.keeps(Rule::Tombstones)
}
