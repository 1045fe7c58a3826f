//! Waiting for the end of a run, with a bar on a terminal.

use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::PgPool;
use tidewell::db::sync::{
    job::Job,
    run::{self, Run},
};
use tokio::signal;

use super::bar;

/// Between two looks at a run.
const LOOK: Duration = Duration::from_millis(200);

/// The run at its end. Ctrl-C ends the waiting alone.
pub(super) async fn ended(pool: &PgPool, job: &Job, run: Run) -> anyhow::Result<Run> {
    let progress = bar::new(&job.spec.name);
    let ended = tokio::select! {
        ended = watched(pool, run, &progress) => Some(ended),
        interrupted = signal::ctrl_c() => {
            interrupted.context("Ctrl-C can't be heard")?;
            None
        }
    };
    progress.finish_and_clear();
    let name = &job.spec.name;
    match ended {
        Some(ended) => ended,
        None => bail!(
            "nobody waits any more, and the run goes on: `tidewell sync status` shows it, `tidewell sync cancel {name:?}` ends it"
        ),
    }
}

async fn watched(pool: &PgPool, mut run: Run, progress: &indicatif::ProgressBar) -> anyhow::Result<Run> {
    loop {
        bar::show(progress, &run);
        if run.status.has_ended() {
            return Ok(run);
        }
        tokio::time::sleep(LOOK).await;
        run = again(pool, &run).await?;
    }
}

/// The run as it is now.
pub(super) async fn again(pool: &PgPool, run: &Run) -> anyhow::Result<Run> {
    run::find(pool, run.id).await?.context("the job was deleted, and its run with it")
}
