//! One drain of a lane into Typesense, in order, under a lease; or of several that have little to do.
//!
//! One request of it is under way at a time; while it is, the next batch is read. Before a request is sent, its flight is
//! committed; in the same transaction the batch before it is settled, which the lease's fence guards.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use metrics::histogram;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    Worker,
    batch::{Action, Batch},
    error,
    gate::Paused,
    reader::Reader,
    reconcile::{Outcome, Reconciled, reconcile},
    send::{Request, Sent},
    story::{self, Chapter},
    target::NoTarget,
};
use crate::{
    db::{
        self,
        flight::Flight,
        index::Index,
        lane::{Lease, Renewed},
    },
    embed,
    metrics::{LANE_READ_DURATION, SETTLE_DURATION},
    trace, typesense,
};

/// How long a lane is drained before others get their turn. Several have one batch: what comes meanwhile may be for several workers.
const TURN: Duration = Duration::from_secs(5);
/// How often who waits looks whether somebody asks for the lane.
const LOOK: Duration = Duration::from_millis(500);
/// Rows of one import of documents with vectors: a model on a processor makes some tens a second.
const EMBEDDED_ROWS: usize = 128;

/// How a drain ended.
#[derive(Debug, PartialEq)]
pub(super) enum Drained {
    /// Nothing is left that could be done now, as far as was looked.
    Empty,
    /// Its turn was over.
    More,
    /// Somebody else has the lane, or asks for it.
    Held,
    /// Somebody else has taken it.
    Lost,
    /// The backend takes nothing now.
    Paused,
}

impl Drained {
    /// As metrics call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::More => "more",
            Self::Held => "held",
            Self::Lost => "lost",
            Self::Paused => "paused",
        }
    }
}

/// Why a drain broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the lease was lost to another worker")]
    LeaseLost,
    #[error("an answer came after its request had been given up for lost")]
    AnsweredTooLate,
}

/// What comes after a batch.
enum Next {
    /// The batch that was read meanwhile, if the pass had one.
    Batch(Option<Batch>),
    /// The backend takes nothing now.
    Pause,
}

/// What became of the flight of a request.
#[derive(Clone, Copy)]
enum Flown {
    /// There was none.
    Not,
    /// It was answered in full, and can be forgotten.
    Landed(Uuid),
    /// A part of it may not have arrived yet.
    InDoubt(Uuid),
}

/// What is known of a request that was answered, and not written down yet.
struct Settling {
    reconciled: Reconciled,
    flown: Flown,
    /// To be told once it is so.
    chapters: Vec<Chapter>,
}

/// What is about to be sent, to be written down before.
struct Sending<'a> {
    flight: &'a Flight,
    batch: &'a Batch,
    /// Rows whose condition was decided.
    decided: &'a [i64],
    /// Documents that go without a vector.
    without: &'a [String],
}

/// One drain under way.
pub(super) struct Drain<'a> {
    worker: &'a Worker,
    index: &'a Index,
    lease: &'a Lease,
    settling: Option<Settling>,
    reader: Reader,
    /// Somebody asks for the lane: it is given back as soon as what is under way is written down.
    is_wanted: bool,
}

impl<'a> Drain<'a> {
    pub(super) fn new(worker: &'a Worker, index: &'a Index, lease: &'a Lease) -> Self {
        Self { worker, index, lease, settling: None, reader: Reader::new(), is_wanted: false }
    }

    pub(super) async fn run(mut self) -> Result<Drained, Error> {
        let until = Instant::now() + TURN;
        let mut next = self.read(&HashMap::new()).await?;
        loop {
            if self.is_wanted {
                self.settle(None).await?;
                return Ok(Drained::Held);
            }
            let over = self.lease.is_of_several() || self.worker.shutdown.is_cancelled() || Instant::now() >= until;
            let Some(batch) = next.take() else {
                self.settle(None).await?;
                if over {
                    return Ok(if self.lease.is_of_several() { Drained::Empty } else { Drained::More });
                }
                self.reader.restart();
                next = self.read(&HashMap::new()).await?;
                if next.is_none() {
                    return Ok(Drained::Empty);
                }
                continue;
            };
            match self.project_traced(batch, !over).await? {
                Next::Batch(read) => next = read,
                Next::Pause => {
                    self.settle(None).await?;
                    return Ok(Drained::Paused);
                }
            }
        }
    }

