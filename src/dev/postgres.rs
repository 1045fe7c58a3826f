//! The embedded PostgreSQL.

use std::path::Path;

use sqlx::Connection;

use super::error::Error;
use super::home::Home;
use super::initdb::{check_version, initialise};
use super::install::Binaries;
use super::postgres_engine::{PostgresEngine, USER};
use super::running::{Running, stop_left_behind};

/// The database of our own tables.
const DATABASE: &str = "tidewell";

/// How the embedded PostgreSQL is run.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Whether a commit survives a power cut; a kill it survives always. Off is for tests alone.
    pub fsync: bool,
    /// Further settings of the server, such as `("work_mem", "64MB")`.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { fsync: true, settings: Vec::new() }
    }
}

/// An embedded PostgreSQL. Dropping it asks the server to stop and doesn't wait; see
/// [`Postgres::stop`] and [`Postgres::leave_running`].
#[derive(Debug)]
pub struct Postgres {
    running: Running<PostgresEngine>,
}

impl Postgres {
    /// Starts the server with its files in `place` (made if missing: `data`, `password`, `ports`,
    /// `postgres.log`), or takes over the one that an earlier process left running there, and
    /// makes the database `tidewell` if it is missing. Ready for connections when this returns.
    ///
    /// # Errors
    /// See [`Error`]: data of another major version, a password that doesn't belong to the data, a
    /// server that ends or doesn't answer, folders that can't be used.
    pub async fn start(binaries: &Binaries, place: &Path, options: &PostgresOptions) -> Result<Postgres, Error> {
        let home = Home::prepare(place)?;
        home.check_reach(&binaries.postgres("postgres"))?;
        check_version(&home.data())?;
        let password = home.secret("password")?;
        if !home.data().exists() {
            // One whose data has been deleted under it is of no use to anybody.
            stop_left_behind::<PostgresEngine>(&home.data()).await?;
            tracing::info!(data = %home.data().display(), "making a new PostgreSQL data folder");
            initialise(binaries, &home, password.expose(), options.fsync).await?;
        }
        let program = binaries.postgres("postgres");
        let engine = PostgresEngine { program, home, password, options: options.clone() };
        let running = Running::adopt_or_launch(engine).await?;
        let postgres = Postgres { running };
        postgres.make_database().await.map_err(Error::Database)?;
        Ok(postgres)
    }

    /// The address of the database `tidewell`, password included.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// The address of another database of this server.
    pub fn url_of(&self, database: &str) -> String {
        let password = self.running.engine.password.expose();
        format!("postgres://{USER}:{password}@127.0.0.1:{}/{database}", self.port())
    }

    /// The port on 127.0.0.1; it stays the same over stopping and starting again.
    pub fn port(&self) -> u16 {
        self.running.ports[0]
    }

    /// The server's main process.
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

    /// Stops the server: its clients are cut off, its data is safe. Returns when it has ended.
    ///
    /// # Errors
    /// [`Error::Unstoppable`] if it lives even after SIGKILL.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.running.stop().await
    }

    /// Kills the server (SIGKILL), as a crash would. Returns when it has ended.
    ///
    /// # Errors
    /// As [`Postgres::stop`].
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.running.kill().await
    }

    /// Starts a stopped or killed server again, at the same address.
    ///
    /// # Errors
    /// As [`Postgres::start`], and [`Error::PortTaken`].
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
        stop_left_behind::<PostgresEngine>(&home.join("data")).await
    }

    async fn make_database(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.running.engine.connect(self.port()).await?;
        let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut connection)
            .await?;
        if !there {
            sqlx::query("create database tidewell").execute(&mut connection).await?;
        }
        connection.close().await
    }
}
