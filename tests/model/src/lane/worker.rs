//! A drain of the lane (`worker/drain.rs`).

use super::{
    Lane, Rule, database, reader,
    state::{At, Batch, Drain, Flight, FlightId, Outcome, Phase, Request, Settling, State},
};

/// Takes the lane, and with it the lane's fence.
pub(super) fn lease(state: &mut State, worker: usize) {
    (state.holder, state.is_leased) = (Some(worker), true);
    restart(state, worker);
}

/// Begins a pass at the lane's beginning.
fn restart(state: &mut State, worker: usize) {
    state.workers[worker] = Some(Drain { at: At::Reading, retrying: true, after: 0 });
}

/// Gives the lane back, if it is still this worker's.
fn release(state: &mut State, worker: usize) {
    state.workers[worker] = None;
    if state.holder == Some(worker) {
        (state.holder, state.is_leased) = (None, false);
    }
}

/// Proves the fence and renews the lease; a worker that has lost it rolls back and leaves.
fn renew(lane: &Lane, state: &mut State, worker: usize) -> bool {
    let is_held = state.holder == Some(worker);
    if is_held {
        state.is_leased = true;
    } else if lane.keeps(Rule::Fence) {
        state.workers[worker] = None;
        return false;
    } else {
        state.has_trespassed = true;
    }
    true
}

/// Whether the flight of an answer stands. Where it was given up for lost, so is the answer: its worker rolls back and leaves.
fn is_known(lane: &Lane, state: &mut State, worker: usize, settling: Option<&Settling>) -> bool {
    let landed = settling.and_then(|settling| settling.landed);
    let is_given_up = landed.is_some_and(|id| state.flight(id).is_none_or(|flight| flight.phase == Phase::Confirmed));
    if is_given_up && lane.keeps(Rule::Flight) && lane.keeps(Rule::AnswersOfFlights) {
        release(state, worker);
        return false;
    }
    true
}

/// Reads the next batch; leaves the lane where a whole pass has found nothing.
pub(super) fn read(lane: &Lane, state: &mut State, worker: usize, mut drain: Drain) {
    let from_the_beginning = drain.retrying && drain.after == 0;
    match reader::next(lane, state, &mut drain, None) {
        Some(batch) => {
            state.seen = state.seen.max(drain.after);
            drain.at = At::Ready { batch, settling: None };
            state.workers[worker] = Some(drain);
        }
        None if from_the_beginning => release(state, worker),
        None => restart(state, worker),
    }
}

pub(super) fn read_ahead(lane: &Lane, state: &mut State, worker: usize, mut drain: Drain) {
    let At::Awaiting { batch, flight, .. } = drain.at.clone() else { return };
    let in_flight = batch.item.as_ref().map(|item| item.version);
    let ahead = reader::next(lane, state, &mut drain, in_flight);
    state.seen = state.seen.max(drain.after);
    drain.at = At::Awaiting { batch, flight, ahead };
    state.workers[worker] = Some(drain);
}

/// Settles the batch before, and writes down the flight of this one.
pub(super) fn open(lane: &Lane, state: &mut State, worker: usize, mut drain: Drain) {
    let At::Ready { batch, settling } = drain.at else { return };
    if !renew(lane, state, worker) || !is_known(lane, state, worker, settling.as_ref()) {
        return;
    }
    let flight = state.free_flight_id();
    drain.at = match &batch.item {
        None => At::Settling(Settling { batch, outcome: None, landed: None }),
        Some(item) => {
            if lane.keeps(Rule::Flight) {
                state.flights.push(Flight { id: flight, version: item.version, phase: Phase::Open });
                state.flights.sort_unstable();
            }
            At::Opened { batch, flight }
        }
    };
    if let Some(settling) = settling {
        database::settle(lane, state, settling);
    }
    state.workers[worker] = Some(drain);
}

/// Sends the request, unless its flight's deadline has passed.
pub(super) fn send(lane: &Lane, state: &mut State, worker: usize, mut drain: Drain) {
    let At::Opened { batch, flight } = drain.at else { return };
    let is_in_time =
        !lane.keeps(Rule::Flight) || state.flight(flight).is_some_and(|flight| flight.phase == Phase::Open);
    if !is_in_time {
        state.flights.retain(|other| other.id != flight);
        return restart(state, worker);
    }
    let Some(item) = &batch.item else { return };
    state.requests.push(Request { flight, content: item.content, answer: None });
    state.requests.sort_unstable();
    drain.at = At::Awaiting { batch, flight, ahead: None };
    state.workers[worker] = Some(drain);
}

/// Takes the answer in.
pub(super) fn answer(state: &mut State, worker: usize, mut drain: Drain) {
    let At::Awaiting { batch, flight, ahead } = drain.at else { return };
    let Some(outcome) = answer_of(state, flight) else { return };
    state.requests.retain(|request| request.flight != flight);
    let settling = Settling { batch, outcome: Some(outcome), landed: Some(flight) };
    drain.at = match ahead {
        Some(batch) => At::Ready { batch, settling: Some(settling) },
        None => At::Settling(settling),
    };
    state.workers[worker] = Some(drain);
}

pub(super) fn answer_of(state: &State, flight: FlightId) -> Option<Outcome> {
    state.requests.iter().find(|request| request.flight == flight)?.answer
}

/// Gives up waiting: the flight stays, for its request may yet land.
pub(super) fn time_out(state: &mut State, worker: usize, mut drain: Drain) {
    let Some(batch) = give_up(state, &drain) else { return };
    drain.at = At::Settling(Settling { batch, outcome: Some(Outcome::Failed), landed: None });
    state.workers[worker] = Some(drain);
}

/// Gives up waiting, and the lane: the row stays as it is.
pub(super) fn pause(state: &mut State, worker: usize, drain: &Drain) {
    give_up(state, drain);
    release(state, worker);
}

fn give_up(state: &mut State, drain: &Drain) -> Option<Batch> {
    let At::Awaiting { batch, flight, .. } = &drain.at else { return None };
    state.requests.retain(|request| request.flight != *flight || request.answer.is_none());
    Some(batch.clone())
}

/// Settles the batch before, and begins at the lane's beginning.
pub(super) fn settle(lane: &Lane, state: &mut State, worker: usize, drain: Drain) {
    let At::Settling(settling) = drain.at else { return };
    if renew(lane, state, worker) && is_known(lane, state, worker, Some(&settling)) {
        database::settle(lane, state, settling);
        restart(state, worker);
    }
}

/// Forgets everything; what it had sent goes on.
pub(super) fn crash(state: &mut State, worker: usize) {
    if let Some(drain) = state.workers[worker].take() {
        give_up(state, &drain);
    }
}