    /// As [`Drain::project`], in a span that belongs to the traces that the writes of the batch came by.
    async fn project_traced(&mut self, batch: Batch, read_on: bool) -> Result<Next, Error> {
        let Lease { index_id, lanes, .. } = self.lease;
        let span = tracing::info_span!("project", %index_id, ?lanes, documents = batch.items.len());
        if trace::is_on() {
            let rows = batch.items.iter().flat_map(|item| std::iter::once(&item.row).chain(&item.older));
            let jobs: Vec<Uuid> = rows.filter_map(|row| row.job_id).collect();
            trace::link(&span, &db::job::trace_parents(&self.worker.pool, &jobs, trace::MAX_LINKS).await?);
        }
        self.project(batch, read_on).instrument(span).await
    }

    /// Sends a batch and reads the one after it meanwhile.
    async fn project(&mut self, mut batch: Batch, read_on: bool) -> Result<Next, Error> {
        let worker = self.worker;
        let Some(target) = self.while_held(worker.target(self.index)).await? else { return Ok(Next::Batch(None)) };
        let target = match target {
            Ok(target) => target,
            Err(NoTarget::Database(error)) => return Err(error.into()),
            Err(NoTarget::NoVectors(reason)) => return Ok(self.wait_for_vectors(&reason)),
            // No document is to blame: the lane pauses, and where the backend is in trouble all of them.
            Err(NoTarget::Typesense(fault)) if fault.is_transient() => {
                tracing::warn!(index_id = %self.index.id, error = %fault, "the collection could not be made");
                let is_well = match fault.refuses_work() {
                    true => false,
                    // Where the lane is asked for meanwhile, nobody knows.
                    false => self.while_held(worker.backend_is_well()).await?.unwrap_or(true),
                };
                if !is_well {
                    worker.gate.trip(&fault.to_string());
                }
                return Ok(Next::Pause);
            }
            // No collection can be made of this schema: none of the rows can ever go.
            Err(NoTarget::Typesense(fault)) => {
                let refused = Outcome::Refused { code: "schema_refused".to_owned(), message: fault.to_string() };
                let outcomes = vec![refused; batch.items.len()];
                return self.conclude(&batch, outcomes, Flown::Not).await;
            }
        };
        let bodies = batch.items.iter().map(|item| match &item.action {
            Action::Upsert(body) => body.as_str(),
            Action::Delete | Action::DeleteIfMatches(_) => "",
        });
        let vectors = match self.while_held(worker.vectors(target.embeds.as_ref(), bodies)).await? {
            Some(Ok(vectors)) => vectors,
            Some(Err(embed::Error::Database(error))) => return Err(error.into()),
            Some(Err(embed::Error::Away { message, .. })) => return Ok(self.wait_for_vectors(&message)),
            None => return Ok(Next::Batch(None)),
        };
        let building = Request::build(worker, self.index, target.collection, &vectors, self.lease, &mut batch);
        let request = match building.await {
            Ok(request) => request,
            Err(error::Error::Database(error)) => return Err(error.into()),
            Err(error::Error::Typesense(fault)) => return self.faulted(batch, vec![], fault, Flown::Not).await,
        };
        if request.is_empty() {
            return self.conclude(&batch, request.into_outcomes(), Flown::Not).await;
        }
        let flight = request.flight(self.index, &batch);
        let opened = Instant::now();
        let without = request.without_vectors(&vectors, &batch);
        self.settle(Some(Sending { flight: &flight, batch: &batch, decided: &request.decided, without: &without }))
            .await?;
        // Ready to go before it has a place, so that no place stands empty.
        let permit = tokio::time::timeout(worker.options.import_timeout, worker.gate.permit()).await;
        let permit = match permit {
            // Later than this it is not sent: the flight is given up for lost when its own time is over.
            Ok(Ok(permit)) if opened.elapsed() <= worker.options.import_timeout => permit,
            not_now => {
                db::flight::close(&mut *worker.pool.acquire().await?, flight.id).await?;
                return Ok(if let Ok(Err(Paused)) = not_now { Next::Pause } else { Next::Batch(None) });
            }
        };
        if opened.elapsed() > self.lease.term / 4 {
            self.renew().await?;
        }
        let in_flight = batch.versions();
        let (sent, read) = tokio::join!(request.send(worker, &batch), async {
            if read_on { self.read(&in_flight).await } else { Ok(None) }
        });
        drop(permit);
        let Sent { outcomes, fault, left } = sent;
        let Some(fault) = fault else {
            worker.gate.succeeded(batch.items.len());
            worker.careful.succeeded(self.lease, worker.options.import_lines);
            self.settling = Some(self.reconcile(&batch, outcomes, Flown::Landed(flight.id)));
            return Ok(Next::Batch(read?));
        };
        let flown = if left {
            Flown::InDoubt(flight.id)
        } else {
            db::flight::close(&mut *worker.pool.acquire().await?, flight.id).await?;
            Flown::Not
        };
        self.faulted(batch, outcomes, fault, flown).await
    }

