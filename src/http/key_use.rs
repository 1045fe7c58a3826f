//! When keys were last used: noted in memory, written down off the requests' path.

use std::{
    collections::HashSet,
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db;

/// Which keys have been used since the last time this was written down.
#[derive(Default)]
pub(super) struct KeyUse(Mutex<Used>);

#[derive(Default)]
struct Used {
    keys: HashSet<Uuid>,
    gateway_keys: HashSet<Uuid>,
}

impl KeyUse {
    const WRITTEN_EVERY: Duration = Duration::from_secs(5);

    pub(super) fn note(&self, key: Uuid) {
        self.used(|used| used.keys.insert(key));
    }

    pub(super) fn note_gateway(&self, key: Uuid) {
        self.used(|used| used.gateway_keys.insert(key));
    }

    fn used<T>(&self, change: impl FnOnce(&mut Used) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn keep(&self, pool: &PgPool, shutdown: CancellationToken) {
        loop {
            let stopping = tokio::time::timeout(Self::WRITTEN_EVERY, shutdown.cancelled()).await.is_ok();
            let used = self.used(mem::take);
            if let Err(error) = write_down(pool, &used).await {
                tracing::warn!(%error, "could not write down when keys were last used");
                self.used(|newer| {
                    newer.keys.extend(used.keys);
                    newer.gateway_keys.extend(used.gateway_keys);
                });
            }
            if stopping {
                return;
            }
        }
    }
}

async fn write_down(pool: &PgPool, used: &Used) -> Result<(), sqlx::Error> {
    if !used.keys.is_empty() {
        db::key::touch(pool, &used.keys.iter().copied().collect::<Vec<_>>()).await?;
    }
    if !used.gateway_keys.is_empty() {
        db::gateway_key::touch(pool, &used.gateway_keys.iter().copied().collect::<Vec<_>>()).await?;
    }
    Ok(())
}
