use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Job;

/// There are accepted writes in this index: see which of its lanes wait, and project what they have. One row an index, however many of
/// its lanes a request has rows for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectIndex {
    pub index_id: Uuid,
}

impl Job for ProjectIndex {
    const QUEUE: &'static str = "project_index";
    const CONCURRENCY: usize = 8;
    const MAX_ATTEMPTS: i32 = 25;

    fn coalesce_key(&self) -> Option<String> {
        Some(self.index_id.to_string())
    }
}
