//! A server's process: one that we started, or one that an earlier `dev` left behind.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::log::Log;

/// How often a process is looked at while something is awaited from it.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// A running server. Dropping it asks the server to end, without waiting for that.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    /// Ticks since boot at which it began: tells it from a later process with its number.
    began: u64,
    /// Ours to reap, where we started it.
    child: Option<Child>,
    on_drop: Option<Signal>,
}

impl Process {
    /// Starts `command` with its output in `log`. It gets a process group of its own, so that the
    /// terminal's Ctrl-C reaches us alone and the order of stopping is ours.
    pub(super) fn start(command: &mut Command, log: &Log, on_drop: Signal) -> io::Result<Process> {
        let child =
            command.stdin(Stdio::null()).stdout(log.writer()?).stderr(log.writer()?).process_group(0).spawn()?;
        let pid = child.id();
        let began = began(pid).unwrap_or_default();
        Ok(Process { pid, began, child: Some(child), on_drop: Some(on_drop) })
    }

    /// Takes over a process that somebody else started; `None` where it has ended.
    pub(super) fn adopt(pid: u32, on_drop: Signal) -> Option<Process> {
        let began = began(pid)?;
        Some(Process { pid, began, child: None, on_drop: Some(on_drop) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has been taken over rather than started.
    pub(super) fn is_adopted(&self) -> bool {
        self.child.is_none()
    }

    /// Lets it run on when this value is dropped.
    pub(super) fn leave_running(&mut self) {
        self.on_drop = None;
    }

    pub(super) fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => began(self.pid) == Some(self.began),
        }
    }

    /// Sends `signal` and waits for the end; `false` where that takes longer than `patience`.
    pub(super) async fn end(&mut self, signal: Signal, patience: Duration) -> bool {
        let since = Instant::now();
        if self.is_alive() {
            self.send(signal);
        }
        while self.is_alive() {
            if since.elapsed() > patience {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    fn send(&self, signal: Signal) {
        // It may have ended in between, which is what a signal is sent for.
        let _ = kill(Pid::from_raw(self.pid.cast_signed()), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(signal) = self.on_drop
            && self.is_alive()
        {
            self.send(signal);
        }
    }
}

/// When a live process began, from `/proc/PID/stat`; `None` for one that has ended, reaped or not.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_began(&stat)
}

/// The second field is the program's name in brackets and may hold anything, so count from its end.
fn parse_began(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

/// The live processes of `program` that serve the data folder `data`: it is named by their command
/// line or is where they are at work, which holds also where the folder has been moved since. (As
/// root in a container, other users' working folders can't be seen, but command lines can.)
pub(super) fn serving(program: &str, data: &Path) -> Vec<u32> {
    let inode = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let ours = inode(data);
    let is_ours = |path: &Path| path == data || (ours.is_some() && inode(path) == ours);
    let serves = |pid: &u32| {
        let named = folders(program, *pid);
        let at_work = PathBuf::from(format!("/proc/{pid}/cwd"));
        named.is_some_and(|named| named.iter().any(|path| is_ours(path)) || is_ours(&at_work)) && began(*pid).is_some()
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(serves)
        .collect()
}

/// The whole paths that the command line of the process names; `None` where it doesn't run `program`.
pub(super) fn folders(program: &str, pid: u32) -> Option<Vec<PathBuf>> {
    let arguments = arguments(pid);
    let (first, others) = arguments.split_first()?;
    let values = others.iter().map(|argument| argument.split_once('=').map_or(&**argument, |(_, value)| value));
    let paths = values.filter(|value| value.starts_with('/')).map(PathBuf::from);
    (first.rsplit('/').next() == Some(program)).then(|| paths.collect())
}

/// The arguments of a live process; the first is the program.
pub(super) fn arguments(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&line);
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_a_strange_name() {
        let tail = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(parse_began(&format!("7 (a) b) S {tail}")), Some(4711));
        assert_eq!(parse_began(&format!("7 (gone) Z {tail}")), None);
        assert_eq!(parse_began(""), None);
    }

    #[tokio::test]
    async fn a_process_is_started_found_adopted_and_ended() {
        let folder = std::env::temp_dir().join(format!("tidewell-process-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = Log::open(&folder.join("log")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo hello; exec sleep 60"]).current_dir(&folder);
        let mut own = Process::start(&mut command, &log, Signal::SIGKILL).unwrap();
        assert!(own.is_alive() && !own.is_adopted());
        while !log.said("hello") || arguments(own.pid())[0] != "sleep" {
            tokio::time::sleep(LOOK).await;
        }
        assert_eq!(serving("sleep", &folder), [own.pid()]);
        assert!(serving("postgres", &folder).is_empty());
        let mut adopted = Process::adopt(own.pid(), Signal::SIGKILL).unwrap();
        assert!(adopted.is_alive() && adopted.is_adopted());
        assert!(adopted.end(Signal::SIGTERM, Duration::from_secs(10)).await);
        assert!(!own.is_alive(), "a zombie counts as ended, and is reaped here");
        assert!(Process::adopt(own.pid(), Signal::SIGKILL).is_none());
        fs::remove_dir_all(&folder).unwrap();
    }
}