    /// A request failed as a whole. A backend in trouble pauses, and costs no row an attempt. One that is well has a reason to
    /// refuse: the batch is halved until the row to blame is alone, and that row alone bears it.
    async fn faulted(
        &mut self,
        batch: Batch,
        mut outcomes: Vec<Outcome>,
        fault: typesense::Error,
        flown: Flown,
    ) -> Result<Next, Error> {
        let worker = self.worker;
        tracing::warn!(index_id = %self.index.id, lanes = ?self.lease.lanes, error = %fault, "an import failed");
        outcomes.resize(batch.items.len(), Outcome::Unknown);
        if fault.status_code() == Some(404) {
            worker.targets.forget(self.index.id);
        }
        let is_well = match (fault.refuses_work(), fault.is_transient()) {
            (true, _) => Some(false),
            (false, false) => Some(true),
            (false, true) => self.while_held(worker.backend_is_well()).await?,
        };
        match (is_well, &mut outcomes[..]) {
            // Somebody asks for the lane: nobody is to blame for what is not known.
            (None, _) => {}
            (Some(false), _) => {
                worker.gate.trip(&fault.to_string());
                story::tell_of_pause(self.lease, &batch, &fault.to_string());
            }
            (Some(true), [outcome @ Outcome::Unknown]) => {
                let (code, message) = ("request_failed".to_owned(), fault.to_string());
                *outcome = match fault.is_transient() {
                    true => Outcome::Failed { code, message },
                    false => Outcome::Refused { code, message },
                };
            }
            (Some(true), _) => worker.careful.failed(self.lease, batch.items.len()),
        }
        let next = self.conclude(&batch, outcomes, flown).await?;
        Ok(if is_well == Some(false) { Next::Pause } else { next })
    }

    /// Notes how a batch ended after which nothing has been read. What was noted before is written down first.
    async fn conclude(&mut self, batch: &Batch, outcomes: Vec<Outcome>, flown: Flown) -> Result<Next, Error> {
        self.settle(None).await?;
        self.settling = Some(self.reconcile(batch, outcomes, flown));
        Ok(Next::Batch(None))
    }

    fn reconcile(&self, batch: &Batch, outcomes: Vec<Outcome>, flown: Flown) -> Settling {
        let reconciled = reconcile(batch, outcomes, self.index.max_attempts, self.worker.options.backoff);
        let chapters = story::chapters(batch, &reconciled.settlement);
        Settling { reconciled, flown, chapters }
    }

    /// Notes what came of a renewal.
    fn renewed(&mut self, renewed: Option<Renewed>) -> Result<(), Error> {
        self.is_wanted = renewed.ok_or(Error::LeaseLost)? == Renewed::Wanted;
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), Error> {
        let mut conn = self.worker.pool.acquire().await?;
        let renewed = db::lane::renew(&mut conn, self.lease, 0).await?;
        self.renewed(renewed)
    }

