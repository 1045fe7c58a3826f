//! What can go wrong with a source database.

use crate::{db, reach};

/// A source that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("the source database can't be reached: {}", told(.0))]
    Unreachable(#[source] sqlx::Error),
    /// Its address is none that is connected to.
    #[error("the source database is not connected to: {0}")]
    Refused(#[from] reach::Refused),
    /// A statement failed.
    #[error("the source database answered: {}", told(.0))]
    Database(#[source] sqlx::Error),
}

impl Error {
    pub(super) fn of(error: sqlx::Error) -> Self {
        Self::Database(error)
    }

    /// True where the same may succeed later, though nobody changes anything: the server is away, restarting or overloaded.
    pub fn is_transient(&self) -> bool {
        match self {
            // A wrong password or database name is answered by the server; what has not been answered may come back.
            Self::Unreachable(sqlx::Error::Database(error)) | Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| ["08", "40", "53", "55", "57", "58"].contains(&&code[..2]))
            }
            Self::Unreachable(error) => !matches!(error, sqlx::Error::Configuration(_) | sqlx::Error::Tls(_)),
            Self::Refused(_) => false,
            Self::Database(error) => db::is_unavailable(error),
        }
    }
}

/// The server's own words, with its hint; never what was asked of it, which may hold a password.
fn told(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::PoolTimedOut => "it does not answer in time".to_owned(),
        sqlx::Error::Configuration(_) => "its URL can't be read".to_owned(),
        error => error.to_string(),
    }
}
