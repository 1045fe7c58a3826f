//! The scan that correctness rests on: it takes no input and trusts no message.

use std::{collections::HashSet, sync::Arc, time::Instant};

use metrics::{counter, histogram};
use tokio::task::JoinSet;

use super::{Worker, reindex, repay, resolve_filter_delete, sync};
use crate::{
    db::{self, lane::Lane},
    metrics::{SWEEP_DURATION, SWEPT_LANES},
};

/// Lanes that one look takes on: the next look takes the others.
const AT_ONCE: i64 = 64;

/// Every so often, and whenever the backend is well again, gives each lane that has something to do and nobody who does it a turn.
pub(super) async fn sweep(worker: Arc<Worker>) {
    let mut turns = JoinSet::new();
    let mut lanes: HashSet<Lane> = HashSet::new();
    let mut resolving = JoinSet::new();
    let mut repaying = JoinSet::new();
    loop {
        tokio::select! {
            () = worker.shutdown.cancelled() => break,
            () = worker.gate.opened_again() => {}
            () = tokio::time::sleep(worker.options.poll) => {}
        }
        while let Some(ended) = turns.try_join_next() {
            match ended {
                Ok(lane) => _ = lanes.remove(&lane),
                // Whichever panicked: at worst a lane gets a second turn at once, which finds it held.
                Err(_) => lanes.clear(),
            }
        }
        while resolving.try_join_next().is_some() {}
        let began = Instant::now();
        report(db::activity::sample(&worker.pool).await);
        report(sync::sweep(&worker).await);
        report(reindex::sweep(&worker).await);
        if worker.gate.is_open() {
            continue;
        }
        if resolving.is_empty() {
            let worker = worker.clone();
            resolving.spawn(async move { report(resolve_filter_delete::resolve_due(&worker).await) });
        }
        while repaying.try_join_next().is_some() {}
        if repaying.is_empty() {
            let worker = worker.clone();
            repaying.spawn(async move { report(repay::repay(&worker).await) });
        }
        match db::lane::unattended(&worker.pool, AT_ONCE).await {
            Ok(unattended) => {
                counter!(SWEPT_LANES.name).increment(unattended.len() as u64);
                for lane in unattended.into_iter().filter(|lane| lanes.insert(*lane)).collect::<Vec<_>>() {
                    let worker = worker.clone();
                    turns.spawn(async move {
                        report(worker.drain(lane).await.map(drop));
                        lane
                    });
                }
            }
            Err(error) => report(Err(error)),
        }
        histogram!(SWEEP_DURATION.name).record(began.elapsed());
    }
    // One by one: a turn that panicked must not keep the others from ending.
    while turns.join_next().await.is_some() {}
    while resolving.join_next().await.is_some() {}
    while repaying.join_next().await.is_some() {}
}

fn report(done: Result<(), sqlx::Error>) {
    if let Err(error) = done {
        tracing::warn!(%error, "a look for unattended work broke off");
    }
}
