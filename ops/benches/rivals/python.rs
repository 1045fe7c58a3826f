//! Rivals in Python, in an environment of their own: `ops/rivals.txt` pins what is in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

use super::{Told, course, fields};
use crate::{raw::Typesense, stack::Stack, sync::Source};

const PINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/rivals.txt");
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/benches/rivals");
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/rivals");

/// Installs what is pinned, unless that is there.
pub(super) async fn install() -> anyhow::Result<()> {
    let (folder, pins) = (Path::new(FOLDER), fs::read(PINS)?);
    let installed = folder.join("installed.txt");
    if fs::read(&installed).is_ok_and(|installed| installed == pins) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let venv = folder.join("venv");
    complete(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).await?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", PINS];
    complete(Command::new(venv.join("bin/python")).args(pip)).await?;
    fs::write(installed, pins)?;
    Ok(())
}

async fn complete(command: &mut Command) -> anyhow::Result<()> {
    if !command.status().await.context("python3 with venv and pip is needed")?.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}

pub(super) struct Python {
    script: &'static str,
    /// What the script makes of the name that it is given: the collection, and those that it keeps for itself.
    suffixes: &'static [&'static str],
    settings: Vec<(&'static str, String)>,
    typesense: Typesense,
    state: PathBuf,
}

impl Python {
    pub(super) fn client(stack: &Stack, source: &Source) -> anyhow::Result<Self> {
        Self::new(stack, source, "official.py", &[""])
    }

    pub(super) fn dlt(stack: &Stack, source: &Source) -> anyhow::Result<Self> {
        Self::new(stack, source, "pipeline.py", &["_products", "__dlt_loads", "__dlt_version", "__dlt_pipeline_state"])
    }

    fn new(
        stack: &Stack,
        source: &Source,
        script: &'static str,
        suffixes: &'static [&'static str],
    ) -> anyhow::Result<Self> {
        let typesense = stack.typesense.clone();
        let address = typesense.url.strip_prefix("http://").context("a Typesense at http:// is needed")?;
        let (host, port) = address.rsplit_once(':').context("no port in the address of Typesense")?;
        let state = stack.folder.join("rivals");
        let settings = vec![
            ("HOST", host.to_owned()),
            ("PORT", port.to_owned()),
            ("API_KEY", typesense.key.clone()),
            // Without what sqlx alone understands.
            ("SOURCE", source.url.split('?').next().unwrap_or_default().to_owned()),
            ("FIELDS", serde_json::to_string(&fields())?),
            ("STATE", state.display().to_string()),
            ("RUNTIME__DLTHUB_TELEMETRY", "false".to_owned()),
        ];
        Ok(Self { script, suffixes, settings, typesense, state })
    }

    pub(super) fn collection(&self, course: &str) -> String {
        format!("{course}{}", self.suffixes[0])
    }

    pub(super) async fn run(&self, course: &str) -> anyhow::Result<Told> {
        let began = Instant::now();
        let output = self.spawn(course)?.wait_with_output().await?;
        let seconds = began.elapsed().as_secs_f64();
        let text = [output.stdout, output.stderr].concat();
        Ok(Told { seconds, text: String::from_utf8_lossy(&text).into_owned() })
    }

    pub(super) async fn run_and_die(
        &self,
        course: &str,
        collection: &str,
        at: u64,
        typesense: &Typesense,
    ) -> anyhow::Result<()> {
        let mut child = self.spawn(course)?;
        tokio::select! {
            there = course::wait_for(typesense, collection, at) => there?,
            ended = child.wait() => bail!("{} ended before it could be killed: {}", self.script, ended?),
        }
        Ok(child.kill().await?)
    }

    fn spawn(&self, course: &str) -> anyhow::Result<Child> {
        fs::create_dir_all(&self.state)?;
        for suffix in self.suffixes {
            self.typesense.remember(&format!("{course}{suffix}"));
        }
        let child = Command::new(Path::new(FOLDER).join("venv/bin/python"))
            .arg(Path::new(SCRIPTS).join(self.script))
            .current_dir(&self.state)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("COLLECTION", course)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }
}
