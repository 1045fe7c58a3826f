use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Job;

/// This sync job has a run that waits: claim the job and go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSync {
    pub job_id: Uuid,
}

impl Job for RunSync {
    const QUEUE: &'static str = "run_sync";
    const CONCURRENCY: usize = 8;
    const MAX_ATTEMPTS: i32 = 25;

    fn coalesce_key(&self) -> Option<String> {
        Some(self.job_id.to_string())
    }
}
