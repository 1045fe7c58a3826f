//! Reading the users' own Postgres: what a table is like, its rows by ranges of their keys, and single rows by key.

pub mod column;
mod describe;
mod error;
mod outline;
mod read;
mod row;
mod sample;
mod since;
pub mod statement;
mod tables;

use std::{io, str::FromStr, time::Duration};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};

#[cfg(test)]
pub(crate) use describe::column_of;
pub use describe::{Column, Relation, RelationKind};
pub use error::Error;
pub use outline::{ColumnOutline, Outline};
pub use read::{Range, Read};
pub use row::{Document, Row, RowFault, split_id};
pub use sample::Sample;
pub use tables::Table;

use crate::reach;

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A connection to the database at a client's URL that may do more than read.
///
/// # Errors
/// As [`Source::connect`]'s.
pub async fn connected(url: &str) -> Result<PgConnection, Error> {
    reached(&PgConnectOptions::from_str(url).map_err(Error::Unreachable)?).await
}

async fn reached(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let not_reached = |error: io::Error| match reach::refusal(&error) {
        Some(refused) => Error::Refused(refused),
        None => Error::Unreachable(error.into()),
    };
    let connecting = async {
        let admitted = reach::postgres(options).await.map_err(not_reached)?;
        admitted.connect().await.map_err(Error::Unreachable)
    };
    let silent = |_| Err(Error::Unreachable(sqlx::Error::PoolTimedOut));
    tokio::time::timeout(CONNECT_WITHIN, connecting).await.unwrap_or_else(silent)
}

/// One connection to a source database. Every statement is a short snapshot of its own; nothing is ever written.
pub struct Source {
    conn: PgConnection,
    options: PgConnectOptions,
}

impl Source {
    /// Connects to the database at a client's URL.
    ///
    /// # Errors
    /// [`Error::Unreachable`], whose text tells the server's reason and nothing of the URL; [`Error::Refused`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url).map_err(Error::Unreachable)?;
        let options = options.application_name("tidewell sync").disable_statement_logging();
        let conn = Self::open(&options).await?;
        Ok(Self { conn, options })
    }

    async fn open(options: &PgConnectOptions) -> Result<PgConnection, Error> {
        let mut conn = reached(options).await?;
        // By statements, not start-up parameters, which poolers refuse. The texts of values depend on the first four.
        conn.execute(
            "set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; set timezone = 'UTC'; set extra_float_digits = 1;
             set bytea_output = 'hex'; set default_transaction_read_only = on; set statement_timeout = '10min';
             set lock_timeout = '10s'; set idle_session_timeout = 0",
        )
        .await
        .map_err(Error::of)?;
        Ok(conn)
    }

    /// In place of a connection that is of no more use.
    async fn connect_again(&mut self) -> Result<(), Error> {
        self.conn = Self::open(&self.options).await?;
        Ok(())
    }

    /// Lets no statement from now on take longer.
    pub async fn limit_statements(&mut self, to: Duration) -> Result<(), Error> {
        let set = AssertSqlSafe(format!("set statement_timeout = {}", to.as_millis()));
        self.conn.execute(set).await.map(drop).map_err(Error::of)
    }

    /// The connection, for looks at what is not the table itself.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    /// Which database this is, whoever reads it.
    pub fn place(&self) -> String {
        let options = &self.options;
        let host = options.get_socket().map_or_else(|| options.get_host().into(), |socket| socket.to_string_lossy());
        format!("{host}:{}/{}", options.get_port(), options.get_database().unwrap_or_default())
    }

    /// Ends the connection in good order.
    pub async fn close(self) {
        let _ = self.conn.close().await;
    }
}
