//! What must hold, and what must be seen to happen.

use stateright::Property;

use super::{Collection, Drain, State, Swap, Swapper, Who};

pub(super) fn all() -> Vec<Property<Swap>> {
    vec![
        Property::always("A version is filled from the record", |_, state: &State| {
            let is_under_way = !state.requests.is_empty() || state.lane_doubt || state.drain != Drain::Idle;
            let held = state.held[Collection::New as usize];
            let is_written_again = held == state.record + 1 && state.writes_left > 0;
            state.live == Collection::Former || is_under_way || is_written_again || held == state.record
        }),
        Property::always("Nothing of what is lost can land in the live version", |_, state: &State| {
            let is_lost = |from| matches!(from, Who::Swapper(_));
            state.live == Collection::Former || !state.requests.iter().any(|request| is_lost(request.from))
        }),
        Property::sometimes("a version is put in place", |_, state: &State| state.live == Collection::New),
        Property::sometimes("a write is settled while a version is filled", |_, state: &State| {
            state.listed.is_some_and(|version| version > 0) && !state.is_copied
        }),
        Property::sometimes("an older copy lands late over a newer one", |_, state: &State| {
            let later =
                state.requests.iter().any(|request| request.to == Collection::New && request.version < state.held[1]);
            state.live == Collection::Former && later
        }),
        Property::sometimes("a worker of the reindex comes back after another has taken over", |_, state: &State| {
            let is_lost =
                |n: usize| state.swappers[n] != Swapper::Away && state.reindex.is_some_and(|holder| holder != n);
            (0..state.swappers.len()).any(is_lost)
        }),
    ]
}
