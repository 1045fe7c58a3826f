//! The engine: it does what it is asked for whenever the request arrives, and compares nothing.

use super::state::{Content, FlightId, Outcome, State};

/// A request takes effect.
pub(super) fn land(state: &mut State, id: FlightId) {
    let Some(request) = state.requests.iter().find(|request| request.flight == id) else { return };
    let outcome = match request.content {
        Content::Document(version) => {
            state.engine = Some(version);
            Outcome::Projected
        }
        Content::Absence => {
            state.engine = None;
            Outcome::Projected
        }
        Content::Unfit => Outcome::Refused,
    };
    answer(state, id, outcome);
}

/// Answers a request; where nobody waits for it any more, it is gone.
pub(super) fn answer(state: &mut State, id: FlightId, outcome: Outcome) {
    if state.is_awaited(id) {
        state
            .requests
            .iter_mut()
            .filter(|request| request.flight == id)
            .for_each(|request| request.answer = Some(outcome));
    } else {
        state.requests.retain(|request| request.flight != id);
    }
}
