use apalis_postgres::PostgresStorage;
use sqlx::{Executor, PgPool, migrate::Migrator};

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// apalis' own migrations.
    #[error("apalis' schema could not be migrated")]
    Migrate(#[from] apalis_postgres::Error),
    /// What this crate adds to them.
    #[error("the jobs table could not be prepared")]
    Prepare(#[from] sqlx::Error),
}

/// Serializes [`prepare`] between replicas: two `create index if not exists` at once can collide.
const PREPARE_LOCK: i64 = 0x7469_6465_6a6f_6273;

/// Brings apalis' schema up to date and adds what this crate needs. Idempotent, and safe on several
/// replicas at once: sqlx's migrator holds an advisory lock of its own. Needs the extensions
/// `pgcrypto` and `hstore`, or the right to create them.
pub async fn setup(pool: &PgPool) -> Result<(), Error> {
    PostgresStorage::setup(pool).await?;
    prepare(pool).await?;
    Ok(())
}

/// What [`setup`] makes, for whoever writes it down as a script.
#[derive(Debug)]
pub struct Schema {
    pub name: &'static str,
    /// The table, in that schema, of the migrations that have been applied.
    pub migrations_table: &'static str,
    pub migrations: Migrator,
    /// What follows the migrations, and may be run again.
    pub additions: &'static str,
}

/// The schema, as text.
pub fn schema() -> Schema {
    Schema {
        name: "apalis",
        migrations_table: "_sqlx_migrations",
        migrations: PostgresStorage::<()>::migrations(),
        additions: ADDITIONS,
    }
}

/// The index lets `prune` find what has ended without reading the table. The storage parameters keep
/// the live end of the table small: a row is updated twice in a life of milliseconds, and at the
/// default of a fifth of the table the dead versions of a day's jobs would pile up first.
const ADDITIONS: &str =
    "create index if not exists idx_tidewell_jobs_ended on apalis.jobs (done_at) where done_at is not null;
alter table apalis.jobs set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);
";

async fn prepare(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(PREPARE_LOCK).execute(&mut *tx).await?;
    (&mut *tx).execute(ADDITIONS).await?;
    tx.commit().await
}
