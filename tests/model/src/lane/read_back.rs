//! Looking after flights in doubt (`worker/read_back_flights.rs`).

use super::{
    Lane, Rule, database,
    state::{FlightId, Look, Phase, Record, State, Version},
};

/// Reads what the engine holds.
pub(super) fn look(state: &mut State, flight: FlightId) {
    state.look = Some(Look { flight, found: state.engine });
}

/// Compares it with the record, which is read after it; has the record sent again where they differ.
pub(super) fn judge(lane: &Lane, state: &mut State) {
    let Some(Look { flight: id, found }) = state.look.take() else { return };
    if lane.keeps(Rule::ReadBack) && state.record.is_some_and(|record| is_stale(found, record)) {
        database::reproject(state);
    }
    let Some(flight) = state.flight(id) else { return };
    match flight.phase {
        Phase::Outlived if lane.keeps(Rule::OneMoreLook) => state.set_phase(id, Phase::Confirmed),
        Phase::Outlived | Phase::Confirmed => state.flights.retain(|flight| flight.id != id),
        Phase::Open | Phase::Doubted => {}
    }
}

fn is_stale(found: Option<Version>, record: Record) -> bool {
    match found {
        None => record.is_there,
        Some(found) if found == record.version => !record.is_there,
        Some(found) => found <= record.accepted_version,
    }
}
