//! `tidewell sync`: jobs by which collections follow tables, and their runs.

mod bar;
mod cancel;
mod edit;
mod flags;
mod run;
mod runs;
mod status;
mod verify;
mod view;
mod wait;
mod watch;

use anyhow::Context;
use clap::Subcommand;
use sqlx::PgPool;
use tidewell::db::sync::job::{self, Job};

use super::{Session, page::PageArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List sync jobs, newest first
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a sync job
    Show {
        /// Its id or name
        job: String,
    },
    /// Make a sync job, checked against the table as it is; `run` runs it at once, its schedule comes by itself
    Create(Box<edit::Create>),
    /// Change a sync job; what is left out stays as it is
    Update(Box<edit::Update>),
    /// Delete a sync job with its history and its dead letters; the collection stays as it is
    Delete {
        /// Its id or name
        job: String,
    },
    /// Run a sync job now
    Run(run::Run),
    /// End the run of a sync job early; what it has written stays
    Cancel {
        /// The job's id or name
        job: String,
    },
    /// List the runs of a sync job, newest first
    Runs {
        /// The job's id or name
        job: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show how fresh each collection is, and what is under way
    Status(status::Args),
    /// Compare a table with its collection
    Verify(verify::Args),
    /// Put the collection before the current one back, and switch the job's schedule off
    Rollback(run::Asked),
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    let pool = session.database().await?;
    match command {
        Command::List { page } => view::list(session, &pool, page).await,
        Command::Show { job } => view::show(session, &pool, &find(&pool, job).await?).await,
        Command::Create(create) => edit::create(session, &pool, create).await,
        Command::Update(update) => edit::update(session, &pool, update).await,
        Command::Delete { job } => edit::delete(session, &pool, job).await,
        Command::Run(asked) => run::run(session, &pool, asked).await,
        Command::Cancel { job } => cancel::cancel(session, &pool, &find(&pool, job).await?).await,
        Command::Runs { job, page } => runs::list(session, &pool, &find(&pool, job).await?, page).await,
        Command::Status(args) => status::run(session, &pool, args).await,
        Command::Verify(args) => verify::run(session, &pool, args).await,
        Command::Rollback(asked) => run::roll_back(session, &pool, asked).await,
    }
}

/// The job of that id or name.
async fn find(pool: &PgPool, name: &str) -> anyhow::Result<Job> {
    let found = job::resolve(pool, name).await?;
    found.with_context(|| format!("there is no sync job {name:?}: `tidewell sync list` shows those there are"))
}
