use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Context,
    time::Duration,
};

use futures::task::AtomicWaker;
use serde::Deserialize;
use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};

/// The channel that apalis' trigger notifies for every row inserted.
const CHANNEL: &str = "apalis::job::insert";
/// How long to wait before listening again after the connection could not be made.
const RELISTEN_AFTER: Duration = Duration::from_secs(1);

/// A queue's bell. Ringing it wakes the worker, and is counted, so that a fetch that was under way
/// when it rang is known to have looked too early: a notification is never swallowed.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicU64,
    waker: AtomicWaker,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.rung.fetch_add(1, Ordering::AcqRel);
        self.waker.wake();
    }

    pub(crate) fn rung(&self) -> u64 {
        self.rung.load(Ordering::Acquire)
    }

    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }
}

#[derive(Deserialize)]
struct Inserted {
    job_type: String,
}

/// Rings the bells of the queues as rows are inserted, for ever. One connection serves all queues:
/// a bell can't block, so a saturated queue doesn't hold up the others.
pub(crate) async fn listen(pool: PgPool, bells: HashMap<&'static str, Arc<Bell>>) {
    // A pool of its own, since the connection is never given back.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with((*pool.connect_options()).clone());
    loop {
        if let Err(error) = attend(&own, &bells).await {
            tracing::warn!(%error, "not listening for new jobs; polling finds them meanwhile");
        }
        tokio::time::sleep(RELISTEN_AFTER).await;
    }
}

async fn attend(pool: &PgPool, bells: &HashMap<&'static str, Arc<Bell>>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was inserted while nobody listened.
        bells.values().for_each(|bell| bell.ring());
        while let Some(notification) = listener.try_recv().await? {
            if let Ok(inserted) = serde_json::from_str::<Inserted>(notification.payload())
                && let Some(bell) = bells.get(inserted.job_type.as_str())
            {
                bell.ring();
            }
        }
    }
}
