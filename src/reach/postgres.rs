//! Connections of sqlx's to databases that a caller has named.

use std::io;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Policy, Refused, policy, resolve};

/// The options for one connection, made at once. Where TLS does not go by the host's name, they lead to the very address that was
/// judged; else sqlx looks the name up once more.
///
/// # Errors
/// As [`resolve`]'s.
pub async fn postgres(options: &PgConnectOptions) -> io::Result<PgConnectOptions> {
    let host = options.get_host();
    if is_socket(options) {
        let refused = |refused| io::Error::new(io::ErrorKind::PermissionDenied, refused);
        return policy().judge_socket().map(|()| options.clone()).map_err(refused);
    }
    let addresses = resolve(host.trim_matches(['[', ']']), options.get_port()).await?;
    let is_named_in_tls = !matches!(options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow);
    match addresses.first() {
        Some(first) if !is_named_in_tls => Ok(options.clone().host(&first.ip().to_string())),
        _ => Ok(options.clone()),
    }
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
