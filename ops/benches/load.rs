//! Several clients that work off a list together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::task::JoinSet;

/// How it went.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    /// What each job took, in milliseconds.
    pub(crate) latencies: Vec<f64>,
}

impl Load {
    pub(crate) fn a_second(&self, count: usize) -> f64 {
        count as f64 / self.elapsed.as_secs_f64()
    }
}

/// Lets `clients` do the jobs from 0 to `jobs`, each taking the next one when it is done with one.
pub(crate) async fn run<F, Fut>(clients: usize, jobs: usize, job: F) -> anyhow::Result<Load>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    let began = Instant::now();
    for _ in 0..clients {
        let (next, job) = (next.clone(), job.clone());
        running.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= jobs {
                    return anyhow::Ok(latencies);
                }
                let since = Instant::now();
                job(n).await?;
                latencies.push(since.elapsed().as_secs_f64() * 1000.0);
            }
        });
    }
    let mut latencies = Vec::with_capacity(jobs);
    while let Some(client) = running.join_next().await {
        latencies.extend(client.context("a client broke off")??);
    }
    Ok(Load { elapsed: began.elapsed(), latencies })
}
