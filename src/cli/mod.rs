//! The commands: one file a group. They speak to the database themselves and share the rules of the HTTP API.

mod backend;
mod bar;
mod client;
mod client_tables;
mod database;
mod dead_letter;
mod dev;
mod doctor;
mod gateway_key;
mod index;
mod input;
mod job;
mod key;
mod organization;
pub(crate) mod output;
mod page;
mod person;
mod plan;
mod process;
mod reindex;
mod restored;
mod sealing;
mod shutdown;
mod status;
mod sync;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tidewell::{config::Config, journal::Journal};

/// A durable, DB-first gateway: takes document writes into Postgres and projects them into Typesense.
#[derive(Debug, Parser)]
#[command(name = "tidewell", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Answer in JSON
    #[arg(long, global = true, display_order = 1000)]
    pub(crate) json: bool,
    /// The file of settings [default: TIDEWELL_CONFIG, or tidewell.toml in this folder, if there is one]
    #[arg(long, global = true, value_name = "FILE", display_order = 1000)]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine, servers included, with a demo to play with
    Dev(dev::Args),
    /// Run the HTTP front end
    Serve,
    /// Run the workers and the scheduler
    Work,
    /// Bring the control database up to date
    Migrate {
        /// Print what makes the tables, for `psql -f`, and touch no database
        #[arg(long)]
        print: bool,
    },
    /// Show how things stand
    Status,
    /// Check a deployment, and say what to fix
    Doctor(doctor::Args),
    /// After an older backup of the database was restored: find what Typesense holds beyond it, and mend it
    Restored(restored::Args),
    /// Organizations: the tenants
    #[command(subcommand)]
    Org(organization::Command),
    /// Indexes of an organization
    #[command(subcommand)]
    Index(index::Command),
    /// Build a new version of an index and put it in place, or a former one back
    Reindex(reindex::Args),
    /// Keys of an organization, and gateway keys
    #[command(subcommand)]
    Key(key::Command),
    /// Plans: how much an organization may use
    #[command(subcommand)]
    Plan(plan::Command),
    /// Clients: logical names of source databases
    #[command(subcommand)]
    Client(client::Command),
    /// Backends: where tables are synced to
    #[command(subcommand)]
    Backend(backend::Command),
    /// Sync jobs: tables that collections in Typesense follow
    #[command(subcommand)]
    Sync(sync::Command),
    /// Writes that failed for good
    #[command(subcommand)]
    DeadLetters(dead_letter::Command),
    /// Jobs: what became of the documents of one request
    #[command(subcommand)]
    Job(job::Command),
}

impl Command {
    /// Whether it stays and works, rather than to answer and end.
    pub(crate) fn stays(&self) -> bool {
        matches!(self, Self::Dev(_) | Self::Serve | Self::Work | Self::Migrate { print: false })
    }
}

/// What every command is given.
pub(crate) struct Session {
    pub(crate) config: Config,
    pub(crate) json: bool,
    /// What this process logs of jobs, to be written down by one that stays.
    pub(crate) journal: Journal,
}

/// Runs one command.
pub(crate) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Dev(args) => dev::run(session, args).await,
        Command::Serve => process::serve(session).await,
        Command::Work => process::work(session).await,
        Command::Migrate { print: false } => process::migrate(session).await,
        Command::Migrate { print: true } => process::print_migrations(session),
        Command::Status => status::run(session).await,
        Command::Doctor(args) => doctor::run(session, args).await,
        Command::Restored(args) => restored::run(session, args).await,
        Command::Org(command) => organization::run(session, command).await,
        Command::Index(command) => index::run(session, command).await,
        Command::Reindex(args) => reindex::run(session, args).await,
        Command::Key(command) => key::run(session, command).await,
        Command::Plan(command) => plan::run(session, command).await,
        Command::Client(command) => client::run(session, command).await,
        Command::Backend(command) => backend::run(session, command).await,
        Command::Sync(command) => sync::run(session, command).await,
        Command::DeadLetters(command) => dead_letter::run(session, command).await,
        Command::Job(command) => job::run(session, command).await,
    }
}
