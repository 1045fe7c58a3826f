use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Job;

/// Look for imports whose worker was lost and whose outcome is in doubt; read their ids back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBackFlights;

impl ReadBackFlights {
    /// How often it is woken.
    pub const EVERY: Duration = Duration::from_secs(5);
}

impl Job for ReadBackFlights {
    const QUEUE: &'static str = "read_back_flights";
    const CONCURRENCY: usize = 1;
    /// The next tick is the retry.
    const MAX_ATTEMPTS: i32 = 1;

    fn coalesce_key(&self) -> Option<String> {
        Some("tick".to_owned())
    }
}
