//! Why the embedded servers could not be started or stopped.

use std::io;
use std::path::{Path, PathBuf};

use super::install::InstallError;
use super::pins::{POSTGRES_MAJOR, Server};

/// Why the embedded servers could not be started or stopped; the message is for the person at the
/// terminal, says what to do, and holds its causes already (so none is given as `source`).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The servers could not be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// Another process holds the project's folder.
    #[error(
        "another `tidewell dev`{} is running in {}: stop it first, or start this one in another folder",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), folder.display()
    )]
    Busy {
        /// The `.tidewell` folder.
        folder: PathBuf,
        /// Who holds it, where it has said so.
        pid: Option<u32>,
    },
    /// A data folder of another major version.
    #[error(
        "{} was written by PostgreSQL {found}, and this tidewell brings PostgreSQL {POSTGRES_MAJOR}: \
         dump it with the tidewell that wrote it, or start over with --fresh, which deletes it",
        data.display()
    )]
    OtherVersion {
        /// The data folder.
        data: PathBuf,
        /// The major version found in it.
        found: String,
    },
    /// The stored password isn't the one the data was made with.
    #[error(
        "PostgreSQL refuses the password in {}: it does not belong to the data beside it; put the \
         right one there, or start over with --fresh, which deletes the data",
        .0.display()
    )]
    WrongPassword(PathBuf),
    /// A shared library of the system's is missing.
    #[error(
        "{name} needs the system's {library}, which is not installed: install it (on Debian and \
         Ubuntu: apt-get install libxml2 libgssapi-krb5-2 libssl3 liblz4-1 libzstd1), or set \
         {settings} to use a server of your own", name = server.name(), settings = server.settings()
    )]
    MissingLibrary {
        /// The server that could not run.
        server: Server,
        /// The library's file name.
        library: String,
    },
    /// The server ended before it was ready.
    #[error("{} ended while it was starting; the end of {}:\n{tail}", server.name(), log.display())]
    Ended {
        /// Which server.
        server: Server,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The server lives but has not answered in time.
    #[error("{} was not ready after {seconds} s; its log is {}", server.name(), log.display())]
    NotReady {
        /// Which server.
        server: Server,
        /// How long was waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// A stranger holds the port that had to be used.
    #[error("port {port} of {} has been taken by another program", server.name())]
    PortTaken {
        /// Which server.
        server: Server,
        /// The port.
        port: u16,
    },
    /// As root, the servers run as an unprivileged account, and there is none.
    #[error(
        "PostgreSQL refuses to run as root, and there is no account `nobody` to run it as: run \
         tidewell as an ordinary user, or set TIDEWELL_DATABASE_URL to use a server of your own"
    )]
    NoAccount,
    /// The account the servers run as can't get at something it needs.
    #[error(
        "running as root, tidewell runs the servers as an unprivileged user (uid {uid}), which cannot \
         reach {}: {advice}", path.display()
    )]
    OutOfReach {
        /// The account.
        uid: u32,
        /// What it can't reach.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The server doesn't end, not even by SIGKILL.
    #[error("{} (process {pid}) does not stop", server.name())]
    Unstoppable {
        /// Which server.
        server: Server,
        /// Its process.
        pid: u32,
    },
    /// The database can't be reached or made.
    #[error("PostgreSQL is running, but the database `tidewell` cannot be made: {0}")]
    Database(sqlx::Error),
    /// The client that asks Typesense whether it is ready.
    #[error("cannot ask Typesense whether it is ready: {0}")]
    Client(reqwest::Error),
    /// A file or folder of the project.
    #[error("cannot {what} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl Error {
    /// For `map_err`: what was tried with which path.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { what, path, cause }
    }

    /// A server that ended, explained by what it printed.
    pub(super) fn ended(server: Server, log: &Path, tail: String) -> Self {
        match missing_library(&tail) {
            Some(library) => Self::MissingLibrary { server, library },
            None => Self::Ended { server, log: log.to_owned(), tail },
        }
    }
}

/// The loader's words: `…: error while loading shared libraries: libxml2.so.2: cannot open …`.
fn missing_library(tail: &str) -> Option<String> {
    let (_, rest) = tail.rsplit_once("error while loading shared libraries: ")?;
    rest.split(':').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let tail = "postgres: error while loading shared libraries: libxml2.so.2: cannot open \
                    shared object file: No such file or directory";
        let error = Error::ended(Server::Postgres, Path::new("log"), tail.into());
        assert!(error.to_string().contains("the system's libxml2.so.2,"), "{error}");
        let error = Error::ended(Server::Postgres, Path::new("log"), "FATAL: no".into());
        assert!(error.to_string().ends_with("FATAL: no"), "{error}");
    }
}
