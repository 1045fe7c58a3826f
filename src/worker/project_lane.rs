//! `project_lane`: drains a lane into Typesense, in order, under a lease.
//!
//! One request of a lane is under way at a time; while it is, the next batch is read. Before a request is sent, its flight is
//! committed; in the same transaction the batch before it is settled, which the lease's fence guards.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use sqlx::PgConnection;
use tidewell_jobs::{Failure, ProjectLane};
use uuid::Uuid;

use super::{
    Worker,
    batch::Batch,
    gate::{Paused, Permit},
    reader::Reader,
    reconcile::{Outcome, Reconciled, reconcile},
    resolve_filter_delete,
    send::{BuildError, Request, Sent, flight},
    target,
};
use crate::{
    db::{
        self,
        flight::{Flight, Lifetime},
        index::Index,
        lane::{Lane, Lease},
    },
    typesense,
};

/// How long a lane is drained before others get their turn.
const TURN: Duration = Duration::from_secs(5);

/// How a drain ended.
#[derive(Debug, PartialEq)]
pub(super) enum Drained {
    /// Nothing is left that could be done now.
    Empty,
    /// Its turn was over.
    More,
    /// Somebody else has the lane, or has taken it.
    Held,
    /// The backend takes nothing now.
    Paused,
}

pub(super) async fn handle(worker: Arc<Worker>, job: ProjectLane) -> Result<(), Failure> {
    let lane = Lane { index_id: job.index_id, lane: job.lane };
    match worker.drain(lane).await? {
        Drained::More => Err(Failure::Snooze(Duration::ZERO)),
        // A paused lane is found by the scan once the backend is well; a held one has somebody who sees to it.
        Drained::Empty | Drained::Held | Drained::Paused => Ok(()),
    }
}

/// Why a drain broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum DrainError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the lease was lost to another worker")]
    LeaseLost,
}

impl Worker {
    /// Drains a lane until it is empty, its turn is over or the backend refuses.
    pub(super) async fn drain(&self, lane: Lane) -> Result<Drained, sqlx::Error> {
        if self.gate.is_open() {
            return Ok(Drained::Paused);
        }
        let Ok(_place) = self.drains.acquire().await else { return Ok(Drained::Held) };
        let Some(index) = db::index::find(&self.pool, lane.index_id).await? else { return Ok(Drained::Empty) };
        let Some(lease) = db::lane::lease(&self.pool, lane, &self.options.name, self.options.lease).await? else {
            return Ok(Drained::Held);
        };
        let drained =
            Drain { worker: self, index: &index, lease, settling: None, reader: Reader::new(lane) }.run().await;
        let drained = match drained {
            Ok(drained) => drained,
            Err(DrainError::LeaseLost) => {
                tracing::warn!(index_id = %lane.index_id, lane = lane.lane, fence = lease.fence, "the lease was lost");
                return Ok(Drained::Held);
            }
            Err(DrainError::Database(error)) => return Err(error),
        };
        db::lane::release(&self.pool, lease).await?;
        resolve_filter_delete::resolve_due(self).await?;
        Ok(drained)
    }

    fn max_rows(&self, lane: Lane) -> usize {
        let careful = self.careful.lock().unwrap_or_else(PoisonError::into_inner);
        careful.get(&lane).copied().unwrap_or(self.options.import_lines)
    }

    /// A request of `rows` rows failed as a whole: fewer at a time until the one that is to blame is alone.
    fn be_careful(&self, lane: Lane, rows: usize) {
        self.careful.lock().unwrap_or_else(PoisonError::into_inner).insert(lane, (rows / 2).max(1));
    }

    fn grow_confident(&self, lane: Lane) {
        let mut careful = self.careful.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = careful.get_mut(&lane) {
            *rows *= 2;
            if *rows >= self.options.import_lines {
                careful.remove(&lane);
            }
        }
    }
}

/// What is known of a request that was answered, and not written down yet.
struct Settling {
    reconciled: Reconciled,
    /// The flight to forget; `None` where its outcome is in doubt.
    landed: Option<Uuid>,
}

/// One drain under way.
struct Drain<'a> {
    worker: &'a Worker,
    index: &'a Index,
    lease: Lease,
    settling: Option<Settling>,
    reader: Reader,
}

impl<'a> Drain<'a> {
    async fn run(mut self) -> Result<Drained, DrainError> {
        let until = Instant::now() + TURN;
        let mut next = self.read(&HashMap::new()).await?;
        loop {
            let over = self.worker.shutdown.is_cancelled() || Instant::now() >= until;
            let Some(batch) = next.take() else {
                self.settle(None).await?;
                if over {
                    return Ok(Drained::More);
                }
                self.reader.restart();
                next = self.read(&HashMap::new()).await?;
                if next.is_none() {
                    return Ok(Drained::Empty);
                }
                continue;
            };
            match self.project(batch, !over).await? {
                Some(read) => next = read,
                None => {
                    self.settle(None).await?;
                    return Ok(Drained::Paused);
                }
            }
        }
    }

