//! One document of one lane: accepted, projected, redriven, forgotten, by two workers that may stop, sleep and come back.
//!
//! A transaction is one step, and so is each effect on the engine; between any two steps anything else may happen. What is bounded is
//! how many writes there are and how often something goes wrong.

mod database;
mod engine;
mod properties;
mod read_back;
mod reader;
mod state;
mod steps;
mod worker;

use stateright::{Model, Property};

use self::state::{FlightId, Version};
pub use self::state::{Operation, State};

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A write is answered after its commit.
    CommitBeforeAnswer,
    /// A lane is read from its beginning.
    PassFromTheBeginning,
    /// A settlement proves the lease's fence.
    Fence,
    /// A flight is committed before its request is sent.
    Flight,
    /// A flight is looked at once more after its request was thought to be dead.
    OneMoreLook,
    /// A flight that went unanswered is looked at at all.
    ReadBack,
    /// A flight is not forgotten while another request about its document may yet be answered.
    OtherFlights,
    /// An answer counts only while its flight stands.
    AnswersOfFlights,
    /// A row is compared with the record before it is sent.
    Comparison,
    /// The record knows the newest version that died.
    AcceptedVersion,
    /// Older writes end only when the newer one has been projected.
    OlderWritesWait,
    /// A tombstone stays while something older of its document may arrive.
    Tombstones,
    /// A row that dies after more than one attempt leaves a repair behind: it may have been applied.
    RepairAfterDeath,
}

/// What a check ranges over.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Each is checked: the writes of the document, in the order in which they draw their versions.
    pub scripts: Vec<Vec<Operation>>,
    /// How often a worker stops, sleeps through its lease or waits in vain, or a request is lost or fails.
    pub faults: u8,
    /// How often a dead letter is redriven, its cause being mended.
    pub redrives: u8,
    /// The rule that is broken.
    pub broken: Option<Rule>,
}

impl Lane {
    fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}

/// Workers that may hold the lane.
pub const WORKERS: usize = 2;

/// A step of somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// The next write draws its version.
    Draw,
    Commit(usize),
    /// The accepting transaction fails.
    Abort(usize),
    Lease(usize),
    Read(usize),
    /// Reads the next batch while a request is under way.
    ReadAhead(usize),
    /// Settles the last batch and writes down the flight of the next, in one transaction.
    Open(usize),
    Send(usize),
    Answer(usize),
    /// The answer did not come in time, and the backend is well: the row bears it.
    TimeOut(usize),
    /// The answer did not come in time, and the backend is not well: the lane is given back.
    Pause(usize),
    /// Settles the last batch.
    Settle(usize),
    Crash(usize),
    /// The lease runs out.
    Expire,
    /// The engine does what a request asks for, or refuses it.
    Land(FlightId),
    /// The engine fails at a request.
    Fail(FlightId),
    /// A request or its answer is lost on the way.
    Vanish(FlightId),
    /// The deadline of a flight passes.
    Overdue(FlightId),
    /// A flight's request is thought to be dead from now on.
    Outlive(FlightId),
    /// Reads back what the engine holds of a doubted flight.
    Look(FlightId),
    /// Compares what was found with the record.
    Judge,
    /// Looks whether a letter's document has a newer write that waits.
    Choose(Version),
    Redrive,
    Prune,
}

impl Model for Lane {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.scripts.iter().map(|script| State::new(script, self.faults, self.redrives)).collect()
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
