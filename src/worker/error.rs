//! What can stop a piece of work: one of the two servers.

use crate::typesense;

/// A fault of a server, to be treated by whoever knows what it means there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Typesense(#[from] typesense::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
