//! Tidewell's own tables: one file an aggregate. Every judgement of time is the database's.

pub mod accept;
pub mod activity;
pub mod backlog;
pub mod changes;
pub mod checkup;
pub mod client;
pub mod clock;
mod copy;
pub mod dead_letter;
pub mod drift;
pub mod embedding;
pub mod embedding_debt;
pub mod filter_delete;
pub mod flight;
pub mod gateway_key;
pub mod idempotency;
pub mod index;
pub mod index_check;
pub mod job;
pub mod key;
pub mod lane;
pub mod latest;
pub mod log_line;
pub mod organization;
pub mod outbox;
pub mod plan;
pub mod profile;
pub mod provision;
pub mod prune;
pub mod quota;
pub mod rate;
pub mod reindex;
pub mod reseal;
pub mod restore;
pub mod settlement;
pub mod status;
pub mod sync;
pub mod version;
pub mod worker;

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// The migrations in `sql/`, embedded.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./sql");

/// How long a connection that nobody used is taken to be alive.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// Opens a pool on the control database. Connections are made on first use.
pub fn connect_lazily(url: &str, connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?.application_name("tidewell").options([
        // Not "$user": a user who is called like our schema would find another table of migrations, and types by other names.
        ("search_path", "public"),
        // A client that is gone must not hold locks or versions open for longer than this.
        ("idle_in_transaction_session_timeout", "60s"),
        ("lock_timeout", "30s"),
        // A statement is prepared once. Where it was planned while a queue was empty, it would read all of it when it is full, once a
        // row, until the queue's statistics are taken anew.
        ("enable_seqscan", "off"),
        // For tables that can only be read whole, older PostgreSQL's take such a plan for one that is worth compiling.
        ("jit", "off"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        // A connection that was in use a moment ago is believed: asking it first is a round trip for each request.
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for > BELIEVED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options))
}

/// What keeps the database from being used as it is; `None` where it is ready.
pub async fn fault(pool: &PgPool) -> Option<String> {
    let applied: Result<Vec<i64>, _> =
        sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(pool).await;
    match applied {
        Ok(applied) => {
            let missing = MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).count();
            (missing > 0).then(|| format!("{missing} migrations are missing: run `tidewell migrate`"))
        }
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
            Some("the database has no tables yet: run `tidewell migrate`".to_owned())
        }
        Err(error) => Some(format!("the database does not answer: {error}")),
    }
}

/// True where an error says that the database is away or overloaded rather than that the statement is wrong.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // Classes 08 (connection), 40 (rolled back, may be tried again), 53 (resources), 55 (lock timeout), 57 (shut down),
        // 58 (system); 25006: a standby; 25P03: idle in a transaction for too long.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "40", "53", "55", "57", "58"].contains(&&code[..2]) || ["25006", "25P03"].contains(&&*code)
        }),
        _ => false,
    }
}

/// True where an error says that a value of the request can't be stored: text with a NUL character, a moment out of range.
pub fn is_unstorable(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["22021", "22P05", "22007", "22008"].contains(&&*code))
}

/// The name of the constraint that a statement broke.
pub fn broken_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|error| error.constraint())
}
