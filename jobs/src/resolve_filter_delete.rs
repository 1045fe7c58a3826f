use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Job;

/// A delete by filter was accepted at this version: find the ids that it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveFilterDelete {
    pub index_id: Uuid,
    pub version: i64,
}

impl Job for ResolveFilterDelete {
    const QUEUE: &'static str = "resolve_filter_delete";
    const CONCURRENCY: usize = 2;
    const MAX_ATTEMPTS: i32 = 25;

    fn coalesce_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.index_id, self.version))
    }
}
