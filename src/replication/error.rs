//! What can go wrong between Tidewell and a source that it follows.

use std::io;

use pgwire_replication::PgWireError;

/// A failed call, or the end of a stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source could not be reached, or the connection broke.
    #[error("the source could not be reached: {0}")]
    Connection(#[from] io::Error),
    /// The source has not said a word for longer than it may.
    #[error("the source does not answer")]
    Silent,
    /// Another connection reads from the slot: a second reader, or one that died and that the source has not missed yet.
    #[error("the slot {0} is in use by another connection")]
    SlotInUse(String),
    /// The slot can't be made before the transactions that are open at the source have ended.
    #[error("a new slot waits for the transactions that are open at the source")]
    Waiting,
    /// The address leads to a standby, where nothing can be prepared until it is promoted.
    #[error("the source is a standby: changes are followed at the primary")]
    Standby,
    /// The source refused, for a reason of its own.
    #[error("the source answered: {message} ({code})")]
    Refused { code: String, message: String },
    /// Something must be done at the source first; the text says what.
    #[error("{0}")]
    Setup(String),
    /// The source was reached, and not trusted or not willing to let us in.
    #[error("no way into the source: {0}")]
    NotLetIn(String),
    /// One change is larger than what is taken.
    #[error("a change of {bytes} bytes is more than the stream takes ({limit})")]
    TooLarge { bytes: usize, limit: usize },
    /// What the source sent was not what its protocol says.
    #[error("the source's stream could not be read: {0}")]
    Unreadable(String),
    /// A statement failed before it reached the source, or its answer could not be read.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl Error {
    /// True where the same way, [`prepare`](super::prepare) and then [`Stream::open`](super::Stream::open), may lead on later. Else
    /// somebody must do something first.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Silent | Self::SlotInUse(_) | Self::Waiting | Self::Standby => true,
            // Classes 08 (connection), 40 (rolled back), 55 (a lock; a slot that was lost, which is made anew), 57 (shut down),
            // 58 (system), 53 (resources) but for 53400, a limit that is a setting. 42704: the slot or the publication is gone,
            // and is made anew. 42710: another one was quicker to make it. 25006: became a standby.
            Self::Refused { code, .. } => {
                let class = code.get(..2).unwrap_or_default();
                code != "53400" && ["08", "40", "53", "55", "57", "58"].contains(&class)
                    || ["25006", "42704", "42710"].contains(&code.as_str())
            }
            Self::Database(error) => {
                matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Protocol(_))
            }
            Self::Setup(_) | Self::NotLetIn(_) | Self::TooLarge { .. } | Self::Unreadable(_) => false,
        }
    }

    /// True where the slot can't be read on, though to [`prepare`](super::prepare) it may look sound: it is gone, or is older than a
    /// publication that somebody dropped and made again. Cured by [`drop_slot`](super::drop_slot) and then the same way again.
    pub fn needs_new_slot(&self) -> bool {
        self.code() == Some("42704")
    }

    /// An answer of the source's with this state and text.
    pub(super) fn refused(code: &str, message: String) -> Self {
        match code {
            // Invalid authorization, invalid database: nothing that time cures.
            _ if code.starts_with("28") || code == "3D000" => Self::NotLetIn(message),
            _ => Self::Refused { code: code.to_owned(), message },
        }
    }

    /// The state that the source told, if this is an answer of the source's.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// As said of this slot: that it is held by another connection has a variant of its own.
    pub(super) fn of_slot(self, name: &str) -> Self {
        if self.code() == Some("55006") { Self::SlotInUse(name.to_owned()) } else { self }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                Self::refused(&error.code().unwrap_or_default(), error.message().to_owned())
            }
            sqlx::Error::Io(error) => Self::Connection(error),
            sqlx::Error::Tls(error) => Self::NotLetIn(error.to_string()),
            error => Self::Database(error),
        }
    }
}

impl From<PgWireError> for Error {
    fn from(error: PgWireError) -> Self {
        match error {
            PgWireError::Io(error) => Self::Connection(io::Error::new(error.kind(), error)),
            PgWireError::Auth(message) | PgWireError::Tls(message) => Self::NotLetIn(message),
            PgWireError::MessageTooLarge { payload_bytes: bytes, limit_bytes: limit } => {
                Self::TooLarge { bytes, limit }
            }
            error => Self::Unreadable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn what_passes_by_itself_is_transient() {
        let passes = |code: &str| Error::refused(code, String::new()).is_transient();
        for code in ["57P03", "57P01", "53300", "55006", "55000", "42704", "25006", "08006"] {
            assert!(passes(code), "{code}");
        }
        for code in ["28P01", "28000", "42501", "53400", "3D000", "42P01", "", "é"] {
            assert!(!passes(code), "{code}");
        }
    }
}
