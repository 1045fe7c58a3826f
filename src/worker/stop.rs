//! Why a run stops before its end.

use crate::{embed, source, typesense};

/// Why a run stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something is away and will come back: the run waits, and goes on from where it stands.
    Pause(String),
    /// It can't succeed until somebody changes something.
    Fail(String),
    /// Somebody asked for it.
    Cancelled,
    /// The process ends; another one goes on.
    Shutdown,
    /// Somebody else has the job by now.
    LeaseLost,
    /// The control database.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<typesense::Error> for Stop {
    fn from(error: typesense::Error) -> Self {
        match error.is_transient() {
            true => Self::Pause(error.to_string()),
            false => Self::Fail(error.to_string()),
        }
    }
}

impl From<source::Error> for Stop {
    fn from(error: source::Error) -> Self {
        match error.is_transient() {
            true => Self::Pause(error.to_string()),
            false => Self::Fail(error.to_string()),
        }
    }
}

impl From<embed::Error> for Stop {
    fn from(error: embed::Error) -> Self {
        match error {
            embed::Error::Database(error) => Self::Database(error),
            embed::Error::Away { message, .. } => Self::Pause(message),
        }
    }
}
