//! Finding the control database, and making sure that it can be used.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use backon::{ExponentialBuilder, Retryable};
use sqlx::{Connection, PgConnection, PgPool};
use tidewell::db;

use super::{Session, dev::files::DevJson};

/// How long one attempt to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Connections of a command that asks one thing after another.
const FEW: u32 = 2;

impl Session {
    /// The control database, ready to be used: the one that the settings name, else that of this folder's `tidewell dev`.
    pub(super) async fn database(&self) -> anyhow::Result<PgPool> {
        let pool = self.database_as_it_is().await?;
        refuse_unmigrated(&pool).await?;
        Ok(pool)
    }

    /// The same, whatever is in it.
    pub(super) async fn database_as_it_is(&self) -> anyhow::Result<PgPool> {
        let (url, hint) = match (&self.config.database_url, DevJson::read(Path::new(super::dev::FOLDER))?) {
            (Some(url), _) => (url.clone(), "check TIDEWELL_DATABASE_URL"),
            (None, Some(dev)) => (dev.database_url, "is `tidewell dev` running in this folder?"),
            (None, None) => bail!(
                "which database? Set TIDEWELL_DATABASE_URL, or run this in a folder where `tidewell dev` has been started"
            ),
        };
        connect(&url).await.with_context(|| format!("the database does not answer: {hint}"))?;
        Ok(db::connect_lazily(&url, FEW)?)
    }
}

/// Fails where the tables aren't those that this program knows.
pub(super) async fn refuse_unmigrated(pool: &PgPool) -> anyhow::Result<()> {
    match db::fault(pool).await {
        None => Ok(()),
        Some(fault) => bail!("the database can't be used as it is: {fault}"),
    }
}

/// Waits until the database takes connections: it may be starting, at the same time as this process.
pub(super) async fn wait_until_up(url: &str) -> anyhow::Result<()> {
    let patience =
        ExponentialBuilder::default().with_max_delay(Duration::from_secs(5)).with_jitter().without_max_times();
    (|| connect(url))
        .retry(patience)
        .when(db::is_unavailable)
        .notify(|error, _| tracing::warn!(%error, "the database does not answer yet: waiting for it"))
        .await
        .context("the database can't be used: check TIDEWELL_DATABASE_URL")
}

/// One connection on its own: a pool would hide why there is none.
async fn connect(url: &str) -> Result<(), sqlx::Error> {
    let connecting = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect(url));
    connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await
}

/// Brings the tables up to date; several processes may do so at once.
pub(super) async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    db::MIGRATOR.run(pool).await.context("the database can't be migrated")?;
    tidewell_jobs::setup(pool).await.context("the database can't be migrated")
}
