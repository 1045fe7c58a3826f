//! One `dev` in a folder at a time.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::error::Error;
use super::home::make_enterable;

/// The exclusive right to a `.tidewell` folder; it ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock `folder/lock`, making the folder if it is missing.
    pub(super) fn take(folder: &Path) -> Result<FolderLock, Error> {
        let path = folder.join("lock");
        make_enterable(folder)?;
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let pid = holder.trim().parse().ok();
                return Err(Error::Busy { folder: folder.to_owned(), pid });
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path)(e)),
        }
        note_pid(&mut file).map_err(Error::io("write", &path))?;
        Ok(FolderLock { _file: file })
    }
}

/// The live process that holds `folder`, for a message: nothing is locked to find out.
pub fn holder(folder: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(folder.join("lock")).ok()?.trim().parse().ok()?;
    let program = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    (program(&pid.to_string())? == program("self")?).then_some(pid)
}

fn note_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = std::env::temp_dir().join(format!("tidewell-lock-{}", std::process::id()));
        let lock = FolderLock::take(&folder).unwrap();
        let error = FolderLock::take(&folder).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(lock);
        // What another test starts at this moment holds every open file until its program begins.
        while FolderLock::take(&folder).is_err() {
            std::thread::yield_now();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
