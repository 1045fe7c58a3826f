//! A version that is filled beside the live one and put in its place, while a lane writes: one document, one lane, and two workers that
//! may work on the reindex, one after the other's loss (`worker/reindex`, `db/reindex`).

mod properties;
mod steps;

use stateright::{Model, Property};

type Version = u8;

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A settlement lists what has changed for the version that is not live.
    ListedChanges,
    /// A change is struck off only where the document has not changed again.
    ChangesOfTheirVersion,
    /// Requests of a lost holder are waited for, and their documents written again, before the version is put in place.
    Doubt,
    /// So are those that were given up and sent again.
    GivenUp,
    /// The version is put in place by who has the leases of all lanes.
    Lanes,
    /// A lane reads where it writes under its lease.
    TargetUnderLease,
}

/// What a check ranges over.
#[derive(Clone, Debug)]
pub struct Swap {
    /// Writes that wait in the lane.
    pub writes: u8,
    /// How often somebody stops or sleeps through a lease.
    pub faults: u8,
    /// The rule that is broken.
    pub broken: Option<Rule>,
}

impl Swap {
    fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}

/// The two collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Collection {
    Former,
    New,
}

/// Who holds the lane, or has sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Who {
    Drain,
    Swapper(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Request {
    from: Who,
    to: Collection,
    version: Version,
    is_given_up: bool,
    is_answered: bool,
}

/// What the lane's worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Drain {
    Idle,
    Leased(Collection),
    Sent(Collection),
}

/// What a worker of the reindex is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Swapper {
    Away,
    /// It has the reindex, and sees what is to be written next.
    Looking,
    /// It has read the record, and the change that is listed of it.
    Read {
        version: Version,
        listed: Option<Version>,
    },
    Sent {
        version: Version,
        listed: Option<Version>,
        /// A request of it was given up.
        has_lost: bool,
    },
}

/// One state of the reindex's world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    writes_left: u8,
    record: Version,
    live: Collection,
    held: [Version; 2],
    /// The version of the change that is listed for the version that is not live; 0: whatever the record says.
    listed: Option<Version>,
    is_copied: bool,
    /// Whose fence is the lane's.
    lane: Option<Who>,
    is_lane_leased: bool,
    drain: Drain,
    /// Whose fence is the reindex's.
    reindex: Option<usize>,
    is_reindex_leased: bool,
    swappers: [Swapper; 2],
    /// The version flights of each worker of the reindex that are not closed.
    flights: [bool; 2],
    /// Those of them that are settled, though a request of theirs was given up.
    settled: [bool; 2],
    requests: Vec<Request>,
    /// A drain was lost with its request: its flight is in doubt.
    lane_doubt: bool,
    faults_left: u8,
}

/// A step of somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    LeaseLane,
    SendWrite,
    SettleWrite,
    LoseDrain,
    TakeReindex(usize),
    ReadRecord(usize),
    SendRecord(usize),
    /// Waits no longer, and sends it again.
    SendAgain(usize),
    SettleRecord(usize),
    /// Takes the lane, which it has asked for.
    TakeLane(usize),
    /// What it has written meanwhile is in doubt.
    GiveLaneBack(usize),
    PutInPlace(usize),
    LoseSwapper(usize),
    ExpireLane,
    ExpireReindex,
    Land(usize),
    Vanish(usize),
    /// Lists the documents of lost requests that can't be alive any more.
    Outlive(usize),
    /// Reads a lost drain's document back, and has it sent again where it must be.
    ReadBack,
}

impl Model for Swap {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            writes_left: self.writes,
            record: 1,
            live: Collection::Former,
            held: [1, 0],
            listed: None,
            is_copied: false,
            lane: None,
            is_lane_leased: false,
            drain: Drain::Idle,
            reindex: None,
            is_reindex_leased: false,
            swappers: [Swapper::Away; 2],
            flights: [false; 2],
            settled: [false; 2],
            requests: vec![],
            lane_doubt: false,
            faults_left: self.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        steps::enabled(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        steps::take(self, &mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
