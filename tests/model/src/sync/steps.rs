//! Who can do what, and what it does.

use super::{Action, Change, DRIFTED, Entry, Mark, Request, Row, Rule, Standing, State, Sync, Worker};

pub(super) fn enabled(sync: &Sync, state: &State, actions: &mut Vec<Action>) {
    if state.changed < sync.changes.len() {
        actions.push(Action::Change);
    }
    if state.drifts_left > 0 && state.held > 0 {
        actions.push(Action::Drift);
    }
    for n in 0..state.workers.len() {
        working(state, n, actions);
    }
    if state.is_leased && (!is_at_work(state) || state.faults_left > 0) {
        actions.push(Action::Expire);
    }
    for (n, request) in state.requests.iter().enumerate() {
        if !request.is_answered {
            actions.push(Action::Land(n));
        }
        if !request.is_awaited {
            actions.push(Action::Vanish(n));
        }
    }
    // Who lost the job gives its request up in time, too.
    let is_alive = |request: &Request| !request.is_awaited || state.holder != Some(request.from);
    if state.mark.is_some_and(|mark| mark.is_doubted) && !state.requests.iter().any(is_alive) {
        actions.push(Action::Outlive);
    }
}

fn is_at_work(state: &State) -> bool {
    state.holder.is_some_and(|n| state.workers[n] != Worker::Away)
}

fn working(state: &State, n: usize, actions: &mut Vec<Action>) {
    match state.workers[n] {
        // The second one is there when the first one is at work, or was.
        Worker::Away if !state.is_leased && (n == 0 || state.holder.is_some()) => actions.push(Action::Take(n)),
        Worker::Away => {}
        Worker::Held => actions.push(Action::Begin(n)),
        Worker::Begun(_) => actions.push(Action::Read(n)),
        Worker::Read(..) => actions.push(Action::Send(n)),
        Worker::Sent { .. } => {
            if awaited(state, n).is_some_and(|request| state.requests[request].is_answered) {
                actions.push(Action::Settle(n));
            } else if state.faults_left > 0 {
                actions.extend([Action::SendAgain(n), Action::Despair(n)]);
            }
        }
    }
    if state.workers[n] != Worker::Away && state.faults_left > 0 {
        actions.push(Action::Lose(n));
    }
}

/// The request that a worker waits for.
fn awaited(state: &State, n: usize) -> Option<usize> {
    state.requests.iter().position(|request| request.from == n && request.is_awaited)
}

/// Nobody waits for it any more.
fn give_up(state: &mut State, n: usize) {
    let Some(request) = awaited(state, n) else { return };
    match state.requests[request].is_answered {
        true => _ = state.requests.remove(request),
        false => state.requests[request].is_awaited = false,
    }
}

pub(super) fn take(sync: &Sync, state: &mut State, action: Action) {
    match action {
        Action::Change => {
            let change = sync.changes[state.changed];
            state.changed += 1;
            let version = if change == Change::Gone { 0 } else { state.changed as u8 };
            state.row = Row { version, fits: change != Change::Unfit };
        }
        Action::Drift => {
            state.drifts_left -= 1;
            state.held = DRIFTED;
            mark(state, false);
        }
        Action::Take(n) => {
            (state.holder, state.is_leased) = (Some(n), true);
            state.workers[n] = Worker::Held;
            if std::mem::take(&mut state.has_flight) && sync.keeps(Rule::Flights) {
                mark(state, true);
            }
        }
        Action::Begin(n) => state.workers[n] = Worker::Begun(state.mark),
        Action::Read(n) => compare(state, n),
        Action::Send(n) => {
            let Worker::Read(mark, row) = state.workers[n] else { return };
            // Its flight is committed before.
            if state.holder != Some(n) {
                return state.workers[n] = Worker::Away;
            }
            state.has_flight = true;
            send(state, n, row);
            state.workers[n] = Worker::Sent { mark, row, has_lost: false };
        }
        Action::SendAgain(n) => {
            state.faults_left -= 1;
            let Worker::Sent { mark, row, .. } = state.workers[n] else { return };
            give_up(state, n);
            send(state, n, row);
            state.workers[n] = Worker::Sent { mark, row, has_lost: true };
        }
        Action::Despair(n) => {
            state.faults_left -= 1;
            let Worker::Sent { mark, row, .. } = state.workers[n] else { return };
            give_up(state, n);
            // A delete is waited for: what it says is that the backend is away.
            match row.version {
                0 => state.workers[n] = Worker::Away,
                _ => settle(sync, state, n, (mark, row, true), false),
            }
        }
        Action::Settle(n) => {
            let Worker::Sent { mark, row, has_lost } = state.workers[n] else { return };
            give_up(state, n);
            settle(sync, state, n, (mark, row, has_lost), row.fits);
        }
        Action::Lose(n) => {
            state.faults_left -= 1;
            give_up(state, n);
            state.workers[n] = Worker::Away;
        }
        Action::Expire => {
            state.faults_left -= u8::from(is_at_work(state));
            state.is_leased = false;
        }
        Action::Land(n) => {
            let Request { version, fits, is_awaited, .. } = state.requests[n];
            if fits {
                state.held = version;
            }
            match is_awaited {
                true => state.requests[n].is_answered = true,
                false => _ = state.requests.remove(n),
            }
        }
        Action::Vanish(n) => _ = state.requests.remove(n),
        Action::Outlive => {
            if let Some(mark) = &mut state.mark {
                mark.is_doubted = false;
            }
        }
    }
}

