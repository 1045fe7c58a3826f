//! Who can do what, and what it does.

use super::{Action, Collection, Drain, Request, Rule, State, Swap, Swapper, Version, Who};

pub(super) fn enabled(swap: &Swap, state: &State, actions: &mut Vec<Action>) {
    draining(state, actions);
    for n in 0..state.swappers.len() {
        swapping(swap, state, n, actions);
    }
    if state.is_lane_leased && (!is_at_work(state) || state.faults_left > 0) {
        actions.push(Action::ExpireLane);
    }
    let is_reindexed = state.reindex.is_some_and(|n| state.swappers[n] != Swapper::Away);
    if state.is_reindex_leased && (!is_reindexed || state.faults_left > 0) {
        actions.push(Action::ExpireReindex);
    }
    for (n, request) in state.requests.iter().enumerate() {
        if !request.is_answered {
            actions.push(Action::Land(n));
        }
        if !is_awaited(state, request) {
            actions.push(Action::Vanish(n));
        }
    }
    if state.lane_doubt && !state.requests.iter().any(|request| request.from == Who::Drain) {
        actions.push(Action::ReadBack);
    }
}

/// Whether who has the lane's fence is at work.
fn is_at_work(state: &State) -> bool {
    match state.lane {
        Some(Who::Drain) => state.drain != Drain::Idle,
        Some(Who::Swapper(n)) => state.swappers[n] != Swapper::Away,
        None => false,
    }
}

fn is_awaited(state: &State, request: &Request) -> bool {
    match request.from {
        _ if request.is_given_up => false,
        Who::Drain => matches!(state.drain, Drain::Sent(_)),
        Who::Swapper(n) => matches!(state.swappers[n], Swapper::Sent { .. }),
    }
}

fn is_answered(state: &State, from: Who) -> bool {
    state.requests.iter().any(|request| request.from == from && request.is_answered)
}

fn draining(state: &State, actions: &mut Vec<Action>) {
    match state.drain {
        // A lost request of its own is under way at most: one drain stands for all that come after one another.
        Drain::Idle if state.writes_left > 0 && !state.is_lane_leased && !state.lane_doubt => {
            actions.push(Action::LeaseLane)
        }
        Drain::Idle => {}
        Drain::Leased(_) => actions.push(Action::SendWrite),
        Drain::Sent(_) if is_answered(state, Who::Drain) => actions.push(Action::SettleWrite),
        Drain::Sent(_) => {}
    }
    if state.drain != Drain::Idle && state.faults_left > 0 {
        actions.push(Action::LoseDrain);
    }
}

fn swapping(swap: &Swap, state: &State, n: usize, actions: &mut Vec<Action>) {
    let is_mine = state.lane == Some(Who::Swapper(n)) && state.is_lane_leased;
    let has_doubt = state.flights[n] || state.settled[n];
    let is_first = n == 0 || state.swappers[0] != Swapper::Away || state.flights[0];
    match state.swappers[n] {
        Swapper::Away if !state.is_reindex_leased && state.live == Collection::Former && is_first && !has_doubt => {
            actions.push(Action::TakeReindex(n));
        }
        Swapper::Away => {}
        Swapper::Looking if !state.is_copied || state.listed.is_some() => actions.push(Action::ReadRecord(n)),
        Swapper::Looking => {
            let others = (state.flights[1 - n] || state.settled[1 - n]) && swap.keeps(Rule::Doubt);
            let own = state.settled[n] && swap.keeps(Rule::GivenUp);
            if own && is_mine {
                actions.push(Action::GiveLaneBack(n));
            } else if is_mine || !swap.keeps(Rule::Lanes) {
                actions.push(Action::PutInPlace(n));
            } else if !others && !own && !state.is_lane_leased {
                actions.push(Action::TakeLane(n));
            }
        }
        Swapper::Read { .. } => actions.push(Action::SendRecord(n)),
        Swapper::Sent { .. } if is_answered(state, Who::Swapper(n)) => actions.push(Action::SettleRecord(n)),
        Swapper::Sent { .. } if state.faults_left > 0 => actions.push(Action::SendAgain(n)),
        Swapper::Sent { .. } => {}
    }
    if state.swappers[n] != Swapper::Away && state.faults_left > 0 {
        actions.push(Action::LoseSwapper(n));
    }
    let is_alive = state.requests.iter().any(|request| request.from == Who::Swapper(n));
    // Who has the reindex looks for them between two requests of its own.
    let holder = state.reindex.filter(|holder| state.swappers[*holder] == Swapper::Looking);
    let is_lost = state.settled[n] || state.flights[n] && holder != Some(n);
    if is_lost && holder.is_some() && !is_alive {
        actions.push(Action::Outlive(n));
    }
}

