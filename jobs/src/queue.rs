use std::{
    task::{Context, Poll},
    time::Duration,
};

use apalis::prelude::{Backend, Identity, Task, WorkerContext};
use apalis_core::backend::{BackendConfig, finalize::Ephemeral, persistence::Persisted};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{claim::Claim, store::Store};

/// The apalis backend of one queue: apalis' state machine of a durable backend over our [`Store`],
/// woken by the queue's bell, and by a tick for what no bell announces (retries that fall due,
/// notifications that were lost).
#[derive(Debug)]
pub(crate) struct Queue {
    state: Persisted<Store>,
    heartbeat: Duration,
    tick: Interval,
}

impl Queue {
    pub(crate) fn new(store: Store, poll: Duration, heartbeat: Duration) -> Self {
        let mut tick = interval(poll);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { state: Persisted::new(store), heartbeat, tick }
    }
}

impl Backend for Queue {
    type Task = Task<Claim>;
    type Error = sqlx::Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), sqlx::Error>> {
        self.state.poll_ready(cx, worker, self.heartbeat)
    }

    /// Whenever this returns pending, both wakers are registered: apalis' stock strategies return
    /// ready without that, and the worker sleeps until its heartbeat.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Claim>, sqlx::Error>>> {
        self.state.bell.register(cx);
        while self.tick.poll_tick(cx).is_ready() {}
        self.state.poll_next(cx, worker)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), sqlx::Error>> {
        self.state.poll_close(cx, worker)
    }
}

impl BackendConfig for Queue {
    type Args = Claim;
    type Id = String;
    type Kind = Ephemeral;
    type Config = Duration;
    type Layer = Identity;

    fn config(&self) -> &Duration {
        &self.heartbeat
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