fn send(state: &mut State, n: usize, Row { version, fits }: Row) {
    state.requests.push(Request { from: n, version, fits, is_awaited: true, is_answered: false });
}

/// Marks the document; what was in doubt is.
fn mark(state: &mut State, is_doubted: bool) {
    state.moment += 1;
    let (was, is) = state.mark.map_or((false, false), |mark| (mark.was_doubted, mark.is_doubted));
    state.mark = Some(Mark { was_doubted: was || is_doubted, is_doubted: is || is_doubted, moment: state.moment });
}

/// Compares the row with what is known, as `worker/sync/compare.rs` does.
fn compare(state: &mut State, n: usize) {
    let Worker::Begun(mark) = state.workers[n] else { return };
    let row = state.row;
    let is_same = match state.known {
        Some(known) => known.version == row.version,
        None => row.version == 0,
    };
    let is_gone = row.version == 0 && state.known.is_none_or(|known| known.standing == Standing::Refused);
    if mark.is_some() || !(is_same || is_gone) {
        state.workers[n] = Worker::Read(mark, row);
    } else if state.holder == Some(n) {
        state.known = state.known.filter(|_| row.version > 0);
        (state.workers[n], state.is_leased) = (Worker::Away, false);
    } else {
        state.workers[n] = Worker::Away;
    }
}

/// Writes down what became of a row; with the mark that was read before it, and whether a request was given up.
fn settle(sync: &Sync, state: &mut State, n: usize, sent: (Option<Mark>, Row, bool), is_written: bool) {
    let (read, row, has_lost) = sent;
    state.workers[n] = Worker::Away;
    if state.holder != Some(n) && sync.keeps(Rule::FencedSettlement) {
        return;
    }
    state.known = match (row.version, is_written) {
        (0, _) => None,
        (version, true) => Some(Entry { version, standing: Standing::Written }),
        (version, false) => {
            let was_doubted = read.is_some_and(|read| read.was_doubted) && sync.keeps(Rule::DoubtedMayBeThere);
            let may_be_there = was_doubted || state.known.is_some_and(|known| known.standing != Standing::Refused);
            let standing = if may_be_there { Standing::RefusedOver } else { Standing::Refused };
            Some(Entry { version, standing })
        }
    };
    let is_outlived = read.is_some_and(|read| !read.is_doubted) || !sync.keeps(Rule::UntilOutlived);
    let is_newer = state.mark.map(|mark| mark.moment) != read.map(|read| read.moment) && sync.keeps(Rule::MarksAsRead);
    if read.is_some() && is_outlived && !is_newer {
        state.mark = None;
    }
    state.has_flight = false;
    if has_lost && sync.keeps(Rule::GivenUp) {
        mark(state, true);
    }
    state.is_leased = false;
}