pub(super) fn take(swap: &Swap, state: &mut State, action: Action) {
    match action {
        Action::LeaseLane => {
            (state.lane, state.is_lane_leased) = (Some(Who::Drain), true);
            state.drain =
                Drain::Leased(if swap.keeps(Rule::TargetUnderLease) { state.live } else { Collection::Former });
        }
        Action::SendWrite => {
            let Drain::Leased(to) = state.drain else { return };
            // Its flight, and with it the lease, is committed before.
            if state.lane != Some(Who::Drain) {
                return state.drain = Drain::Idle;
            }
            state.is_lane_leased = true;
            let version = state.record + 1;
            state.requests.push(Request { from: Who::Drain, to, version, is_given_up: false, is_answered: false });
            state.drain = Drain::Sent(to);
        }
        Action::SettleWrite => settle_write(swap, state),
        Action::LoseDrain => {
            state.faults_left -= 1;
            state.lane_doubt = matches!(state.drain, Drain::Sent(_));
            state.requests.retain(|request| request.from != Who::Drain || !request.is_answered);
            state.drain = Drain::Idle;
        }
        Action::TakeReindex(n) => {
            (state.reindex, state.is_reindex_leased) = (Some(n), true);
            state.swappers[n] = Swapper::Looking;
            // Whoever comes anew knows nothing of the lane's lease.
            state.lane = state.lane.filter(|holder| *holder != Who::Swapper(n));
        }
        Action::ReadRecord(n) => state.swappers[n] = Swapper::Read { version: state.record, listed: state.listed },
        Action::SendRecord(n) => {
            let Swapper::Read { version, listed } = state.swappers[n] else { return };
            if state.reindex != Some(n) {
                return state.swappers[n] = Swapper::Away;
            }
            state.flights[n] = true;
            send_record(state, n, version);
            state.swappers[n] = Swapper::Sent { version, listed, has_lost: false };
        }
        Action::SendAgain(n) => {
            let Swapper::Sent { version, listed, .. } = state.swappers[n] else { return };
            state.faults_left -= 1;
            let own = state.requests.iter_mut().filter(|request| request.from == Who::Swapper(n));
            own.for_each(|request| request.is_given_up = true);
            send_record(state, n, version);
            state.swappers[n] = Swapper::Sent { version, listed, has_lost: true };
        }
        Action::SettleRecord(n) => settle_record(swap, state, n),
        Action::TakeLane(n) => (state.lane, state.is_lane_leased) = (Some(Who::Swapper(n)), true),
        Action::GiveLaneBack(_) => (state.lane, state.is_lane_leased) = (None, false),
        Action::PutInPlace(n) => {
            let holds_lane = state.lane == Some(Who::Swapper(n)) || !swap.keeps(Rule::Lanes);
            if state.reindex == Some(n) && holds_lane {
                state.live = Collection::New;
                state.listed = None;
                state.is_reindex_leased = false;
            }
            if state.lane == Some(Who::Swapper(n)) {
                (state.lane, state.is_lane_leased) = (None, false);
            }
            state.swappers[n] = Swapper::Away;
        }
        Action::LoseSwapper(n) => {
            state.faults_left -= 1;
            state.requests.retain(|request| request.from != Who::Swapper(n) || !request.is_answered);
            state.swappers[n] = Swapper::Away;
        }
        Action::ExpireLane => {
            state.faults_left -= u8::from(is_at_work(state));
            state.is_lane_leased = false;
        }
        Action::ExpireReindex => {
            state.faults_left -= u8::from(state.reindex.is_some_and(|n| state.swappers[n] != Swapper::Away));
            state.is_reindex_leased = false;
        }
        Action::Land(n) => {
            let request = state.requests[n];
            state.held[request.to as usize] = request.version;
            match is_awaited(state, &request) {
                true => state.requests[n].is_answered = true,
                false => _ = state.requests.remove(n),
            }
        }
        Action::Vanish(n) => _ = state.requests.remove(n),
        Action::Outlive(n) => {
            state.settled[n] = false;
            state.flights[n] &= state.reindex == Some(n);
            if swap.keeps(Rule::Doubt) {
                state.listed = state.listed.or(Some(0));
            }
        }
        Action::ReadBack => state.lane_doubt = false,
    }
}

fn send_record(state: &mut State, n: usize, version: Version) {
    let (from, to) = (Who::Swapper(n), Collection::New);
    state.requests.push(Request { from, to, version, is_given_up: false, is_answered: false });
}

/// Moves the write into the record and lists it for the version that is not live.
fn settle_write(swap: &Swap, state: &mut State) {
    state.requests.retain(|request| request.from != Who::Drain);
    state.drain = Drain::Idle;
    if state.lane != Some(Who::Drain) {
        state.lane_doubt = true;
        return;
    }
    state.record += 1;
    state.writes_left -= 1;
    if swap.keeps(Rule::ListedChanges) && state.live == Collection::Former {
        state.listed = Some(state.record);
    }
    (state.lane, state.is_lane_leased) = (None, false);
}

fn settle_record(swap: &Swap, state: &mut State, n: usize) {
    let Swapper::Sent { listed, has_lost, .. } = state.swappers[n] else { return };
    state.requests.retain(|request| request.from != Who::Swapper(n) || request.is_given_up);
    if state.reindex != Some(n) {
        return state.swappers[n] = Swapper::Away;
    }
    state.flights[n] = false;
    state.settled[n] |= has_lost && swap.keeps(Rule::GivenUp);
    state.is_copied = true;
    if state.listed == listed || !swap.keeps(Rule::ChangesOfTheirVersion) {
        state.listed = None;
    }
    state.swappers[n] = Swapper::Looking;
}
