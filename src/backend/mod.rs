//! Backends of table syncs: a stored profile as a client of its Typesense, and whether a Typesense can be used as one.

mod inspect;

use std::time::Duration;

use crate::{
    db::profile::Profile,
    domain::{
        seal::{self, Sealer},
        sensitive::Sensitive,
    },
    reach,
    typesense::Client,
};

pub use inspect::{Inspected, Listed, NodeState, Refusal, collections, test};

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Sealed(#[from] seal::Error),
    /// An address or key that nobody would have let in.
    #[error("the address or the key of the backend can't be used: {0}")]
    Unusable(#[from] reqwest::Error),
    /// An address that is not connected to, or not any more.
    #[error("the backend is not connected to: {0}")]
    Refused(#[from] reach::Refused),
}

/// A client for syncing.
pub fn client(profile: &Profile, sealer: &Sealer) -> Result<Client, Error> {
    with_key(profile, profile.api_key(sealer)?)
}

/// A client for searching, by the search key where there is one.
pub fn search_client(profile: &Profile, sealer: &Sealer) -> Result<Client, Error> {
    with_key(profile, profile.search_key(sealer)?)
}

fn with_key(profile: &Profile, key: Sensitive) -> Result<Client, Error> {
    at(&profile.nodes(), &key, profile.timeout_ms)
}

/// A client of what is not stored: at least one address, and a time that a call may take.
pub fn at(nodes: &[String], key: &Sensitive, timeout_ms: i32) -> Result<Client, Error> {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or_default());
    let client = Client::of_strangers(nodes, key.expose(), timeout)?;
    client.hosts().try_for_each(|host| reach::policy().judge_host(host))?;
    Ok(client)
}
