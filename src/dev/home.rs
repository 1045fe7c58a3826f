//! The folder of one server: its data, its secret, its ports and its log side by side.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::Error;

/// Where the data goes when the project's folder is closed to the account the servers run as.
const ELSEWHERE: &str = "/var/lib/tidewell";

/// The folder of one server, existing and reachable by whom the server runs as.
#[derive(Debug, Clone)]
pub(super) struct Home {
    /// The real folder, links resolved.
    pub(super) path: PathBuf,
    /// As whom the server runs; `None`: as we do.
    pub(super) account: Option<Account>,
}

impl Home {
    /// Makes the folder at `place`, or, as root in a folder that the server can't enter (such as
    /// one below `/root`), a link there to a folder below `/var/lib/tidewell`.
    pub(super) fn prepare(place: &Path) -> Result<Home, Error> {
        let place = &std::path::absolute(place).map_err(Error::io("find", place))?;
        let parent = place.parent().unwrap_or(place);
        make_enterable(parent)?;
        let account = Account::for_data(&place.join("data"))?;
        let target = match fs::read_link(place) {
            Ok(target) => parent.join(target),
            Err(_) => match account {
                Some(account) if !account.can_enter(parent) => relocate(place, parent, account)?,
                _ => place.clone(),
            },
        };
        make_enterable(&target)?;
        let path = target.canonicalize().map_err(Error::io("find", &target))?;
        match account {
            Some(Account { uid, .. }) if !account.is_some_and(|a| a.can_enter(&path)) => {
                let advice = "let it in (chmod a+x the folders above)";
                Err(Error::OutOfReach { uid, path, advice })
            }
            _ => Ok(Home { path, account }),
        }
    }

    /// The folder at `place` if there is one, for stopping what runs in it.
    pub(super) fn find(place: &Path) -> Option<PathBuf> {
        place.canonicalize().ok()
    }

    /// Deletes the folder at `place` with all its data, also where it is a link elsewhere.
    pub(super) fn wipe(place: &Path) -> io::Result<()> {
        if let Ok(real) = place.canonicalize() {
            fs::remove_dir_all(&real)?;
            if let Some(above) = real.parent().filter(|above| above.starts_with(ELSEWHERE)) {
                let _ = fs::remove_dir(above); // stays while another server's folder is in it
            }
        }
        match fs::remove_file(place) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Whether whom the server runs as can reach `program`.
    pub(super) fn check_reach(&self, program: &Path) -> Result<(), Error> {
        match self.account {
            Some(account) if !account.can_enter(program) => Err(Error::OutOfReach {
                uid: account.uid,
                path: program.to_owned(),
                advice: "set TIDEWELL_CACHE to a folder that every user can enter",
            }),
            _ => Ok(()),
        }
    }

    /// The folder of the server's data.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Makes the folder `name` in here, owned by the server.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.path.join(name);
        if !folder.exists() {
            fs::create_dir(&folder).map_err(Error::io("make", &folder))?;
            fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(Error::io("protect", &folder))?;
            if let Some(account) = self.account {
                account.own(&folder).map_err(Error::io("give away", &folder))?;
            }
        }
        Ok(folder)
    }

    /// The secret in the file `name`, generated on first use; ours alone to read.
    pub(super) fn secret(&self, name: &str) -> Result<Secret, Error> {
        let file = self.path.join(name);
        match fs::read_to_string(&file) {
            Ok(secret) if !secret.trim().is_empty() => return Ok(Secret(secret.trim().to_owned())),
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("read", &file)(e));
            }
            _ => {}
        }
        let secret = hex::encode(rand::random::<[u8; 32]>());
        // By way of another name: a crash leaves no half-written secret.
        let draft = self.path.join(format!("{name}.new"));
        write_private(&draft, &secret).map_err(Error::io("write", &draft))?;
        fs::rename(&draft, &file).map_err(Error::io("write", &file))?;
        Ok(Secret(secret))
    }

    /// The ports used last time, so that addresses outlive a restart.
    pub(super) fn ports(&self) -> Vec<u16> {
        let text = fs::read_to_string(self.path.join("ports")).unwrap_or_default();
        text.split_whitespace().filter_map(|port| port.parse().ok()).collect()
    }

    /// Remembers the ports for the next start.
    pub(super) fn remember_ports(&self, ports: &[u16]) -> Result<(), Error> {
        let file = self.path.join("ports");
        let text: Vec<String> = ports.iter().map(u16::to_string).collect();
        fs::write(&file, text.join(" ") + "\n").map_err(Error::io("write", &file))
    }
}

/// A server's password or key, which no log may show.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Writes a file that nobody but its owner can read.
pub(super) fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let _ = fs::remove_file(file);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a folder that others may enter, which the umask may forbid; one that exists stays as it is.
pub(super) fn make_enterable(folder: &Path) -> Result<(), Error> {
    if folder.exists() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(Error::io("open up", folder))
}

/// Puts a link at `place` to a folder that the server can enter, one for each project.
fn relocate(place: &Path, parent: &Path, account: Account) -> Result<PathBuf, Error> {
    if place.join("data").exists() {
        let advice = "let it in (chmod a+x the folders above), or start over with --fresh";
        return Err(Error::OutOfReach { uid: account.uid, path: place.to_owned(), advice });
    }
    if place.exists() {
        fs::remove_dir_all(place).map_err(Error::io("replace", place))?; // holds no data
    }
    let project = parent.canonicalize().map_err(Error::io("find", parent))?;
    let digest = hex::encode(Sha256::digest(project.as_os_str().as_bytes()));
    let target = Path::new(ELSEWHERE).join(&digest[..16]).join(place.file_name().unwrap_or_default());
    let above = target.parent().unwrap_or(&target);
    for folder in [Path::new(ELSEWHERE), above] {
        make_enterable(folder)?;
    }
    symlink(&target, place).map_err(Error::io("link", place))?;
    tracing::info!(data = %target.display(), "{} is closed to the servers' user", parent.display());
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("tidewell-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn secrets_and_ports_last_and_are_private() {
        let place = scratch("home").join("postgres");
        let home = Home::prepare(&place).unwrap();
        let secret = home.secret("password").unwrap();
        assert_eq!(secret.expose().len(), 64);
        assert_eq!(home.secret("password").unwrap(), secret);
        let mode = fs::metadata(home.path.join("password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(home.ports().is_empty());
        home.remember_ports(&[20_001, 20_002]).unwrap();
        assert_eq!(Home::prepare(&place).unwrap().ports(), [20_001, 20_002]);
        Home::wipe(&place).unwrap();
        assert!(!place.exists());
        Home::wipe(&place).unwrap();
        fs::remove_dir_all(place.parent().unwrap()).unwrap();
    }
}
