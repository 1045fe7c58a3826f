use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

/// A typed wake-up: the payload, with its policy as constants beside it. One file a job.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The fixed name of the queue, `snake_case`, verb and noun. Rows carry it, so it never changes.
    const QUEUE: &'static str;
    /// How many of these one process runs at a time.
    const CONCURRENCY: usize;
    /// How often a wake-up may be started before it is given up. A snooze is not an attempt; a
    /// worker that died with it is.
    const MAX_ATTEMPTS: i32;

    /// A key under which wake-ups that are still waiting coalesce into one.
    /// `None`: each enqueue is a row of its own.
    fn coalesce_key(&self) -> Option<String>;

    /// How long a failed wake-up waits after its `attempt`th start (the first is 1). Up to a fifth
    /// is added at random, so that what failed together doesn't come back together.
    fn backoff(attempt: i32) -> Duration {
        const FIRST: Duration = Duration::from_millis(500);
        const LONGEST: Duration = Duration::from_secs(300);
        let doublings = attempt.clamp(1, 20).unsigned_abs() - 1;
        FIRST.saturating_mul(1 << doublings).min(LONGEST)
    }
}
