use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Job;

/// A version of an index is to become the live one: claim this reindex and see it through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReindex {
    pub reindex_id: Uuid,
}

impl Job for RunReindex {
    const QUEUE: &'static str = "run_reindex";
    /// The wake-up is short: the worker does the work beside it.
    const CONCURRENCY: usize = 4;
    const MAX_ATTEMPTS: i32 = 25;

    fn coalesce_key(&self) -> Option<String> {
        Some(self.reindex_id.to_string())
    }
}
