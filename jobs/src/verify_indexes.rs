use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Job;

/// Compare the collections of indexes whose check is due with what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyIndexes;

impl VerifyIndexes {
    /// How often it is woken.
    pub const EVERY: Duration = Duration::from_secs(10);
}

impl Job for VerifyIndexes {
    const QUEUE: &'static str = "verify_indexes";
    const CONCURRENCY: usize = 1;
    /// The next tick is the retry.
    const MAX_ATTEMPTS: i32 = 1;

    fn coalesce_key(&self) -> Option<String> {
        Some("tick".to_owned())
    }
}
