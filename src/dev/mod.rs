//! The embedded servers: PostgreSQL and Typesense, installed from pinned wheels, run on loopback
//! with their data in the project's folder, and taken over again after a crash.
//!
//! What must hold: nothing is run that doesn't match its pin; a server is found again by its data
//! folder, not by a note of ours that a crash may have prevented; no stranger on a port is taken
//! for our server; what is half-made (an install, a data folder, a secret) is never used.

mod account;
pub mod debian;
mod error;
mod home;
mod initdb;
mod install;
mod lock;
mod log;
mod pins;
mod port;
mod postgres;
mod postgres_engine;
mod postmaster_pid;
mod process;
mod running;
mod typesense;
mod typesense_engine;
mod unpack;

use std::path::{Path, PathBuf};

pub use self::error::Error;
pub use self::install::{Binaries, InstallError, ensure, install};
pub use self::lock::holder;
pub use self::pins::Server;
pub use self::port::choose as choose_port;
pub use self::postgres::{Postgres, PostgresOptions};
pub use self::typesense::{Typesense, TypesenseOptions};
pub use crate::wheels::default_cache;

use self::home::Home;
use self::lock::FolderLock;

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The machine's cache of installed servers; see [`default_cache`].
    pub cache: PathBuf,
    /// The project's `.tidewell` folder.
    pub dir: PathBuf,
    /// Whether to delete the servers' data first.
    pub fresh: bool,
    /// `None` where the user brings a PostgreSQL.
    pub postgres: Option<PostgresOptions>,
    /// `None` where the user brings a Typesense.
    pub typesense: Option<TypesenseOptions>,
}

/// The embedded servers of one project folder, which nobody else can start meanwhile.
#[derive(Debug)]
pub struct Servers {
    /// The PostgreSQL, if it was wanted.
    pub postgres: Option<Postgres>,
    /// The Typesense, if it was wanted.
    pub typesense: Option<Typesense>,
    _lock: FolderLock,
}

/// What [`Servers::down`] has stopped, by process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// The PostgreSQL that was left running, if any.
    pub postgres: Option<u32>,
    /// The Typesense that was left running, if any.
    pub typesense: Option<u32>,
}

impl Servers {
    /// Installs what is wanted and missing, and starts it; what a crash left running in the folder
    /// is taken over, and stopped where it isn't wanted.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process has the folder; else the first fault of an install or
    /// a start. Then none of the servers is left running.
    pub async fn start(options: &Options) -> Result<Servers, Error> {
        let lock = FolderLock::take(&options.dir)?;
        let (postgres_place, typesense_place) = places(&options.dir);
        if options.fresh || options.postgres.is_none() {
            Postgres::stop_left_behind(&postgres_place).await?;
        }
        if options.fresh || options.typesense.is_none() {
            Typesense::stop_left_behind(&typesense_place).await?;
        }
        if options.fresh {
            for place in [&postgres_place, &typesense_place] {
                Home::wipe(place).map_err(Error::io("delete", place))?;
            }
        }
        let mut wanted = Vec::new();
        wanted.extend(options.postgres.as_ref().map(|_| Server::Postgres));
        wanted.extend(options.typesense.as_ref().map(|_| Server::Typesense));
        let binaries = install::ensure(&options.cache, &wanted).await?;

        let postgres = async {
            match &options.postgres {
                Some(options) => Postgres::start(&binaries, &postgres_place, options).await.map(Some),
                None => Ok(None),
            }
        };
        let typesense = async {
            match &options.typesense {
                Some(options) => Typesense::start(&binaries, &typesense_place, options).await.map(Some),
                None => Ok(None),
            }
        };
        let (postgres, typesense) = tokio::join!(postgres, typesense);
        let mut fault = None;
        let postgres = note_fault(postgres, &mut fault);
        let typesense = note_fault(typesense, &mut fault);
        let servers = Servers { postgres, typesense, _lock: lock };
        match fault {
            None => Ok(servers),
            Some(fault) => {
                servers.stop().await?;
                Err(fault)
            }
        }
    }

    /// Stops the servers, whether started or taken over. Returns when both have ended.
    ///
    /// # Errors
    /// [`Error::Unstoppable`] for one that lives on.
    pub async fn stop(mut self) -> Result<(), Error> {
        let postgres = async {
            match &mut self.postgres {
                Some(postgres) => postgres.stop().await,
                None => Ok(()),
            }
        };
        let typesense = async {
            match &mut self.typesense {
                Some(typesense) => typesense.stop().await,
                None => Ok(()),
            }
        };
        let (postgres, typesense) = tokio::join!(postgres, typesense);
        postgres.and(typesense)
    }

    /// Stops the servers that a crash left running in the project's `.tidewell` folder `dir`.
    ///
    /// # Errors
    /// [`Error::Busy`] where a live process looks after them, [`Error::Unstoppable`].
    pub async fn down(dir: &Path) -> Result<Stopped, Error> {
        if !dir.exists() {
            return Ok(Stopped { postgres: None, typesense: None });
        }
        let _lock = FolderLock::take(dir)?;
        let (postgres, typesense) = places(dir);
        let (postgres, typesense) =
            tokio::join!(Postgres::stop_left_behind(&postgres), Typesense::stop_left_behind(&typesense));
        Ok(Stopped { postgres: postgres?, typesense: typesense? })
    }
}

/// The server, if it has started; only the first fault is told.
fn note_fault<T>(started: Result<Option<T>, Error>, fault: &mut Option<Error>) -> Option<T> {
    match started {
        Ok(server) => server,
        Err(e) => {
            fault.get_or_insert(e);
            None
        }
    }
}

/// Where each server's files are.
fn places(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("postgres"), dir.join("typesense"))
}
