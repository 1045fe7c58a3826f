//! What there is: the tables, the requests under way, the engine, and what workers remember.

use super::WORKERS;

pub(super) type Version = u8;
pub(super) type FlightId = u8;

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    Upsert,
    /// An upsert that the engine refuses, until somebody mends it.
    Unfit,
    Delete,
    /// Send the record again.
    Reproject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Accepting {
    Waiting,
    Drawn,
    Committed,
    Lost,
}

/// A write of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Write {
    pub(super) operation: Operation,
    pub(super) accepting: Accepting,
    /// 0 until it is drawn.
    pub(super) version: Version,
}

impl Write {
    fn new(operation: Operation) -> Self {
        Self { operation, accepting: Accepting::Waiting, version: 0 }
    }
}

/// A row of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) retrying: bool,
    pub(super) place: Version,
    /// What it gives its document; a repair gives it what it has.
    pub(super) version: Version,
    pub(super) operation: Operation,
    pub(super) attempts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) version: Version,
    pub(super) accepted_version: Version,
    /// False for a tombstone.
    pub(super) is_there: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Letter {
    pub(super) version: Version,
    pub(super) operation: Operation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Before its deadline.
    Open,
    /// Its request may land at any time. Looks at it meanwhile make a repair come earlier, and decide nothing: they are left out.
    Doubted,
    /// Its request is thought to be dead; an engine that slept may prove that wrong once.
    Outlived,
    /// Looked at since: its request is dead, and an answer to it does not count.
    Confirmed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Flight {
    pub(super) id: FlightId,
    pub(super) version: Version,
    pub(super) phase: Phase,
}

/// What a request asks of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Content {
    Document(Version),
    Unfit,
    Absence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Outcome {
    Projected,
    Refused,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) flight: FlightId,
    pub(super) content: Content,
    /// `None`: under way.
    pub(super) answer: Option<Outcome>,
}

/// What is to be done to the document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Item {
    pub(super) row: Row,
    pub(super) content: Content,
    /// The version that the document has afterwards.
    pub(super) version: Version,
    /// Places of older writes.
    pub(super) older: Vec<Version>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Batch {
    pub(super) retrying: bool,
    pub(super) item: Option<Item>,
    /// Places of rows that the record has overtaken.
    pub(super) superseded: Vec<Version>,
}

/// What is known of a batch, and not written down yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Settling {
    pub(super) batch: Batch,
    /// `None`: it had nothing to be sent.
    pub(super) outcome: Option<Outcome>,
    /// The flight to forget.
    pub(super) landed: Option<FlightId>,
}

/// What a drain is at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    Reading,
    Ready { batch: Batch, settling: Option<Settling> },
    Opened { batch: Batch, flight: FlightId },
    Awaiting { batch: Batch, flight: FlightId, ahead: Option<Batch> },
    Settling(Settling),
}

/// A drain of the lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Drain {
    pub(super) at: At,
    /// The place of the reader in its pass: which rows it reads, and behind which place.
    pub(super) retrying: bool,
    pub(super) after: Version,
}

/// A look at what the engine holds, before it is compared with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Look {
    pub(super) flight: FlightId,
    pub(super) found: Option<Version>,
}

/// A letter about to be redriven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Redriving {
    pub(super) letter: Letter,
    /// A newer write was seen to wait.
    pub(super) overtaken: bool,
}

/// One state of the lane's world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) writes: Vec<Write>,
    pub(super) next_place: Version,
    pub(super) outbox: Vec<Row>,
    pub(super) record: Option<Record>,
    pub(super) letters: Vec<Letter>,
    /// Whose fence is the lane's: only the latest lease has it, so this is all that fences are compared for.
    pub(super) holder: Option<usize>,
    pub(super) is_leased: bool,
    pub(super) flights: Vec<Flight>,
    pub(super) requests: Vec<Request>,
    /// The version of the document in the engine.
    pub(super) engine: Option<Version>,
    pub(super) workers: [Option<Drain>; WORKERS],
    pub(super) look: Option<Look>,
    pub(super) redriving: Option<Redriving>,
    /// The largest place that was read: what a reader that trusts it would begin behind.
    pub(super) seen: Version,
    /// Versions that ended as dead letters, by bits.
    pub(super) died: u16,
    /// Somebody settled without the lane's fence.
    pub(super) has_trespassed: bool,
    pub(super) faults_left: u8,
    pub(super) redrives_left: u8,
}

impl State {
    pub(super) fn new(script: &[Operation], faults: u8, redrives: u8) -> Self {
        Self {
            writes: script.iter().map(|operation| Write::new(*operation)).collect(),
            next_place: 1,
            outbox: vec![],
            record: None,
            letters: vec![],
            holder: None,
            is_leased: false,
            flights: vec![],
            requests: vec![],
            engine: None,
            workers: [const { None }; WORKERS],
            look: None,
            redriving: None,
            seen: 0,
            died: 0,
            has_trespassed: false,
            faults_left: faults,
            redrives_left: redrives,
        }
    }

    pub(super) fn flight(&self, id: FlightId) -> Option<&Flight> {
        self.flights.iter().find(|flight| flight.id == id)
    }

    pub(super) fn set_phase(&mut self, id: FlightId, phase: Phase) {
        self.flights.iter_mut().filter(|flight| flight.id == id).for_each(|flight| flight.phase = phase);
    }

    /// Whether who has the lane's fence is at work.
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_some_and(|holder| self.workers[holder].is_some())
    }

    /// Whether an answer that counts may yet come to another request about a flight's document.
    pub(super) fn is_overlapped(&self, id: FlightId) -> bool {
        self.flights.iter().any(|other| other.id != id && other.phase != Phase::Confirmed)
    }

    /// Whether a flight's request, or its answer, is on the way.
    pub(super) fn is_under_way(&self, id: FlightId) -> bool {
        self.requests.iter().any(|request| request.flight == id)
    }

    /// Whether a worker waits for the answer to this flight's request.
    pub(super) fn is_awaited(&self, id: FlightId) -> bool {
        self.workers.iter().flatten().any(|drain| matches!(drain.at, At::Awaiting { flight, .. } if flight == id))
    }

    /// Whether a worker has yet to send this flight's request, to take in its answer or to settle it.
    pub(super) fn is_known_to_a_worker(&self, id: FlightId) -> bool {
        self.workers.iter().flatten().any(|drain| drain.knows(id))
    }

    /// An id that nobody knows.
    pub(super) fn free_flight_id(&self) -> FlightId {
        let is_known = |id| {
            self.flight(id).is_some()
                || self.is_under_way(id)
                || self.is_known_to_a_worker(id)
                || self.look.is_some_and(|look| look.flight == id)
        };
        (0..).find(|id| !is_known(*id)).unwrap_or_default()
    }

    pub(super) fn draw_place(&mut self) -> Version {
        self.next_place += 1;
        self.next_place - 1
    }

    pub(super) fn has_died(&self, version: Version) -> bool {
        self.died & (1 << version) != 0
    }
}

impl Drain {
    fn knows(&self, id: FlightId) -> bool {
        let landed = |settling: &Settling| settling.landed == Some(id);
        match &self.at {
            At::Reading => false,
            At::Ready { settling, .. } => settling.as_ref().is_some_and(landed),
            At::Opened { flight, .. } | At::Awaiting { flight, .. } => *flight == id,
            At::Settling(settling) => landed(settling),
        }
    }
}
