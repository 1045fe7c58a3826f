//! Following one table of somebody else's Postgres, as its changes are committed.
//!
//! **The stream says which keys changed, the table says what is there.** Of each change only the values of the key columns are
//! taken; whoever reads the stream looks the rows up in the table. So values that the stream leaves out (unchanged large ones) are
//! never missed, and a stale value can't be written.
//!
//! The way through: [`prepare`], each time before [`Stream::open`]; then [`Stream::next`], and [`Stream::confirm`] once what it gave
//! is in its place. What was not confirmed comes again after a break. Whatever error is transient is cured by going that way again.
//!
//! While a table is followed its identity must not be changed by hand: from then on PostgreSQL refuses its updates and deletes, until
//! [`prepare`] has fitted the publication to it.
//!
//! What never comes through the stream, and shows in a comparison of the whole table alone: a partition that is attached, detached,
//! dropped or truncated by itself; a new column's default; what is changed while `session_replication_role` or a DBA's hand keeps it
//! out of the publication.

mod address;
mod batch;
mod connection;
mod error;
mod pgoutput;
mod prepare;
mod publication;
mod pump;
mod slot;
mod stream;
mod table;
mod tls;

pub use self::{
    batch::{Batch, Key},
    error::Error,
    prepare::{Prepared, check, prepare},
    publication::drop_publication,
    slot::{HeldBack, drop_slot, held_back},
    stream::{Options, Stream},
};
pub use pgwire_replication::Lsn;

/// The table to follow.
#[derive(Debug, Clone)]
pub struct Target {
    pub schema: String,
    pub table: String,
    /// The columns whose values make a key, in this order. They must be among those that the table is identified by.
    pub key_columns: Vec<String>,
    /// What the slot and the publication are called: lower-case letters, digits and underscores, 63 at most.
    pub name: String,
}

/// Whether bytes are a message of `pgoutput`.
pub fn is_message(bytes: &[u8]) -> bool {
    pgoutput::read(bytes).is_ok()
}

/// A name as SQL takes it, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names, each quoted, with commas between.
fn list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}
