//! Every state of a synced row, under all faults that the bounds allow.

use stateright::{Checker, HasDiscoveries, Model};
use tidewell_model::sync::{
    Change::{self, Fits, Gone, Unfit},
    Rule, Sync,
};

const LOOKED_AFTER: &str = "A late request of a sync is looked after";
const FOUND: &str = "A row that is there and fits is found after a run";

/// Breaks a rule: the checker must find a way to what must not be.
fn break_rule(rule: Rule, changes: &[Change], faults: u8, drifts: u8, property: &'static str) {
    let broken = Sync { changes: changes.to_vec(), faults, drifts, broken: Some(rule) };
    let until = HasDiscoveries::AnyOf([property].into());
    let checked = broken.checker().finish_when(until).spawn_bfs().join();
    assert!(checked.discovery(property).is_some(), "{property} without {rule:?}");
}

/// Every sequence of so many changes.
fn sequences(length: usize) -> Vec<Vec<Change>> {
    (0..length).fold(vec![vec![]], |shorter, _| {
        let longer = |changes: &Vec<Change>| [Fits, Unfit, Gone].map(|last| [changes.as_slice(), &[last]].concat());
        shorter.iter().flat_map(longer).collect()
    })
}

#[test]
fn every_state_of_a_synced_row_holds() {
    let mut states = 0;
    for changes in sequences(3) {
        let checked = Sync { changes, faults: 2, drifts: 1, broken: None }.checker().threads(2).spawn_bfs().join();
        states += checked.unique_state_count();
        for (property, path) in checked.discoveries() {
            let is_seen = checked.model().property(property).expectation == stateright::Expectation::Sometimes;
            assert!(is_seen, "{property}: {path:?}");
        }
    }
    println!("{states} states");
}

#[test]
fn what_must_be_seen_to_happen_happens() {
    let checked = Sync { changes: vec![Fits, Unfit, Fits], faults: 3, drifts: 0, broken: None };
    checked.checker().threads(2).spawn_bfs().join().assert_properties();
}

#[test]
fn what_a_lost_holder_had_under_way_lands_unseen_without_its_flight() {
    break_rule(Rule::Flights, &[Fits], 1, 0, LOOKED_AFTER);
}

#[test]
fn what_was_given_up_and_sent_again_lands_over_a_newer_row_unseen() {
    break_rule(Rule::GivenUp, &[Fits, Gone], 1, 0, LOOKED_AFTER);
    break_rule(Rule::GivenUp, &[Fits, Fits], 1, 0, FOUND);
}

#[test]
fn a_mark_that_is_taken_in_too_soon_misses_what_lands_after_it() {
    break_rule(Rule::UntilOutlived, &[Fits, Gone], 1, 0, LOOKED_AFTER);
}

#[test]
fn a_mark_that_came_after_the_pass_began_is_lost_with_the_one_that_was_read() {
    break_rule(Rule::MarksAsRead, &[Fits], 0, 2, LOOKED_AFTER);
}

#[test]
fn a_refused_row_forgets_the_document_that_a_lost_request_has_brought() {
    break_rule(Rule::DoubtedMayBeThere, &[Fits, Unfit], 1, 0, LOOKED_AFTER);
}

#[test]
fn who_has_lost_the_job_settles_over_who_has_it() {
    break_rule(Rule::FencedSettlement, &[Fits, Fits], 2, 0, LOOKED_AFTER);
}
