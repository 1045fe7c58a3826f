use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Job;

/// This lane of this index has more to do than goes with other lanes: take it, and project what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectLane {
    pub index_id: Uuid,
    pub lane: i16,
}

impl Job for ProjectLane {
    const QUEUE: &'static str = "project_lane";
    const CONCURRENCY: usize = 8;
    const MAX_ATTEMPTS: i32 = 25;

    fn coalesce_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.index_id, self.lane))
    }
}
