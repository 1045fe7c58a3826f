//! `tidewell` processes.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::cpu::Watched;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewell");

/// A `tidewell serve` or `tidewell work`; killed when dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `tidewell NAME` with these settings over the environment's own; its log goes into `folder`.
    pub(crate) fn start(folder: &Path, name: &'static str, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(PROGRAM)
            .arg(name)
            // No settings of the checkout's, and no Ctrl-C from the terminal: the order of stopping is ours.
            .current_dir(folder)
            .process_group(0)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("can't run {PROGRAM}"))?;
        let process = Self { name, child, log };
        fs::write(folder.join(format!("{}.pid", process.pid())), name)?;
        Ok(process)
    }

    /// Runs `tidewell NAME` to its end.
    pub(crate) async fn complete(folder: &Path, name: &'static str, settings: &[(&str, String)]) -> anyhow::Result<()> {
        let mut process = Self::start(folder, name, settings)?;
        if !process.child.wait().await?.success() {
            bail!("`tidewell {name}` failed:\n{}", process.tail());
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub(crate) fn watched(&self) -> Watched {
        Watched { name: self.name, pid: self.pid(), children: false }
    }

    /// Fails where it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("`tidewell {}` has ended ({status}):\n{}", self.name, self.tail()),
        }
    }

    /// The most memory that it ever had resident, in megabytes of a million bytes.
    pub(crate) fn peak_mb(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM)?;
        }
        match tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await {
            Ok(ended) => ended.map(drop).map_err(Into::into),
            Err(_) => bail!("`tidewell {}` does not stop:\n{}", self.name, self.tail()),
        }
    }

    /// Kills it, as an operating system without memory would.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    fn tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Kills what a bench that was itself killed left running in its folder.
pub(crate) fn kill_left_behind(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some("pid"), Some(pid)) = (path.extension().and_then(|ext| ext.to_str()), pid)
            && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
