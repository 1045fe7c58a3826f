use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Job;

/// There is a run of this sync job to be done: claim the job and run it to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSync {
    pub job_id: Uuid,
}

impl Job for RunSync {
    const QUEUE: &'static str = "run_sync";
    /// The wake-up is short: the worker runs the sync beside it.
    const CONCURRENCY: usize = 8;
    const MAX_ATTEMPTS: i32 = 25;

    fn coalesce_key(&self) -> Option<String> {
        Some(self.job_id.to_string())
    }
}
