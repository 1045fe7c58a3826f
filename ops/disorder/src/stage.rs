//! The servers, which are broken on purpose, and the folder that everything is in.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tidewell::{
    config::{Config, home_folder},
    dev::{self, Postgres, PostgresOptions, Servers, Typesense, TypesenseOptions},
};

/// A PostgreSQL and a Typesense of this run alone.
pub(crate) struct Stage {
    servers: Servers,
    folder: Folder,
}

/// Deleted when dropped, unless it is to be looked at.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("can't delete {}: {error}", self.path.display());
        }
    }
}

impl Stage {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tidewell-chaos-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
        let folder = Folder { path, keep: false };
        let settings = [("wal_level", "logical"), ("max_connections", "200")];
        let options = dev::Options {
            cache: Config::load(None)?.cache.unwrap_or_else(|| dev::default_cache(home_folder().as_deref())),
            dir: folder.path.join("servers"),
            fresh: true,
            // A killed server loses nothing that the system has taken.
            postgres: Some(PostgresOptions {
                fsync: false,
                settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            }),
            typesense: Some(TypesenseOptions::default()),
        };
        Ok(Self { servers: Servers::start(&options).await?, folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder.path
    }

    fn postgres(&mut self) -> anyhow::Result<&mut Postgres> {
        self.servers.postgres.as_mut().context("no PostgreSQL")
    }

    fn typesense(&mut self) -> anyhow::Result<&mut Typesense> {
        self.servers.typesense.as_mut().context("no Typesense")
    }

    pub(crate) fn database_url(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.servers.postgres.as_ref().context("no PostgreSQL")?.url_of(name))
    }

    /// Its address and its key.
    pub(crate) fn typesense_at(&self) -> anyhow::Result<(String, String)> {
        let typesense = self.servers.typesense.as_ref().context("no Typesense")?;
        Ok((typesense.url(), typesense.api_key().to_owned()))
    }

    /// Stops PostgreSQL, cutting its clients off in good order, and starts it again.
    pub(crate) async fn restart_postgres(&mut self) -> anyhow::Result<()> {
        let postgres = self.postgres()?;
        postgres.stop().await?;
        Ok(postgres.start_again_on_same_port().await?)
    }

    /// Stops PostgreSQL at once, so that it has to recover, and starts it again.
    pub(crate) async fn crash_postgres(&mut self) -> anyhow::Result<()> {
        let postgres = self.postgres()?;
        kill(Pid::from_raw(postgres.pid().cast_signed()), Signal::SIGQUIT)?;
        while postgres.is_running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(postgres.start_again_on_same_port().await?)
    }

    pub(crate) async fn restart_typesense(&mut self) -> anyhow::Result<()> {
        let typesense = self.typesense()?;
        typesense.stop().await?;
        Ok(typesense.start_again_on_same_port().await?)
    }

    pub(crate) async fn kill_typesense(&mut self) -> anyhow::Result<()> {
        let typesense = self.typesense()?;
        typesense.kill().await?;
        Ok(typesense.start_again_on_same_port().await?)
    }

    /// Stops the servers; their folder is deleted unless it is to be looked at.
    pub(crate) async fn stop(mut self, keep: bool) -> anyhow::Result<()> {
        self.folder.keep = keep;
        Ok(self.servers.stop().await?)
    }
}

/// A pool past all proxies.
pub(crate) async fn direct(url: &str) -> anyhow::Result<PgPool> {
    Ok(PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(60)).connect(url).await?)
}

/// The program of the same build as this one.
pub(crate) fn tidewell() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("tidewell");
    anyhow::ensure!(program.exists(), "there is no {}: run ops/chaos, which builds it", program.display());
    Ok(program)
}

/// The library that moves a process's clock, where it is installed.
pub(crate) fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|library| Path::exists(library))
}
