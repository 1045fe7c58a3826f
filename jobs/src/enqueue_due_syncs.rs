use serde::{Deserialize, Serialize};

use crate::Job;

/// Give each sync job that is due a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnqueueDueSyncs;

impl Job for EnqueueDueSyncs {
    const QUEUE: &'static str = "enqueue_due_syncs";
    const CONCURRENCY: usize = 1;
    /// The next tick is the retry.
    const MAX_ATTEMPTS: i32 = 1;

    fn coalesce_key(&self) -> Option<String> {
        Some("tick".to_owned())
    }
}