    /// Waits for something that changes nothing, and keeps the lease meanwhile; `None`, and it is given up, once somebody asks for the
    /// lane.
    async fn while_held<T>(&mut self, waiting: impl Future<Output = T>) -> Result<Option<T>, Error> {
        let mut waiting = std::pin::pin!(waiting);
        loop {
            match tokio::time::timeout(LOOK.min(self.lease.term / 4), &mut waiting).await {
                Ok(done) => return Ok(Some(done)),
                Err(_) => self.renew().await?,
            }
            if self.is_wanted {
                return Ok(None);
            }
        }
    }

    /// The lane waits, and the others of its index: a model that is away costs no row an attempt.
    fn wait_for_vectors(&self, reason: &str) -> Next {
        tracing::debug!(index_id = %self.index.id, lanes = ?self.lease.lanes, reason, "documents wait for their vectors");
        self.worker.trouble.note(reason);
        Next::Pause
    }

    /// Writes down what is known of the last request and, in the same transaction, what the next one is about to send.
    async fn settle(&mut self, next: Option<Sending<'_>>) -> Result<(), Error> {
        let Worker { pool, options, .. } = self.worker;
        let settling = self.settling.take();
        match &next {
            None if settling.is_none() => return Ok(()),
            // Most turns begin so, and lanes with little to do have little else.
            Some(Sending { flight, decided: [], without: [], .. }) if settling.is_none() => {
                let opened = db::flight::open(pool, self.lease, 0, flight, &options.name, options.lifetime()).await?;
                return self.renewed(opened);
            }
            _ => {}
        }
        let began = Instant::now();
        let settled = settling.as_ref().map_or(0, |settling| settling.reconciled.settlement.settled());
        let settled = i64::try_from(settled).unwrap_or(i64::MAX);
        let mut tx = pool.begin().await?;
        let mut ages = vec![];
        let renewed = match &next {
            Some(Sending { flight, .. }) => {
                db::flight::open(&mut *tx, self.lease, settled, flight, &options.name, options.lifetime()).await?
            }
            None => db::lane::renew(&mut tx, self.lease, settled).await?,
        };
        self.renewed(renewed)?;
        if let Some(Sending { batch, decided, without, .. }) = next {
            if !decided.is_empty() {
                db::outbox::decide(&mut tx, self.lease, batch.retrying, decided).await?;
            }
            if !without.is_empty() {
                db::embedding_debt::add(&mut tx, self.index.id, without).await?;
            }
        }
        if let Some(Settling { reconciled: Reconciled { settlement, changes }, flown, .. }) = &settling {
            let repairs = db::settlement::settle(&mut tx, self.index.id, &self.lease.lanes, settlement).await?;
            // Nobody looks any more whether an older request has landed over this one: it has to be sent again.
            let is_known = match *flown {
                Flown::Not => true,
                Flown::Landed(flight) => db::flight::close(&mut tx, flight).await?,
                Flown::InDoubt(flight) => db::flight::keep(&mut tx, flight).await?,
            };
            if !is_known {
                return Err(Error::AnsweredTooLate);
            }
            // Last: other lanes want the same jobs.
            ages = db::job::apply(&mut tx, changes).await?;
            if repairs > 0 {
                db::backlog::add(&mut tx, self.index.id, repairs).await?;
            }
            for (job_id, change) in changes {
                tracing::debug!(%job_id, ?change, lanes = ?self.lease.lanes, "settled");
            }
        }
        tx.commit().await?;
        histogram!(SETTLE_DURATION.name).record(began.elapsed());
        if let Some(Settling { reconciled, chapters, .. }) = &settling {
            reconciled.count(&ages);
            story::tell(self.lease, chapters);
        }
        Ok(())
    }

    async fn read(&mut self, in_flight: &HashMap<String, i64>) -> Result<Option<Batch>, sqlx::Error> {
        let Worker { pool, options, careful, .. } = self.worker;
        let usual = match self.index.embedding {
            Some(_) => options.import_lines.min(EMBEDDED_ROWS),
            None => options.import_lines,
        };
        let max_rows = careful.max_rows(self.lease, usual);
        let began = Instant::now();
        let read = self.reader.next(pool, self.lease, max_rows, options.import_bytes, in_flight).await;
        histogram!(LANE_READ_DURATION.name).record(began.elapsed());
        read
    }
}
