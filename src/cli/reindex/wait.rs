//! Waiting for the end of a reindex, with a bar on a terminal.

use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use sqlx::PgPool;
use tidewell::db::{
    self,
    index::Index,
    reindex::{Reindex, Status},
};
use tokio::{signal, time::Instant};

use super::view::doing;
use crate::cli::{
    bar,
    output::{age, short},
};

/// Between two looks at a reindex.
const LOOK: Duration = Duration::from_millis(200);
/// Longest reason for waiting that fits beside a bar.
const REASON: usize = 60;

/// The reindex at its end, or as it stands when the patience has. Ctrl-C ends the waiting alone.
pub(super) async fn ended(
    pool: &PgPool,
    index: &Index,
    reindex: Reindex,
    patience: Duration,
) -> anyhow::Result<Reindex> {
    let progress = bar::new(&index.slug);
    let ended = tokio::select! {
        ended = watched(pool, reindex, patience, &progress) => Some(ended),
        interrupted = signal::ctrl_c() => {
            interrupted.context("Ctrl-C can't be heard")?;
            None
        }
    };
    progress.finish_and_clear();
    match ended {
        Some(ended) => ended,
        None => bail!(
            "nobody waits any more, and it goes on: `tidewell index versions {0}` shows it, `tidewell reindex --cancel {0}` ends it",
            index.slug
        ),
    }
}

async fn watched(
    pool: &PgPool,
    mut reindex: Reindex,
    patience: Duration,
    progress: &ProgressBar,
) -> anyhow::Result<Reindex> {
    let began = Instant::now();
    loop {
        bar::show(progress, reindex.progress(), told(&reindex));
        if reindex.has_ended() || began.elapsed() >= patience {
            return Ok(reindex);
        }
        tokio::time::sleep(LOOK).await;
        reindex = db::reindex::find(pool, reindex.id).await?.context("it is not known any more")?;
    }
}

/// How far, how fast, how long it will take, and what is done.
fn told(reindex: &Reindex) -> String {
    let mut parts = vec![format!("{:.0}%", reindex.progress() * 100.0)];
    if reindex.total > 0 {
        parts.push(format!("{} of {} documents", reindex.done, reindex.total));
    }
    if let Some(seconds) = reindex.seconds.filter(|seconds| *seconds > 0.0 && reindex.status == Status::Running) {
        parts.push(format!("{:.0}/s", reindex.done as f64 / seconds));
    }
    if let Some(eta) = reindex.eta_seconds() {
        parts.push(format!("{} left", age(eta)));
    }
    if reindex.refused > 0 {
        parts.push(format!("{} refused", reindex.refused));
    }
    parts.push(match &reindex.error {
        Some(reason) => format!("waiting: {}", short(reason, REASON)),
        None => doing(reindex).to_owned(),
    });
    parts.join(", ")
}
