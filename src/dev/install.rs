//! Puts the pinned servers into the machine's cache, once, whoever else tries at the same time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::pins::Server;
use super::{download, unpack};

pub use super::install_error::InstallError;

/// Written last into a server's folder, so a folder without it is never run.
const COMPLETE: &str = ".complete";

/// Staging folders carry this prefix: under the lock, any that is found is the remains of a crash.
const STAGING: &str = ".staging-";

/// Where the installed servers are. The folders follow from the cache, so a value is cheap to make.
#[derive(Debug, Clone)]
pub struct Binaries {
    cache: PathBuf,
}

impl Binaries {
    /// The program `name` (`postgres`, `psql`, `pg_dump` …) of the pinned PostgreSQL.
    pub fn postgres(&self, name: &str) -> PathBuf {
        self.folder(Server::Postgres).join("bin").join(name)
    }

    /// The pinned Typesense server.
    pub fn typesense(&self) -> PathBuf {
        self.folder(Server::Typesense).join("typesense-server")
    }

    fn folder(&self, server: Server) -> PathBuf {
        self.cache.join(server.folder())
    }

    fn has(&self, server: Server) -> bool {
        self.folder(server).join(COMPLETE).is_file()
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
    let cache = std::path::absolute(cache).map_err(|e| InstallError::cache(cache, e))?;
    let binaries = Binaries { cache: cache.clone() };
    let missing = |server: &Server| !binaries.has(*server);
    if !wanted.iter().any(missing) {
        return Ok(binaries);
    }
    make_readable_folder(&cache).map_err(|e| InstallError::cache(&cache, e))?;
    let _lock = lock(&cache).await?;
    // Whoever held the lock may have installed what we want.
    let todo: Vec<Server> = wanted.iter().copied().filter(missing).collect();
    if !todo.is_empty() {
        sweep(&cache);
        let staging = cache.join(format!("{STAGING}{}", std::process::id()));
        fs::create_dir(&staging).map_err(|e| InstallError::cache(&staging, e))?;
        let outcome = install_into(&cache, &staging, &todo).await;
        sweep(&cache);
        outcome?;
    }
    Ok(binaries)
}

async fn install_into(cache: &Path, staging: &Path, todo: &[Server]) -> Result<(), InstallError> {
    let began = Instant::now();
    let names: Vec<&str> = todo.iter().map(|server| server.name()).collect();
    tracing::info!(cache = %cache.display(), "downloading {}", names.join(" and "));
    let wheels = download::download(staging, todo).await?;
    for server in todo.iter().copied() {
        tracing::info!("unpacking {}", server.name());
        let place = cache.join(server.folder());
        let (staging, wheels) = (staging.to_owned(), wheels.clone());
        let work = move || {
            let made = unpack::unpack(server, &wheels, &staging)?;
            publish(&made, &place).map_err(|e| InstallError::cache(&place, e))
        };
        let panicked = |e| InstallError::cache(cache, io::Error::other(e));
        tokio::task::spawn_blocking(work).await.map_err(panicked)??;
    }
    tracing::info!(seconds = began.elapsed().as_secs_f32(), "installed {}", names.join(" and "));
    Ok(())
}

/// Marks `made` complete and moves it to its final name, in that order and durably: a crash or a
/// power cut leaves either the whole folder or none.
fn publish(made: &Path, place: &Path) -> io::Result<()> {
    fs::write(made.join(COMPLETE), "")?;
    unpack::make_readable(made)?;
    #[cfg(target_os = "linux")]
    nix::unistd::syncfs(File::open(made)?)?;
    if place.exists() {
        fs::remove_dir_all(place)?; // without its marker: half-made by other hands
    }
    fs::rename(made, place)
}

/// Waits for the exclusive lock on the cache; it ends with the process, however that ends.
async fn lock(cache: &Path) -> Result<File, InstallError> {
    let path = cache.join(".lock");
    let failed = |e| InstallError::cache(&path, e);
    let file = File::create(&path).map_err(failed)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
            Err(TryLockError::WouldBlock) if !told => {
                tracing::info!("waiting for another tidewell that is installing the servers");
                told = true;
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Removes what interrupted installs left; what can't be removed is in nobody's way.
fn sweep(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes the cache folder enterable by all: as root, the servers run as an unprivileged user.
fn make_readable_folder(cache: &Path) -> io::Result<()> {
    if !cache.exists() {
        fs::create_dir_all(cache)?;
        unpack::make_readable(cache)?;
    }
    Ok(())
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
