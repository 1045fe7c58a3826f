//! What the end-to-end tests stand on: real servers, real processes, a client, a browser, an oracle and a proxy for faults.

pub mod browser;
pub mod client;
pub mod clients;
pub mod cluster;
pub mod database_proxy;
pub mod flow;
pub mod meanings;
pub mod openai;
pub mod oracle;
pub mod process;
pub mod proxy;
pub mod servers;
pub mod soundness;
pub mod stack;
pub mod sync_job;
pub mod syncing;

use std::{fmt::Debug, time::Duration};

/// Asks again until `look` answers; a test that waits for something that can't be waited on says within which time it must be so.
pub async fn eventually<T, F: Future<Output = Result<T, E>>, E: Debug>(
    within: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + within;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        match look().await {
            Ok(found) => return found,
            Err(error) if tokio::time::Instant::now() > deadline => panic!("not within {within:?}: {error:?}"),
            Err(_) => {}
        }
    }
}
