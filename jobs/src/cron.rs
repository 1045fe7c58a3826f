use std::time::{Duration, SystemTime};

use apalis_cron::{CronScheduler, Schedule, Tick, timezone::Utc};
use futures::StreamExt;
use sqlx::PgPool;

use crate::{Job, enqueue::enqueue_tick};

/// Every so many whole seconds, counted from the epoch: every replica ticks at the same instants.
#[derive(Debug, Clone, Copy)]
struct Every {
    secs: u64,
}

impl Schedule<Utc> for Every {
    fn next_tick(&mut self, _: &Utc) -> Option<Tick> {
        // A process's own clock will do: it decides when a tick comes, not which ticks there are.
        let now = SystemTime::UNIX_EPOCH.elapsed().ok()?.as_secs();
        Some(Tick::new((now / self.secs + 1) * self.secs))
    }
}

/// Enqueues a job at each tick, for ever. A tick that can't be enqueued is left out: the next one
/// does its work.
pub(crate) async fn tick<J: Job>(pool: PgPool, period: Duration, make: impl Fn() -> J) {
    let every = Every { secs: period.as_secs().max(1) };
    loop {
        // The stream yields the same error for ever once a tick has passed while nobody polled it
        // (the enqueue was slow, the machine slept): then it is made anew.
        let mut ticks = std::pin::pin!(CronScheduler::new(every).into_stream());
        while let Some(Ok(tick)) = ticks.next().await {
            let enqueued = async {
                let mut conn = pool.acquire().await?;
                enqueue_tick(&mut conn, tick.get_timestamp(), make()).await
            };
            if let Err(error) = enqueued.await {
                tracing::warn!(queue = J::QUEUE, %error, "a tick could not be enqueued");
            }
        }
    }
}
