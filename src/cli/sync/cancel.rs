//! Ending a run early.

use std::time::Duration;

use anyhow::Context;
use sqlx::PgPool;
use tidewell::db::sync::{job::Job, run};
use tokio::time::Instant;

use super::{runs, wait};
use crate::cli::Session;

/// How long the end of a cancelled run is waited for.
const STOPS_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at a run.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn cancel(session: &Session, pool: &PgPool, job: &Job) -> anyhow::Result<()> {
    let cancelled = run::cancel(pool, job.id).await?;
    let mut run = cancelled.with_context(|| format!("no run of {} is under way", job.spec.name))?;
    let deadline = Instant::now() + STOPS_WITHIN;
    while !run.status.has_ended() && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        run = wait::again(pool, &run).await?;
    }
    session.show(&runs::view(&run), || match run.status.has_ended() {
        true => format!("the run {} has ended", run.id),
        false => format!("the run {} is about to end", run.id),
    })
}
