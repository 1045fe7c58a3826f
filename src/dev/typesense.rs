//! The embedded Typesense.

use std::path::Path;

use super::error::Error;
use super::home::Home;
use super::install::Binaries;
use super::running::{Running, stop_left_behind};
use super::typesense_engine::{TypesenseEngine, client};

/// How the embedded Typesense is run.
#[derive(Debug, Clone, Default)]
pub struct TypesenseOptions {
    /// Further arguments of the server, such as `--thread-pool-size=4`.
    pub arguments: Vec<String>,
}

/// An embedded Typesense. Dropping it asks the server to stop and doesn't wait; see
/// [`Typesense::stop`] and [`Typesense::leave_running`].
#[derive(Debug)]
pub struct Typesense {
    running: Running<TypesenseEngine>,
}

impl Typesense {
    /// Starts the server with its files in `place` (made if missing: `data`, `log`, `api-key`,
    /// `ports`, `typesense-server.log`), or takes over the one that an earlier process left running
    /// there. Ready for reading and writing when this returns.
    ///
    /// # Errors
    /// See [`Error`]: a server that ends or doesn't answer, folders that can't be used.
    pub async fn start(binaries: &Binaries, place: &Path, options: &TypesenseOptions) -> Result<Typesense, Error> {
        let home = Home::prepare(place)?;
        home.check_reach(&binaries.typesense())?;
        let api_key = home.secret("api-key")?;
        if !home.data().exists() {
            // One whose data has been deleted under it is of no use to anybody.
            stop_left_behind::<TypesenseEngine>(&home.data()).await?;
        }
        home.folder("data")?;
        let log = home.folder("log")?;
        let engine = TypesenseEngine {
            program: binaries.typesense(),
            client: client()?,
            home,
            log,
            api_key,
            options: options.clone(),
        };
        Ok(Typesense { running: Running::adopt_or_launch(engine).await? })
    }

    /// The server's address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The key that may do everything.
    pub fn api_key(&self) -> &str {
        self.running.engine.api_key.expose()
    }

    /// The port of the API on 127.0.0.1; it stays the same over stopping and starting again.
    pub fn port(&self) -> u16 {
        self.running.ports[0]
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.running.process.pid()
    }

    /// Whether it was left running by an earlier process and taken over.
    pub fn is_adopted(&self) -> bool {
        self.running.process.is_adopted()
    }

    /// Whether the server's process lives.
    pub fn is_running(&mut self) -> bool {
        self.running.process.is_alive()
    }

    /// Stops the server with its data safe. Returns when it has ended.
    ///
    /// # Errors
    /// [`Error::Unstoppable`] if it lives even after SIGKILL.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.running.stop().await
    }

    /// Kills the server (SIGKILL), as a crash would. Returns when it has ended.
    ///
    /// # Errors
    /// As [`Typesense::stop`].
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.running.kill().await
    }

    /// Starts a stopped or killed server again, at the same address.
    ///
    /// # Errors
    /// As [`Typesense::start`], and [`Error::PortTaken`].
    pub async fn start_again_on_same_port(&mut self) -> Result<(), Error> {
        self.running.start_again().await
    }

    /// Lets go of the server without stopping it; a later start takes it over.
    pub fn leave_running(mut self) {
        self.running.process.leave_running();
    }

    /// Stops a server that a crash left running on the files in `place`; its process if there was one.
    pub(super) async fn stop_left_behind(place: &Path) -> Result<Option<u32>, Error> {
        let Some(home) = Home::find(place) else {
            return Ok(None);
        };
        stop_left_behind::<TypesenseEngine>(&home.join("data")).await
    }
}
