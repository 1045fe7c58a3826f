//! Who can do what, and what it does.

use super::{
    Action, Lane, Rule, WORKERS, database, engine, read_back, reader,
    state::{Accepting, At, Flight, Outcome, Phase, Row, State, Version, Write},
    worker,
};

pub(super) fn enabled(lane: &Lane, state: &State, actions: &mut Vec<Action>) {
    accepting(state, actions);
    draining(lane, state, actions);
    under_way(lane, state, actions);
    if state.redriving.is_some() {
        actions.push(Action::Redrive);
    } else if state.redrives_left > 0 {
        actions.extend(state.letters.iter().map(|letter| Action::Choose(letter.version)));
    }
    if database::is_prunable(lane, state) {
        actions.push(Action::Prune);
    }
}

fn accepting(state: &State, actions: &mut Vec<Action>) {
    if state.writes.iter().any(|write| write.accepting == Accepting::Waiting) {
        actions.push(Action::Draw);
    }
    for (n, write) in state.writes.iter().enumerate() {
        if write.accepting == Accepting::Drawn {
            actions.push(Action::Commit(n));
            if state.faults_left > 0 {
                actions.push(Action::Abort(n));
            }
        }
    }
}

fn draining(lane: &Lane, state: &State, actions: &mut Vec<Action>) {
    for n in 0..WORKERS {
        let Some(drain) = &state.workers[n] else {
            // Workers are alike: the first that is free comes.
            let is_first = state.workers[..n].iter().all(Option::is_some);
            if is_first && !state.is_leased && reader::has_work(lane, state) {
                actions.push(Action::Lease(n));
            }
            continue;
        };
        if state.faults_left > 0 {
            actions.push(Action::Crash(n));
        }
        match &drain.at {
            At::Reading => actions.push(Action::Read(n)),
            At::Ready { .. } => actions.push(Action::Open(n)),
            At::Opened { .. } => actions.push(Action::Send(n)),
            At::Settling(_) => actions.push(Action::Settle(n)),
            At::Awaiting { flight, ahead, .. } => {
                if worker::answer_of(state, *flight).is_some() {
                    actions.push(Action::Answer(n));
                } else if ahead.is_none() && has_more(state, drain.retrying, drain.after) {
                    actions.push(Action::ReadAhead(n));
                }
                let is_late = match state.flight(*flight) {
                    Some(flight) => flight.phase != Phase::Open,
                    None => lane.keeps(Rule::Flight) || !state.is_under_way(*flight),
                };
                if is_late {
                    actions.extend([Action::TimeOut(n), Action::Pause(n)]);
                }
            }
        }
    }
    if state.is_leased && (!state.is_held() || state.faults_left > 0) {
        actions.push(Action::Expire);
    }
}

/// Whether there is anything behind the reader's place.
fn has_more(state: &State, retrying: bool, after: Version) -> bool {
    state.outbox.iter().any(|row| match row.retrying {
        true => retrying && row.place > after,
        false => retrying || row.place > after,
    })
}

fn under_way(lane: &Lane, state: &State, actions: &mut Vec<Action>) {
    for request in &state.requests {
        let is_awaited = state.is_awaited(request.flight);
        if request.answer.is_none() {
            actions.push(Action::Land(request.flight));
            if is_awaited && state.faults_left > 0 {
                actions.push(Action::Fail(request.flight));
            }
        }
        if !is_awaited || state.faults_left > 0 {
            actions.push(Action::Vanish(request.flight));
        }
    }
    for flight in &state.flights {
        match flight.phase {
            Phase::Open if is_timely(state, flight) => {
                if state.faults_left > 0 {
                    actions.push(Action::Overdue(flight.id));
                }
            }
            Phase::Open => actions.push(Action::Overdue(flight.id)),
            Phase::Doubted => actions.push(Action::Outlive(flight.id)),
            Phase::Outlived | Phase::Confirmed => {}
        }
        // Further looks decide nothing until then.
        let is_awaited = lane.keeps(Rule::OtherFlights) && state.is_overlapped(flight.id);
        let may_look = match flight.phase {
            Phase::Outlived => lane.keeps(Rule::OneMoreLook) || !is_awaited,
            // Time enough has passed: nothing lives so long.
            Phase::Confirmed => !is_awaited && !state.is_under_way(flight.id),
            Phase::Open | Phase::Doubted => false,
        };
        if may_look && state.look.is_none() {
            actions.push(Action::Look(flight.id));
        }
    }
    if state.look.is_some() {
        actions.push(Action::Judge);
    }
}

