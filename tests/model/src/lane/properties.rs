//! What must hold, named as in `ARCHITECTURE.md`, and what must be seen to happen.

use stateright::Property;

use super::{
    Lane, Rule, reader,
    state::{Accepting, At, Operation, Record, State, Version, Write},
};

pub(super) fn all() -> Vec<Property<Lane>> {
    vec![
        Property::always("A 202 is a promise", |lane, state: &State| {
            state.writes.iter().all(|write| !is_promised(lane, write) || write.accepting != Accepting::Lost)
        }),
        Property::always("One order", |lane, state: &State| !is_at_rest(lane, state) || state.outbox.is_empty()),
        Property::always("One lane, one worker", |_, state: &State| !state.has_trespassed),
        Property::always("The newest write wins, for ever", |lane, state: &State| {
            !is_at_rest(lane, state) || state.engine == newest(state) || has_refused_repair(state)
        }),
        Property::always("A fence cannot stop a request that is under way", |lane, state: &State| {
            !is_at_rest(lane, state) || state.engine == recorded(state) || has_refused_repair(state)
        }),
        Property::sometimes("writes are committed out of order", |_, state: &State| {
            let is = |accepting| move |write: &Write| write.accepting == accepting;
            let first = state.writes.iter().position(is(Accepting::Drawn));
            first.is_some_and(|first| state.writes[first..].iter().any(is(Accepting::Committed)))
        }),
        Property::sometimes("an older version lands over a newer one", |_, state: &State| {
            state
                .record
                .is_some_and(|record| record.is_there && state.engine.is_some_and(|found| found < record.version))
        }),
        Property::sometimes("a deleted document is revived", |_, state: &State| {
            state
                .record
                .is_some_and(|record| is_tombstone(record) && state.engine.is_some_and(|found| found < record.version))
        }),
        Property::sometimes("a late delete takes a document away", |_, state: &State| {
            state.engine.is_none() && recorded(state).is_some()
        }),
        Property::sometimes("a repair is under way", |_, state: &State| {
            state.engine != recorded(state) && state.workers.iter().flatten().any(|drain| is_repairing(&drain.at))
        }),
        Property::sometimes("an answer comes after another worker has taken over", |_, state: &State| {
            let is_answered = |n: usize| match &state.workers[n] {
                Some(drain) => matches!(&drain.at, At::Settling(settling) if settling.landed.is_some()),
                None => false,
            };
            (0..state.workers.len()).any(|n| is_answered(n) && state.holder.is_some_and(|holder| holder != n))
        }),
        Property::sometimes("a bad version leaves the good one before it", |lane, state: &State| {
            let Some(record) = state.record.filter(|record| record.is_there) else { return false };
            is_at_rest(lane, state) && record.accepted_version > record.version && state.engine == Some(record.version)
        }),
        Property::sometimes("a newer write is accepted while a letter is redriven", |_, state: &State| {
            let Some(redriving) = state.redriving else { return false };
            !redriving.overtaken && state.outbox.iter().any(|row| row.version > redriving.letter.version)
        }),
        Property::sometimes("a tombstone goes", |lane, state: &State| {
            is_at_rest(lane, state)
                && state.record.is_none()
                && state.writes.iter().any(|write| write.accepting == Accepting::Committed)
        }),
    ]
}

/// Whether the caller has had the answer to a write.
fn is_promised(lane: &Lane, write: &Write) -> bool {
    match write.accepting {
        Accepting::Waiting => false,
        Accepting::Drawn | Accepting::Lost => !lane.keeps(Rule::CommitBeforeAnswer),
        Accepting::Committed => true,
    }
}

/// Nobody is at work, nothing is on its way, and nobody finds anything to do.
fn is_at_rest(lane: &Lane, state: &State) -> bool {
    let is_over = |write: &Write| matches!(write.accepting, Accepting::Committed | Accepting::Lost);
    state.writes.iter().all(is_over)
        && state.workers.iter().all(Option::is_none)
        && state.requests.is_empty()
        && state.flights.is_empty()
        && state.look.is_none()
        && state.redriving.is_none()
        && !reader::has_work(lane, state)
}

/// What the newest write leaves that was accepted and has not been refused.
fn newest(state: &State) -> Option<Version> {
    let counts = |write: &&Write| write.accepting == Accepting::Committed && !state.has_died(write.version);
    let newest = state.writes.iter().filter(counts).max_by_key(|write| write.version)?;
    (newest.operation != Operation::Delete).then_some(newest.version)
}

fn recorded(state: &State) -> Option<Version> {
    state.record.filter(|record| record.is_there).map(|record| record.version)
}

fn is_tombstone(record: Record) -> bool {
    !record.is_there && record.version > 0
}

/// A repair that the engine did not take is a letter, and somebody's to retry.
fn has_refused_repair(state: &State) -> bool {
    state.letters.iter().any(|letter| letter.operation == Operation::Reproject)
}

fn is_repairing(at: &At) -> bool {
    match at {
        At::Awaiting { batch, .. } => {
            batch.item.as_ref().is_some_and(|item| item.row.operation == Operation::Reproject)
        }
        _ => false,
    }
}
