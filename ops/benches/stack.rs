//! The servers, and a database for each measurement.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tidewell::{
    config::{Config, home_folder},
    dev::{self, PostgresOptions, Servers, TypesenseOptions},
};

use super::{cpu::Watched, process, raw::Typesense};

/// Where servers and processes keep their files while this runs.
const FOLDERS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench");

/// What everything runs on.
pub(crate) struct Stack {
    pub(crate) folder: PathBuf,
    pub(crate) typesense: Typesense,
    database_url: String,
    /// Of the embedded servers; of others the processor time can't be told.
    watched: Vec<Watched>,
    servers: Mutex<Option<Servers>>,
    databases: Mutex<Vec<String>>,
}

impl Stack {
    /// Starts the servers that the settings don't bring.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let config = Config::load(None)?;
        clean_up_after_others().await?;
        let folder = Path::new(FOLDERS).join(std::process::id().to_string());
        fs::create_dir_all(&folder)?;
        let options = dev::Options {
            cache: config.cache.unwrap_or_else(|| dev::default_cache(home_folder().as_deref())),
            dir: folder.clone(),
            fresh: true,
            postgres: config.database_url.is_none().then(PostgresOptions::default),
            typesense: config.typesense_url.is_none().then(TypesenseOptions::default),
        };
        let servers = Servers::start(&options).await?;
        let mut watched = Vec::new();
        if let Some(postgres) = &servers.postgres {
            watched.push(Watched { name: "postgres", pid: postgres.pid(), children: true });
        }
        if let Some(typesense) = &servers.typesense {
            watched.push(Watched { name: "typesense", pid: typesense.pid(), children: false });
        }
        let typesense = match &servers.typesense {
            Some(typesense) => Typesense::new(&typesense.url(), typesense.api_key())?,
            None => {
                let url = config.typesense_url.context("no Typesense")?;
                Typesense::new(&url, &config.typesense_api_key.context("TIDEWELL_TYPESENSE_API_KEY is not set")?)?
            }
        };
        let database_url = match &servers.postgres {
            Some(postgres) => postgres.url(),
            None => config.database_url.context("no PostgreSQL")?,
        };
        let servers = Mutex::new(Some(servers));
        Ok(Self { folder, typesense, database_url, watched, servers, databases: Mutex::default() })
    }

    /// The servers, where they are ours.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        self.watched.clone()
    }

    /// A new database on the server; its URL.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        let name = format!("tidewell_bench_{name}_{}", std::process::id());
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        let mut admin = PgConnection::connect(&self.database_url).await?;
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await?;
        admin.close().await?;
        Ok(PgConnectOptions::from_str(&self.database_url)?.database(&name).to_url_lossy().to_string())
    }

    /// Drops what the measurements have made so far.
    pub(crate) async fn tidy(&self) -> anyhow::Result<()> {
        self.typesense.tidy().await?;
        let databases = std::mem::take(&mut *self.databases.lock().unwrap_or_else(PoisonError::into_inner));
        if databases.is_empty() {
            return Ok(());
        }
        let mut admin = PgConnection::connect(&self.database_url).await?;
        for name in databases {
            let drop = format!("drop database if exists {name} with (force)");
            sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut admin).await?;
        }
        admin.close().await?;
        Ok(())
    }

    /// Leaves nothing behind.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        let tidied = self.tidy().await;
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(servers) = servers {
            servers.stop().await?;
        }
        fs::remove_dir_all(&self.folder)?;
        tidied
    }
}

/// A pool whose connections are there already, so that none is made while time is taken.
pub(crate) async fn pool(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        .connect(url)
        .await?;
    while pool.size() < connections {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(pool)
}

/// Stops and deletes what benches that were killed have left behind.
async fn clean_up_after_others() -> anyhow::Result<()> {
    for entry in fs::read_dir(FOLDERS).into_iter().flatten() {
        let folder = entry?.path();
        // Of one that runs, the lock is held.
        if Servers::down(&folder).await.is_ok() {
            process::kill_left_behind(&folder);
            fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}
