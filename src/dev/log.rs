//! The file that a server's output goes to, and what it has said since it was started.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A log beyond this size is set aside at the next start; one older log is kept.
const ROTATE_ABOVE: u64 = 16 << 20;

/// How much of the end is read.
const TAIL: u64 = 16 << 10;

/// How many lines of it are shown.
const TAIL_LINES: usize = 12;

/// A log file, from the place where the present start began.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    from: u64,
}

impl Log {
    /// Opens the log for a start; what it holds already isn't part of the tail.
    pub(super) fn open(path: &Path) -> io::Result<Log> {
        let mut from = fs::metadata(path).map_or(0, |meta| meta.len());
        if from > ROTATE_ABOVE {
            fs::rename(path, path.with_extension("log.1"))?;
            from = 0;
        }
        Ok(Log { path: path.to_owned(), from })
    }

    /// A handle for the server to write to.
    pub(super) fn writer(&self) -> io::Result<File> {
        File::options().append(true).create(true).open(&self.path)
    }

    /// The last lines that were written since this start.
    pub(super) fn tail(&self) -> String {
        let text = self.read().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Whether `words` were written since this start.
    pub(super) fn said(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.read().unwrap_or_default()).contains(words)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(self.from.max(end.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
