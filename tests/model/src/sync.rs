//! What a table sync remembers of a row that it has sent, while requests are lost, given up and land late: one row, one document, and two
//! workers that may hold the job, one after the other's loss (`worker/sync`, `worker/import`, `db/sync`).

mod properties;
mod steps;

use stateright::{Model, Property};

/// Grows with each change of the row; 0: there is none.
type Version = u8;

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Whoever takes a job over marks the documents that its former holder had under way.
    Flights,
    /// So does who settles what it had to send again.
    GivenUp,
    /// A mark stays while a request that carried its document may be alive.
    UntilOutlived,
    /// A pass takes in the marks that it has read, and none that came later.
    MarksAsRead,
    /// Of a document that was in doubt another row than the last one may be there.
    DoubtedMayBeThere,
    /// Only who has the job settles.
    FencedSettlement,
}

/// What becomes of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Fits,
    /// Typesense refuses it as it is.
    Unfit,
    Gone,
}

/// What a check ranges over.
#[derive(Clone, Debug)]
pub struct Sync {
    /// What becomes of the row, in this order.
    pub changes: Vec<Change>,
    /// How often somebody stops, gives a request up or sleeps through a lease.
    pub faults: u8,
    /// How often somebody else changes the document, and it is found out.
    pub drifts: u8,
    /// The rule that is broken.
    pub broken: Option<Rule>,
}

impl Sync {
    fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}

/// The row as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Row {
    version: Version,
    fits: bool,
}

/// How a row that was sent stands, as in `domain/sync_entry.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Standing {
    Written,
    Refused,
    RefusedOver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    version: Version,
    standing: Standing,
}

/// A document is to be looked at, whatever is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Mark {
    /// A request that carried it was in doubt.
    was_doubted: bool,
    /// It still is.
    is_doubted: bool,
    /// When it was made, or made anew.
    moment: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    from: usize,
    /// What it writes; 0: it deletes.
    version: Version,
    fits: bool,
    /// Its sender still waits for the answer.
    is_awaited: bool,
    is_answered: bool,
}

/// What a worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Worker {
    Away,
    /// It has the job.
    Held,
    /// It has read what is known, and this mark.
    Begun(Option<Mark>),
    /// It has read the row, which is to be sent.
    Read(Option<Mark>, Row),
    Sent {
        mark: Option<Mark>,
        row: Row,
        /// A request of it was given up.
        has_lost: bool,
    },
}

/// One state of a sync's world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    changed: usize,
    row: Row,
    /// The version that the collection holds; 0: none.
    held: Version,
    known: Option<Entry>,
    mark: Option<Mark>,
    /// Of the last mark.
    moment: u8,
    /// What the holder has under way is written down.
    has_flight: bool,
    /// Whose fence is the job's.
    holder: Option<usize>,
    is_leased: bool,
    workers: [Worker; 2],
    requests: Vec<Request>,
    faults_left: u8,
    drifts_left: u8,
}

/// A step of somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Change,
    Drift,
    Take(usize),
    Begin(usize),
    Read(usize),
    Send(usize),
    /// Waits no longer, and sends it again.
    SendAgain(usize),
    /// Waits no longer, and says that the row is refused.
    Despair(usize),
    Settle(usize),
    Lose(usize),
    Expire,
    Land(usize),
    Vanish(usize),
    /// What may be alive of it can't be any more.
    Outlive,
}

/// What a drifted document holds.
const DRIFTED: Version = 9;

impl Model for Sync {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            changed: 0,
            row: Row { version: 0, fits: true },
            held: 0,
            known: None,
            mark: None,
            moment: 0,
            has_flight: false,
            holder: None,
            is_leased: false,
            workers: [Worker::Away; 2],
            requests: vec![],
            faults_left: self.faults,
            drifts_left: self.drifts,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        steps::enabled(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        steps::take(self, &mut next, action);
        // Which was sent first is nobody's business.
        next.requests.sort();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
