//! The machine's cache: one folder for each thing, whole or not there.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::{User, geteuid};

use super::{Error, Purpose};

/// Written last into a folder, so a folder without it is never used.
const COMPLETE: &str = ".complete";

/// Staging folders carry this prefix: under the lock, any that is found is the remains of a crash.
const STAGING: &str = ".staging-";

/// Where the cache is unless a setting says otherwise: for root `/var/cache/tidewell`, which the unprivileged user that servers run
/// as can read, else `.cache/tidewell` below `home` (the variable HOME, where it is set).
pub fn default_cache(home: Option<&Path>) -> PathBuf {
    let uid = geteuid();
    if uid.is_root() {
        return PathBuf::from("/var/cache/tidewell");
    }
    let registered = || User::from_uid(uid).ok().flatten().map(|user| user.dir);
    match home.map(Path::to_owned).or_else(registered) {
        Some(home) => home.join(".cache/tidewell"),
        None => PathBuf::from(".tidewell/cache"),
    }
}

pub(super) fn is_complete(folder: &Path) -> bool {
    folder.join(COMPLETE).is_file()
}

/// Makes the cache folder, enterable by all: as root, the servers run as an unprivileged user.
pub(super) fn make(cache: &Path) -> io::Result<()> {
    if !cache.exists() {
        fs::create_dir_all(cache)?;
        make_readable(cache)?;
    }
    Ok(())
}

/// Waits for the exclusive lock on the cache; it ends with the process, however that ends.
pub(super) async fn lock(cache: &Path, purpose: &'static Purpose) -> Result<File, Error> {
    let path = cache.join(".lock");
    let failed = |e| Error::cache(purpose, &path, e);
    let file = File::create(&path).map_err(failed)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
            Err(TryLockError::WouldBlock) if !told => {
                tracing::info!("waiting for another tidewell that is installing {}", purpose.what);
                told = true;
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Where things are made before they get their names. To be had under the lock alone; gone when dropped.
pub(super) struct Staging {
    cache: PathBuf,
    path: PathBuf,
}

impl Staging {
    pub(super) fn make(cache: &Path) -> io::Result<Self> {
        sweep(cache);
        let path = cache.join(format!("{STAGING}{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self { cache: cache.to_owned(), path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        sweep(&self.cache);
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

/// Marks `made` complete and moves it to its final name, in that order and durably: a crash or a power cut leaves either the whole
/// folder or none.
pub(super) fn publish(made: &Path, place: &Path) -> io::Result<()> {
    fs::write(made.join(COMPLETE), "")?;
    make_readable(made)?;
    #[cfg(target_os = "linux")]
    nix::unistd::syncfs(File::open(made)?)?;
    if place.exists() {
        fs::remove_dir_all(place)?; // without its marker: half-made by other hands
    }
    fs::rename(made, place)
}

/// `chmod -R a+rX` below `folder`, whatever the umask was.
fn make_readable(folder: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(folder)?;
    if meta.is_symlink() {
        return Ok(());
    }
    let executable = meta.is_dir() || meta.permissions().mode() & 0o100 != 0;
    fs::set_permissions(folder, Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    if meta.is_dir() {
        for entry in fs::read_dir(folder)? {
            make_readable(&entry?.path())?;
        }
    }
    Ok(())
}