    /// Sends a batch and reads the one after it meanwhile; `None` where the backend takes nothing now.
    async fn project(&mut self, mut batch: Batch, read_on: bool) -> Result<Option<Option<Batch>>, DrainError> {
        let worker = self.worker;
        let collection = match worker.targets.ensure(&worker.pool, &worker.typesense, self.index).await {
            Ok(collection) => collection,
            Err(target::Error::Database(error)) => return Err(error.into()),
            Err(target::Error::Typesense(fault)) if fault.is_transient() => {
                return self.faulted(batch, vec![], fault).await;
            }
            // No collection can be made of this schema: none of the rows can ever go.
            Err(target::Error::Typesense(fault)) => {
                let refused = Outcome::Refused { code: "schema_refused".to_owned(), message: fault.to_string() };
                let outcomes = vec![refused; batch.items.len()];
                self.settle(None).await?;
                self.settling = Some(self.reconcile(&batch, outcomes, None));
                return Ok(Some(None));
            }
        };
        let request = match Request::build(worker, self.index, collection.clone(), self.lease.lane, &mut batch).await {
            Ok(request) => request,
            Err(BuildError::Database(error)) => return Err(error.into()),
            Err(BuildError::Typesense(fault)) => return self.faulted(batch, vec![], fault).await,
        };
        if request.is_empty() {
            let outcomes = request.send(worker, &batch).await.outcomes;
            self.settle(None).await?;
            self.settling = Some(self.reconcile(&batch, outcomes, None));
            return Ok(Some(None));
        }
        let Some(permit) = self.permit().await? else { return Ok(None) };
        let flight = flight(self.index, collection, &batch);
        self.settle(Some(&flight)).await?;
        let in_flight = batch.versions();
        let rows = batch.items.len();
        let (sent, read) = tokio::join!(request.send(worker, &batch), async {
            if read_on { self.read(&in_flight).await } else { Ok(None) }
        });
        drop(permit);
        let Sent { outcomes, fault } = sent;
        let read = read?;
        match fault {
            None => {
                self.worker.gate.succeeded(rows);
                self.worker.grow_confident(self.lease.lane);
                self.settling = Some(self.reconcile(&batch, outcomes, Some(flight.id)));
                Ok(Some(read))
            }
            Some(fault) => {
                if fault.never_arrived() {
                    db::flight::close(&mut *self.worker.pool.acquire().await?, flight.id).await?;
                }
                self.faulted(batch, outcomes, fault).await
            }
        }
    }

    /// A request failed as a whole. A backend in trouble pauses, and costs no row an attempt. One that is well has a reason to
    /// refuse: the batch is halved until the row to blame is alone, and that row alone bears it.
    async fn faulted(
        &mut self,
        batch: Batch,
        mut outcomes: Vec<Outcome>,
        fault: typesense::Error,
    ) -> Result<Option<Option<Batch>>, DrainError> {
        tracing::warn!(index_id = %self.index.id, lane = self.lease.lane.lane, error = %fault, "an import failed");
        outcomes.resize(batch.items.len(), Outcome::Unknown);
        let status = fault.status_code();
        if status == Some(404) {
            self.worker.targets.forget(self.index.id);
        }
        let refuses_work = matches!(status, Some(401 | 403 | 429 | 503)) || fault.never_arrived();
        let paused = fault.is_transient() && (refuses_work || !self.worker.typesense.healthy().await);
        if paused {
            self.worker.gate.trip(&fault.to_string());
        } else if let [outcome @ Outcome::Unknown] = &mut outcomes[..]
            && status != Some(404)
        {
            let (code, message) = ("request_failed".to_owned(), fault.to_string());
            *outcome = match fault.is_transient() {
                true => Outcome::Failed { code, message },
                false => Outcome::Refused { code, message },
            };
        } else if status != Some(404) {
            self.worker.be_careful(self.lease.lane, batch.items.len());
        }
        self.settling = Some(self.reconcile(&batch, outcomes, None));
        Ok((!paused).then_some(None))
    }

    fn reconcile(&self, batch: &Batch, outcomes: Vec<Outcome>, landed: Option<Uuid>) -> Settling {
        let reconciled = reconcile(batch, outcomes, self.index.max_attempts, self.worker.options.backoff);
        Settling { reconciled, landed }
    }

    /// A place before the backend. What is known is written down before waiting for one.
    async fn permit(&mut self) -> Result<Option<Permit<'a>>, DrainError> {
        let worker = self.worker;
        match worker.gate.try_permit() {
            Ok(Some(permit)) => return Ok(Some(permit)),
            Ok(None) => self.settle(None).await?,
            Err(Paused) => return Ok(None),
        }
        Ok(worker.gate.permit().await.ok())
    }

    /// Writes down what is known of the last request and, in the same transaction, what the next one is about to send.
    async fn settle(&mut self, flight: Option<&Flight>) -> Result<(), DrainError> {
        let settling = self.settling.take();
        if settling.is_none() && flight.is_none() {
            return Ok(());
        }
        let mut tx = self.worker.pool.begin().await?;
        let settled = settling.as_ref().map_or(0, |settling| settling.reconciled.settlement.settled());
        if !db::lane::renew(&mut tx, self.lease, i64::try_from(settled).unwrap_or(i64::MAX)).await? {
            return Err(DrainError::LeaseLost);
        }
        if let Some(settling) = &settling {
            self.write_down(&mut tx, settling).await?;
        }
        if let Some(flight) = flight {
            let Worker { options, .. } = self.worker;
            let life = Lifetime { timeout: options.import_timeout, doubt: options.doubt };
            db::flight::open(&mut tx, flight, &options.name, life).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn write_down(&self, conn: &mut PgConnection, settling: &Settling) -> Result<(), sqlx::Error> {
        let Settling { reconciled: Reconciled { settlement, changes }, landed } = settling;
        db::lane::settle(conn, self.lease.lane, settlement).await?;
        db::job::apply(conn, changes).await?;
        if let Some(flight) = landed {
            db::flight::close(conn, *flight).await?;
        }
        for (job_id, change) in changes {
            tracing::debug!(%job_id, ?change, lane = self.lease.lane.lane, "settled");
        }
        Ok(())
    }

    async fn read(&mut self, in_flight: &HashMap<String, i64>) -> Result<Option<Batch>, sqlx::Error> {
        let Worker { pool, options, .. } = self.worker;
        let max_rows = self.worker.max_rows(self.lease.lane);
        self.reader.next(pool, max_rows, options.import_bytes, in_flight).await
    }
}
