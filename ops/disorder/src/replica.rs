//! A `serve` or a `work` that is killed, stopped for a while and started again, with a clock of its own.

use std::{path::PathBuf, time::Duration};

use nix::sys::signal::Signal;
use tokio::time::Instant;

use crate::{
    process::Process,
    proxy::{database::DatabaseProxy, http::HttpProxy, trick::Tricks},
    stage,
};

/// Longer than this nobody stays stopped: what a process had on its lips is not to come after everybody has ceased to expect it.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
const ORDERLY_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Replica {
    pub(crate) name: String,
    command: &'static str,
    folder: PathBuf,
    settings: Vec<(String, String)>,
    pub(crate) database: DatabaseProxy,
    /// By how many seconds its clock is wrong.
    moved: i64,
    process: Option<Process>,
}

impl Replica {
    async fn new(
        folder: PathBuf,
        (command, number): (&'static str, usize),
        mut settings: Vec<(String, String)>,
        database_url: &str,
    ) -> anyhow::Result<Self> {
        let port = database_url.parse::<reqwest::Url>()?.port().unwrap_or(5432);
        let database = DatabaseProxy::before(port).await?;
        settings.push(("TIDEWELL_DATABASE_URL".to_owned(), database.through(database_url)?));
        let name = format!("{command}-{number}");
        Ok(Self { name, command, folder, settings, database, moved: 0, process: None })
    }

    /// A `tidewell work`, not started yet.
    pub(crate) async fn work(
        folder: PathBuf,
        number: usize,
        settings: Vec<(String, String)>,
        database_url: &str,
    ) -> anyhow::Result<Self> {
        Self::new(folder, ("work", number), settings, database_url).await
    }

    /// A `tidewell serve`, not started yet, and the proxy before it, whose address stays the same.
    pub(crate) async fn serve(
        folder: PathBuf,
        number: usize,
        mut settings: Vec<(String, String)>,
        database_url: &str,
        tricks: Tricks,
    ) -> anyhow::Result<(Self, HttpProxy)> {
        let port = tidewell::dev::choose_port()?;
        settings.push(("TIDEWELL_LISTEN".to_owned(), format!("127.0.0.1:{port}")));
        let proxy = HttpProxy::before(&format!("http://127.0.0.1:{port}"), tricks).await?;
        Ok((Self::new(folder, ("serve", number), settings, database_url).await?, proxy))
    }

    /// Starts it; one that runs is left alone.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        if self.process.as_mut().is_none_or(Process::has_ended) {
            let moved = stage::faketime().filter(|_| self.moved != 0).map(|library| (library, self.moved));
            self.process = Some(Process::start(&self.folder, &self.name, self.command, &self.settings, moved)?);
        }
        Ok(())
    }

    /// kill -9, and another one in its place.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(process) = self.process.take() {
            process.kill().await?;
        }
        self.start()
    }

    /// Kills it and starts it again with its clock moved.
    pub(crate) async fn move_clock(&mut self, seconds: i64) -> anyhow::Result<()> {
        self.moved = seconds;
        self.kill().await
    }

    /// SIGSTOP, and SIGCONT after a while. One that was held up for longer, since this process was, too, is killed instead.
    pub(crate) async fn pause(&mut self, lasting: Duration) -> anyhow::Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        process.signal(Signal::SIGSTOP);
        let begun = Instant::now();
        tokio::time::sleep(lasting).await;
        if begun.elapsed() > LONGEST_PAUSE {
            return self.kill().await;
        }
        process.signal(Signal::SIGCONT);
        Ok(())
    }

    /// SIGTERM; whether it ends in good order.
    pub(crate) async fn stop(&mut self) -> bool {
        match self.process.take() {
            Some(process) => process.stop(ORDERLY_WITHIN).await,
            None => false,
        }
    }
}
