use apalis::prelude::{Task, TaskBuilder, WorkerContext};
use apalis_core::backend::persistence::{Persistence, TaskEvent};

use crate::{claim::Claim, store::Store};

/// A database that is away must not end the worker, so that handlers in flight go on: what fails here
/// is logged and comes round again, at the next tick or the next heartbeat.
impl Persistence for Store {
    type Compact = Claim;
    type Response = ();
    type Error = sqlx::Error;

    async fn register(&mut self, _: &WorkerContext) -> Result<(), sqlx::Error> {
        Self::register(self).await
    }

    async fn heartbeat(&mut self, _: &WorkerContext) -> Result<(), sqlx::Error> {
        if let Err(error) = Self::heartbeat(self).await {
            tracing::warn!(queue = self.queue, %error, "the heartbeat failed");
        }
        Ok(())
    }

    /// One row at a time: a batch would wait, claimed, behind the handlers that are running.
    async fn fetch_next(&mut self, _: &WorkerContext) -> Result<Vec<Task<Claim>>, sqlx::Error> {
        loop {
            let rung = self.bell.rung();
            match self.claim().await {
                Ok(Some(claim)) => return Ok(vec![TaskBuilder::new(claim).build()]),
                Ok(None) if rung != self.bell.rung() => {}
                Ok(None) => return Ok(Vec::new()),
                Err(error) => {
                    tracing::warn!(queue = self.queue, %error, "could not look for jobs");
                    return Ok(Vec::new());
                }
            }
        }
    }

    /// [`Store::leave`] puts back what was not started.
    async fn reenqueue_abandoned(&mut self, _: Vec<Task<Claim>>, _: &WorkerContext) -> Result<u64, sqlx::Error> {
        Ok(0)
    }

    /// Runs acknowledge themselves ([`Store::finish`]), so that no ack waits for the poll loop.
    async fn handle_events(&mut self, _: Vec<TaskEvent<()>>, _: &WorkerContext) -> Result<(), sqlx::Error> {
        Ok(())
    }

    /// [`enqueue`](crate::enqueue()) is the one way in.
    async fn push_tasks(&mut self, _: Vec<Task<Claim>>) -> Result<(), sqlx::Error> {
        Err(sqlx::Error::Configuration("jobs are enqueued by enqueue()".into()))
    }
}
