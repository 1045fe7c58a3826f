//! Every state of a lane, under all faults that the bounds allow.

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};
use tidewell_model::lane::{
    Lane,
    Operation::{self, Delete, Unfit, Upsert},
    Rule,
};

/// Every sequence of so many writes.
fn scripts(length: usize) -> Vec<Vec<Operation>> {
    (0..length).fold(vec![vec![]], |shorter, _| {
        let longer =
            |script: &Vec<Operation>| [Upsert, Unfit, Delete].map(|last| [script.as_slice(), &[last]].concat());
        shorter.iter().flat_map(longer).collect()
    })
}

/// Visits every state: what must hold always does. Gives what was seen of what must be seen to happen.
fn check(lane: Lane) -> Vec<&'static str> {
    let checked = lane.checker().threads(2).spawn_bfs().join();
    println!("{} states", checked.unique_state_count());
    let is_seen = |property: &Property<Lane>| checked.discovery(property.name).is_some();
    let (seen, found): (Vec<_>, Vec<_>) = checked
        .model()
        .properties()
        .into_iter()
        .filter(is_seen)
        .partition(|property| property.expectation == Expectation::Sometimes);
    let found: Vec<_> = found.iter().filter_map(|property| checked.discovery(property.name)).collect();
    assert!(found.is_empty(), "{found:?}");
    seen.into_iter().map(|property| property.name).collect()
}

/// Breaks a rule: the checker must find a way to what must not be.
fn break_rule(rule: Rule, script: &[Operation], faults: u8, redrives: u8, property: &'static str) {
    let lane = |broken| Lane { scripts: vec![script.to_vec()], faults, redrives, broken };
    let until = || HasDiscoveries::AnyOf([property].into());
    let broken = lane(Some(rule)).checker().finish_when(until()).spawn_bfs().join();
    assert!(
        broken.discovery(property).is_some(),
        "{property} holds without {rule:?}, in {} states",
        broken.unique_state_count()
    );
}

const NEWEST: &str = "The newest write wins, for ever";
const UNDER_WAY: &str = "A fence cannot stop a request that is under way";

#[test]
fn without_the_commit_before_the_answer_a_promise_is_broken() {
    break_rule(Rule::CommitBeforeAnswer, &[Upsert], 1, 0, "A 202 is a promise");
}

#[test]
fn a_reader_that_begins_behind_what_it_has_seen_misses_what_is_committed_late() {
    break_rule(Rule::PassFromTheBeginning, &[Upsert, Upsert], 0, 0, "One order");
}

#[test]
fn without_the_fence_two_workers_settle() {
    break_rule(Rule::Fence, &[Upsert, Upsert], 1, 0, "One lane, one worker");
    break_rule(Rule::Fence, &[Upsert, Upsert], 1, 0, NEWEST);
}

#[test]
fn without_a_flight_nobody_knows_of_a_lost_request() {
    break_rule(Rule::Flight, &[Upsert, Upsert], 1, 0, UNDER_WAY);
}

#[test]
fn without_reading_back_a_late_landing_stays() {
    break_rule(Rule::ReadBack, &[Upsert, Upsert], 1, 0, UNDER_WAY);
}

#[test]
fn one_look_is_not_enough_where_the_engine_slept() {
    break_rule(Rule::OneMoreLook, &[Upsert, Upsert], 1, 0, UNDER_WAY);
}

#[test]
fn a_flight_that_is_forgotten_before_another_has_settled_hides_a_late_landing() {
    break_rule(Rule::OtherFlights, &[Upsert, Upsert], 1, 0, UNDER_WAY);
}

#[test]
fn an_answer_that_counts_after_its_flight_was_forgotten_hides_a_late_landing() {
    break_rule(Rule::AnswersOfFlights, &[Upsert, Upsert], 2, 0, UNDER_WAY);
}

#[test]
fn a_retry_that_is_not_compared_with_the_record_undoes_a_newer_write() {
    break_rule(Rule::Comparison, &[Upsert, Upsert], 1, 0, NEWEST);
}

#[test]
fn what_lands_after_its_death_would_be_taken_for_a_newer_write() {
    break_rule(Rule::AcceptedVersion, &[Upsert], 2, 0, UNDER_WAY);
}

#[test]
fn a_bad_version_would_cost_the_good_one_before_it() {
    break_rule(Rule::OlderWritesWait, &[Upsert, Unfit], 0, 0, NEWEST);
}

#[test]
fn without_its_tombstone_a_deleted_document_is_revived() {
    break_rule(Rule::Tombstones, &[Unfit, Delete], 0, 1, NEWEST);
}

#[test]
fn a_row_that_dies_after_it_was_applied_leaves_its_document_behind() {
    break_rule(Rule::RepairAfterDeath, &[Upsert], 2, 0, UNDER_WAY);
}

#[test]
fn every_state_holds_and_what_must_be_seen_to_happen_is() {
    let within = |writes, faults, redrives| check(Lane { scripts: scripts(writes), faults, redrives, broken: None });
    let seen = [within(1, 2, 1), within(2, 1, 1), within(2, 2, 0)].concat();
    let lane = Lane { scripts: vec![], faults: 0, redrives: 0, broken: None };
    let missed: Vec<_> =
        lane.properties().into_iter().filter(|property| property.expectation == Expectation::Sometimes).collect();
    let missed: Vec<_> = missed.iter().map(|property| property.name).filter(|name| !seen.contains(name)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}
