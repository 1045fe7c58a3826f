//! As whom the servers run. PostgreSQL refuses to be root, and neither server needs to be.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

use super::error::Error;

/// The unprivileged account that a server runs as when we are root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    gid: u32,
}

impl Account {
    /// Whose server reads `data`: `None` where we aren't root and it simply runs as we do. Data
    /// made by an ordinary user stays that user's also when root starts the server.
    pub(super) fn for_data(data: &Path) -> Result<Option<Account>, Error> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(meta) = fs::metadata(data)
            && meta.uid() != 0
        {
            return Ok(Some(Account { uid: meta.uid(), gid: meta.gid() }));
        }
        let nobody = User::from_name("nobody").ok().flatten().ok_or(Error::NoAccount)?;
        Ok(Some(Account { uid: nobody.uid.as_raw(), gid: nobody.gid.as_raw() }))
    }

    /// Lets `command` run as this account, without any of root's groups.
    pub(super) fn apply(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives the one file or folder to this account.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
    }

    /// Whether every folder down to `path` (which must exist) may be entered by this account.
    pub(super) fn can_enter(self, path: &Path) -> bool {
        let Ok(path) = path.canonicalize() else {
            return false;
        };
        path.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|meta| self.may_enter(&meta)))
    }

    fn may_enter(self, meta: &Metadata) -> bool {
        let shift = if meta.uid() == self.uid {
            6
        } else if meta.gid() == self.gid {
            3
        } else {
            0
        };
        meta.mode() >> shift & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_closed_folder_above_is_noticed() {
        let stranger = Account { uid: 4_000_000, gid: 4_000_000 };
        let outer = std::env::temp_dir().join(format!("tidewell-account-{}", std::process::id()));
        let inner = outer.join("inner");
        fs::create_dir_all(&inner).unwrap();
        for (mode, open) in [(0o755, true), (0o711, true), (0o700, false), (0o750, false)] {
            fs::set_permissions(&outer, Permissions::from_mode(mode)).unwrap();
            assert_eq!(stranger.can_enter(&inner), open, "{mode:o}");
            let us = fs::metadata(&outer).unwrap();
            assert!(Account { uid: us.uid(), gid: us.gid() }.can_enter(&inner));
        }
        fs::remove_dir_all(&outer).unwrap();
    }
}
