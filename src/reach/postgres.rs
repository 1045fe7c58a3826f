//! Connections of sqlx's to databases that a caller has named.

use std::io;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Policy, Refused, policy, refused, resolve, system};

/// The options for one connection, made at once. Where TLS does not go by the host's name, they lead to the very address that was
/// judged; else sqlx looks the name up once more, and tries whatever addresses it has.
///
/// # Errors
/// As [`resolve`]'s; in the second case also where one of several addresses may not be connected to.
pub async fn postgres(options: &PgConnectOptions) -> io::Result<PgConnectOptions> {
    let host = options.get_host();
    if is_socket(options) {
        return policy().judge_socket().map(|()| options.clone()).map_err(refused);
    }
    let (host, port) = (host.trim_matches(['[', ']']), options.get_port());
    let is_named_in_tls = !matches!(options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow);
    if is_named_in_tls {
        policy().admit_whole(system(host.to_owned(), port).await?).map_err(refused)?;
        return Ok(options.clone());
    }
    let first = resolve(host, port).await?.into_iter().next();
    Ok(first.map_or_else(|| options.clone(), |first| options.clone().host(&first.ip().to_string())))
}

impl Policy {
    /// Judges where a database is, as far as its URL tells: as [`Policy::judge_socket`] or [`Policy::judge_host`].
    pub fn judge_database(&self, options: &PgConnectOptions) -> Result<(), Refused> {
        if is_socket(options) { self.judge_socket() } else { self.judge_host(options.get_host()) }
    }
}

fn is_socket(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some() || options.get_host().starts_with('/')
}
