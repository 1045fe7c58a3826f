//! How PostgreSQL is run and asked whether it is ready.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use super::error::Error;
use super::home::{Home, Secret};
use super::pins::Server;
use super::postgres::PostgresOptions;
use super::postmaster_pid::PostmasterPid;
use super::process::folders;
use super::running::Engine;

/// The superuser that owns everything.
pub(super) const USER: &str = "tidewell";

/// A connection over loopback that takes longer is tried anew.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct PostgresEngine {
    pub(super) program: PathBuf,
    pub(super) home: Home,
    pub(super) password: Secret,
    pub(super) options: PostgresOptions,
}

impl PostgresEngine {
    /// A connection to the database that is always there. Nothing is read from PG* variables.
    pub(super) async fn connect(&self, port: u16) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(USER)
            .password(self.password.expose())
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        let timed_out = |_| sqlx::Error::PoolTimedOut;
        tokio::time::timeout(CONNECT_WITHIN, options.connect()).await.map_err(timed_out)?
    }

    fn postmaster_pid(&self) -> Option<PostmasterPid> {
        let text = fs::read_to_string(self.home.data().join("postmaster.pid")).ok()?;
        PostmasterPid::parse(&text)
    }

    /// PostgreSQL won't start where a process with the number in `postmaster.pid` lives, whatever
    /// it is: after a reboot or in a container that is soon a stranger, or one that nobody reaps.
    /// Called when none serves this data. With no such process the file stays, for PostgreSQL then
    /// makes sure that no child of the old server is at work; and also with one that might serve it.
    fn clear_stale_pid_file(&self) {
        let Some(file) = self.postmaster_pid() else { return };
        let there = Path::new(&format!("/proc/{}", file.pid)).exists();
        let doubtful = folders(Self::PROGRAM, file.pid).is_some_and(|named| named.is_empty());
        if there && !doubtful {
            let _ = fs::remove_file(self.home.data().join("postmaster.pid"));
        }
    }
}

fn is_wrong_password(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == "28P01")
}

impl Engine for PostgresEngine {
    const SERVER: Server = Server::Postgres;
    const PROGRAM: &'static str = "postgres";
    const PORTS: usize = 1;
    /// Fast, then immediate shutdown: the latter leaves recovery to the next start.
    const STOP: &'static [(Signal, Duration)] = &[
        (Signal::SIGINT, Duration::from_secs(20)),
        (Signal::SIGQUIT, Duration::from_secs(5)),
        (Signal::SIGKILL, Duration::from_secs(5)),
    ];
    const PORT_TAKEN: &'static [&'static str] = &["Address already in use"];
    const NOT_YET_GONE: &'static str = "pre-existing shared memory block";

    fn home(&self) -> &Home {
        &self.home
    }

    fn command(&self, ports: &[u16]) -> Command {
        let data = self.home.data();
        self.clear_stale_pid_file();
        let mut command = Command::new(&self.program);
        command.current_dir(&data).arg("-D").arg(&data);
        let port = ports[0].to_string();
        // What is acknowledged survives a kill of the server also without it.
        let fsync = if self.options.fsync { "on" } else { "off" };
        let settings = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port),
            ("unix_socket_directories", ""),
            ("wal_level", "logical"),
            ("max_connections", "200"),
            ("max_replication_slots", "50"),
            ("max_wal_senders", "50"),
            ("fsync", fsync),
            ("full_page_writes", fsync),
        ];
        let further = self.options.settings.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in settings.into_iter().chain(further) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
    }

    async fn is_ready(&self, pid: u32, ports: &[u16]) -> Result<bool, Error> {
        // Its own word first: whoever else listens on the port isn't asked.
        if !self.postmaster_pid().is_some_and(|file| file.pid == pid && file.ready) {
            return Ok(false);
        }
        match self.connect(ports[0]).await {
            Ok(mut connection) => {
                let one = sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut connection).await;
                let _ = connection.close().await;
                Ok(one.is_ok())
            }
            Err(e) if is_wrong_password(&e) => Err(Error::WrongPassword(self.home.path.join("password"))),
            Err(_) => Ok(false),
        }
    }

    fn ports_of(&self, pid: u32) -> Option<Vec<u16>> {
        let file = self.postmaster_pid().filter(|file| file.pid == pid)?;
        Some(vec![file.port?])
    }
}
