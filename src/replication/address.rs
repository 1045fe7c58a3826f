//! A source's URL, read as sqlx reads it, so that the stream goes where every other connection goes.

use std::{path::PathBuf, str::FromStr};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::Error;

/// Where the source is, and what opens it.
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: String,
    pub(super) options: String,
    pub(super) tls: TlsMode,
    /// Certificates in PEM, or the files that hold them.
    pub(super) root_certificate: Option<Pem>,
    pub(super) client_certificate: Option<Pem>,
    pub(super) client_key: Option<Pem>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Place {
    Host(String, u16),
    Socket(PathBuf),
}

#[derive(Debug, PartialEq)]
pub(super) enum Pem {
    Text(String),
    File(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TlsMode {
    None,
    /// Where the server offers it, unverified.
    Preferred,
    /// Always, unverified.
    Required,
    /// The server's certificate is of an authority that is trusted.
    VerifiedAuthority,
    /// And is of the host that was asked for.
    VerifiedHost,
}

/// How values are written, as on sqlx's connections; and when the source gives up on us, whatever it does by default: a reader that
/// died holds the slot until then.
const SETTINGS: &str = "-c DateStyle=ISO,MDY -c TimeZone=UTC -c IntervalStyle=postgres -c extra_float_digits=2 \
    -c bytea_output=hex -c wal_sender_timeout=60s";

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`Error::Database`] where it is none that sqlx takes.
    pub(super) fn read(url: &str) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)?;
        // What has no getter is in the options' own URL, which can't be built from every host and user.
        let hidden = options.clone().host("host").username("user").to_url_lossy();
        let parameter = |name: &str| hidden.query_pairs().find(|(key, _)| key == name).map(|(_, value)| pem(&value));
        // As the name of a parameter it is decoded. It has no `+`, `&` or `=`: all but letters and digits are encoded.
        let mut decoder = hidden.clone();
        decoder.set_query(hidden.password());
        let password = decoder.query_pairs().next().map(|(name, _)| name.into_owned()).unwrap_or_default();
        let directory = match options.get_socket() {
            Some(directory) => Some(directory.clone()),
            None => options.get_host().starts_with('/').then(|| options.get_host().into()),
        };
        let port = options.get_port();
        Ok(Self {
            place: match directory {
                Some(directory) => Place::Socket(directory.join(format!(".s.PGSQL.{port}"))),
                None => Place::Host(options.get_host().trim_matches(['[', ']']).to_owned(), port),
            },
            user: options.get_username().to_owned(),
            password,
            database: options.get_database().unwrap_or(options.get_username()).to_owned(),
            options: format!("{} {SETTINGS}", options.get_options().unwrap_or_default()).trim_start().to_owned(),
            tls: match options.get_ssl_mode() {
                PgSslMode::Disable | PgSslMode::Allow => TlsMode::None,
                PgSslMode::Prefer => TlsMode::Preferred,
                PgSslMode::Require => TlsMode::Required,
                PgSslMode::VerifyCa => TlsMode::VerifiedAuthority,
                PgSslMode::VerifyFull => TlsMode::VerifiedHost,
            },
            root_certificate: parameter("sslrootcert"),
            client_certificate: parameter("sslcert"),
            client_key: parameter("sslkey"),
        })
    }
}

/// A certificate as sqlx writes it into a URL.
fn pem(value: &str) -> Pem {
    match value.strip_prefix("file: ") {
        Some(path) => Pem::File(path.into()),
        None => Pem::Text(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Pem, Place, TlsMode, pem};

    #[test]
    fn a_url_is_read_as_sqlx_reads_it() {
        let url = "postgres://some%20one:p%40ss%2B%26w%3D%C3%B6rd@db.example:6432/my%20db?sslmode=verify-full\
            &sslrootcert=/etc/ca.pem&options=-c%20search_path%3Dx";
        let address = Address::read(url).unwrap();
        assert_eq!(address.place, Place::Host("db.example".to_owned(), 6432));
        assert_eq!((address.user.as_str(), address.password.as_str()), ("some one", "p@ss+&w=örd"));
        assert_eq!(address.database, "my db");
        assert_eq!(address.tls, TlsMode::VerifiedHost);
        assert_eq!(address.root_certificate, Some(Pem::File("/etc/ca.pem".into())));
        assert_eq!(address.client_certificate, None);
        assert!(address.options.starts_with("-c search_path=x -c DateStyle=ISO"), "{}", address.options);
    }

    #[test]
    fn sockets_addresses_and_certificates_in_the_url_are_known() {
        let address = Address::read("postgres:///d?user=u&host=/run/postgresql&port=5433&sslmode=disable").unwrap();
        assert_eq!(address.place, Place::Socket("/run/postgresql/.s.PGSQL.5433".into()));
        assert_eq!((address.password.as_str(), address.tls), ("", TlsMode::None));
        let address = Address::read("postgres://u@[::1]/d").unwrap();
        assert_eq!(address.place, Place::Host("::1".to_owned(), 5432));
        // Such a one comes from the environment alone.
        assert_eq!(pem("-----BEGIN CERTIFICATE-----"), Pem::Text("-----BEGIN CERTIFICATE-----".to_owned()));
        assert!(Address::read("mysql").is_err());
    }
}
