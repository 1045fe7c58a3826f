//! What must hold, and what must be seen to happen.

use stateright::Property;

use super::{Standing, State, Sync, Worker};

pub(super) fn all() -> Vec<Property<Sync>> {
    vec![
        Property::always("A late request of a sync is looked after", |_, state: &State| {
            let is_looked_after = state.has_flight || state.mark.is_some() || !state.requests.is_empty();
            is_looked_after || is_true(state)
        }),
        Property::always("A row that is there and fits is found after a run", |sync: &Sync, state: &State| {
            !has_rested(sync, state) || !state.row.fits || state.held == state.row.version
        }),
        Property::sometimes("a run has brought all changes over", |sync: &Sync, state: &State| has_rested(sync, state)),
        Property::sometimes("a request that was given up lands over a newer one", |_, state: &State| {
            let later = |version| version < state.held;
            state.requests.iter().any(|request| !request.is_awaited && later(request.version))
        }),
        Property::sometimes("a row is refused over a document that is there", |_, state: &State| {
            state.known.is_some_and(|known| known.standing == Standing::RefusedOver) && state.held > 0
        }),
        Property::sometimes("a worker comes back after another has taken over", |_, state: &State| {
            let is_lost = |n: usize| state.workers[n] != Worker::Away && state.holder.is_some_and(|holder| holder != n);
            (0..state.workers.len()).any(is_lost)
        }),
    ]
}

/// Whether what is known of the document is what the collection holds.
fn is_true(state: &State) -> bool {
    match state.known {
        None => state.held == 0,
        Some(known) => match known.standing {
            Standing::Written => state.held == known.version,
            Standing::Refused => state.held == 0,
            Standing::RefusedOver => true,
        },
    }
}

/// Nothing is left to do, as far as anybody knows.
fn has_rested(sync: &Sync, state: &State) -> bool {
    let is_known = state.known.map_or(0, |known| known.version) == state.row.version;
    let is_quiet = !state.has_flight && state.mark.is_none() && state.requests.is_empty();
    state.changed == sync.changes.len() && is_known && is_quiet
}
