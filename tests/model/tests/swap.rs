//! Every state of a version's swap, under all faults that the bounds allow.

use stateright::{Checker, HasDiscoveries, Model};
use tidewell_model::swap::{Rule, Swap};

const FILLED: &str = "A version is filled from the record";
const LOST: &str = "Nothing of what is lost can land in the live version";

/// Breaks a rule: the checker must find a way to what must not be.
fn break_rule(rule: Rule, writes: u8, faults: u8, property: &'static str) {
    let broken = Swap { writes, faults, broken: Some(rule) };
    let checked = broken.checker().finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
    assert!(checked.discovery(property).is_some(), "{property} holds without {rule:?}");
}

#[test]
fn every_state_of_a_swap_holds() {
    let checked = Swap { writes: 3, faults: 3, broken: None }.checker().threads(2).spawn_bfs().join();
    println!("{} states", checked.unique_state_count());
    checked.assert_properties();
}

#[test]
fn a_change_that_is_not_listed_is_missed() {
    break_rule(Rule::ListedChanges, 1, 0, FILLED);
}

#[test]
fn a_change_that_is_struck_off_for_an_older_one_is_missed() {
    break_rule(Rule::ChangesOfTheirVersion, 2, 0, FILLED);
}

#[test]
fn a_lost_copy_that_nobody_waits_for_lands_in_the_live_version() {
    break_rule(Rule::Doubt, 1, 2, LOST);
}

#[test]
fn a_copy_that_was_given_up_and_sent_again_lands_in_the_live_version() {
    break_rule(Rule::GivenUp, 1, 1, LOST);
}

#[test]
fn a_version_that_is_put_in_place_beside_a_writing_lane_misses_its_write() {
    break_rule(Rule::Lanes, 1, 0, FILLED);
}

#[test]
fn a_lane_that_remembers_where_it_wrote_writes_into_the_former_version() {
    break_rule(Rule::TargetUnderLease, 1, 0, FILLED);
}
