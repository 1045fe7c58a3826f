//! `tidewell` processes, each with a log of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::stage;

/// One that runs; killed when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `tidewell COMMAND`. `moved` moves its clock by so many seconds.
    pub(crate) fn start(
        folder: &Path,
        name: &str,
        command: &str,
        settings: &[(String, String)],
        moved: Option<(PathBuf, i64)>,
    ) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(log_of(folder, name))?;
        let mut process = Command::new(stage::tidewell()?);
        process
            .arg(command)
            .env_clear()
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        if let Some((library, seconds)) = moved {
            process.env("LD_PRELOAD", library).env("FAKETIME", format!("{seconds:+}s"));
            process.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        }
        Ok(Self { child: process.spawn().with_context(|| format!("can't run tidewell {command}"))? })
    }

    /// Runs `tidewell COMMAND` to its end.
    pub(crate) async fn complete(folder: &Path, command: &str, settings: &[(String, String)]) -> anyhow::Result<()> {
        let mut process = Self::start(folder, command, command, settings, None)?;
        let status = process.child.wait().await?;
        ensure!(status.success(), "`tidewell {command}` failed: {}", log_of(folder, command).display());
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id() {
            // One that has just ended hears nothing.
            let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
        }
    }

    /// kill -9.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGTERM; whether it ends in good order within `patience`.
    pub(crate) async fn stop(mut self, patience: Duration) -> bool {
        self.signal(Signal::SIGTERM);
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        matches!(ended, Ok(Ok(status)) if status.success())
    }
}

pub(crate) fn log_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}
