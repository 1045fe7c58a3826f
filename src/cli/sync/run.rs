//! Asking for a run, and waiting for its end where somebody looks on.

use std::io::IsTerminal;

use anyhow::bail;
use clap::Args;
use sqlx::PgPool;
use tidewell::{
    db::sync::{
        job::Job,
        run::{self, Status, Trigger},
        state,
    },
    domain::sync_job::Mode,
    sync::request,
};

use super::{find, runs, wait};
use crate::cli::Session;

#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// The job's id or name
    job: String,
    /// Wait for the end of the run, which is done on a terminal anyway
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    /// Don't wait for the end of the run
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    asked: Asked,
    /// Build a new collection beside the one that is searched, which takes its place when it is complete
    #[arg(long)]
    full: bool,
}

impl Asked {
    fn waits(&self) -> bool {
        self.wait || !self.no_wait && std::io::stdout().is_terminal()
    }
}

pub(super) async fn run(session: &Session, pool: &PgPool, Run { asked, full }: &Run) -> anyhow::Result<()> {
    let job = find(pool, &asked.job).await?;
    if *full && let Some(bar) = request::bar_to_building_anew(pool, &job).await? {
        bail!(bar);
    }
    let queued = queue(pool, &job, Trigger::Manual, *full).await?;
    follow(session, pool, asked, &job, queued).await
}

/// Tells of a run that is queued, or of its end.
async fn follow(session: &Session, pool: &PgPool, asked: &Asked, job: &Job, queued: run::Run) -> anyhow::Result<()> {
    if !asked.waits() {
        return session.show(&runs::view(&queued), || {
            format!("queued the run {}: `tidewell sync runs {:?}` tells how it goes", queued.id, job.spec.name)
        });
    }
    let ended = wait::ended(pool, job, queued).await?;
    runs::show(session, &ended)?;
    match (ended.status, &ended.error) {
        (Status::Success, _) => Ok(()),
        (Status::Cancelled, _) => bail!("the run was cancelled"),
        (_, error) => bail!("the run has failed: {}", error.as_deref().unwrap_or("nobody noted why")),
    }
}

pub(super) async fn roll_back(session: &Session, pool: &PgPool, asked: &Asked) -> anyhow::Result<()> {
    let job = find(pool, &asked.job).await?;
    if job.spec.mode == Mode::Live {
        bail!("a live job follows its table: `tidewell sync update {:?} --mode scheduled` first", job.spec.name);
    }
    let known = state::find(pool, job.id).await?;
    if known.is_none_or(|known| known.previous_collection.is_none()) {
        bail!("there is no collection before the current one: nothing to roll back to");
    }
    let queued = queue(pool, &job, Trigger::Rollback, false).await?;
    follow(session, pool, asked, &job, queued).await
}

/// The run and the wake-up of a worker in one transaction.
async fn queue(pool: &PgPool, job: &Job, trigger: Trigger, builds_anew: bool) -> anyhow::Result<run::Run> {
    let mut tx = pool.begin().await?;
    let Some(queued) = request::queue(&mut tx, job.id, trigger).await? else {
        let name = &job.spec.name;
        match run::active(pool, job.id).await? {
            Some(active) => bail!(
                "the run {} of {name} has not ended: wait for it (`tidewell sync status --watch`), or end it (`tidewell sync cancel {name:?}`)",
                active.id
            ),
            None => bail!("{name} is disabled: `tidewell sync update {name:?} --enabled` first"),
        }
    };
    if builds_anew {
        run::build_anew(&mut tx, queued.id).await?;
    }
    tx.commit().await?;
    Ok(queued)
}