/// Whether somebody is about to send the flight's request, is getting its answer or is about to settle it.
fn is_timely(state: &State, flight: &Flight) -> bool {
    let is_answered = !state.is_awaited(flight.id) && state.is_known_to_a_worker(flight.id);
    is_answered || state.is_awaited(flight.id) && state.is_under_way(flight.id)
}

/// Whether a step is one of those that are counted.
fn is_fault(state: &State, action: Action) -> bool {
    match action {
        Action::Abort(_) | Action::Crash(_) | Action::Fail(_) => true,
        Action::Expire => state.is_held(),
        Action::Vanish(id) => state.is_awaited(id),
        Action::Overdue(id) => state.flight(id).is_some_and(|flight| is_timely(state, flight)),
        _ => false,
    }
}

pub(super) fn take(lane: &Lane, state: &mut State, action: Action) {
    if is_fault(state, action) {
        state.faults_left -= 1;
    }
    match action {
        Action::Draw => {
            let version = state.draw_place();
            if let Some(write) = state.writes.iter_mut().find(|write| write.accepting == Accepting::Waiting) {
                (write.accepting, write.version) = (Accepting::Drawn, version);
            }
        }
        Action::Commit(n) => {
            state.writes[n].accepting = Accepting::Committed;
            let Write { version, operation, .. } = state.writes[n];
            database::enqueue(state, Row { retrying: false, place: version, version, operation, attempts: 0 });
        }
        Action::Abort(n) => state.writes[n].accepting = Accepting::Lost,
        Action::Expire => state.is_leased = false,
        Action::Land(id) => engine::land(state, id),
        Action::Fail(id) => engine::answer(state, id, Outcome::Failed),
        Action::Vanish(id) => state.requests.retain(|request| request.flight != id),
        Action::Overdue(id) => state.set_phase(id, Phase::Doubted),
        Action::Outlive(id) => state.set_phase(id, Phase::Outlived),
        Action::Look(id) => read_back::look(state, id),
        Action::Judge => read_back::judge(lane, state),
        Action::Choose(version) => {
            if let Some(letter) = state.letters.iter().find(|letter| letter.version == version).copied() {
                state.redrives_left -= 1;
                database::choose(state, letter);
            }
        }
        Action::Redrive => {
            if let Some(redriving) = state.redriving.take() {
                database::redrive(state, redriving);
            }
        }
        Action::Prune => state.record = None,
        Action::Lease(n) => worker::lease(state, n),
        Action::Crash(n) => worker::crash(state, n),
        Action::Read(n)
        | Action::ReadAhead(n)
        | Action::Open(n)
        | Action::Send(n)
        | Action::Answer(n)
        | Action::TimeOut(n)
        | Action::Pause(n)
        | Action::Settle(n) => {
            let Some(drain) = state.workers[n].clone() else { return };
            match action {
                Action::Read(_) => worker::read(lane, state, n, drain),
                Action::ReadAhead(_) => worker::read_ahead(lane, state, n, drain),
                Action::Open(_) => worker::open(lane, state, n, drain),
                Action::Send(_) => worker::send(lane, state, n, drain),
                Action::Answer(_) => worker::answer(state, n, drain),
                Action::TimeOut(_) => worker::time_out(state, n, drain),
                Action::Pause(_) => worker::pause(state, n, &drain),
                _ => worker::settle(lane, state, n, drain),
            }
        }
    }
}
