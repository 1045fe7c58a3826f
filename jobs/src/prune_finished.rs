use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Job;

/// Delete what has ended and has been kept long enough, this crate's own rows ([`crate::prune`])
/// and the application's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneFinished;

impl PruneFinished {
    /// How often it is woken.
    pub const EVERY: Duration = Duration::from_secs(60);
}

impl Job for PruneFinished {
    const QUEUE: &'static str = "prune_finished";
    const CONCURRENCY: usize = 1;
    /// The next tick is the retry.
    const MAX_ATTEMPTS: i32 = 1;

    fn coalesce_key(&self) -> Option<String> {
        Some("tick".to_owned())
    }
}
