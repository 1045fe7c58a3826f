//! What decides whether the database can do its work, for whoever runs it: the server, the role, the tables, and what waits in vain.

use sqlx::{FromRow, PgConnection, PgPool, types::Json};

use crate::domain::embedding::Embedding;

/// What is late by more than this is stuck.
const LATE: &str = "5 minutes";

/// The server and this connection to it.
#[derive(Debug, FromRow)]
pub struct Server {
    /// Such as `18.6`.
    pub version: String,
    /// Such as 180006.
    pub version_number: i32,
    pub is_standby: bool,
    pub fsync: bool,
    pub full_page_writes: bool,
    pub synchronous_commit: String,
    pub autovacuum: bool,
    /// Connections that ordinary roles may have, and those that there are.
    pub connections_allowed: i32,
    pub connections_used: i32,
    pub is_encrypted: bool,
    /// The server is on the machine that asks.
    pub is_local: bool,
    /// Seconds since 1970, by the server's clock.
    pub now: f64,
    /// Transactions since the oldest that no vacuum has frozen; at two thousand million the server stops writing.
    pub transaction_age: i64,
}

/// Looks at the server.
pub async fn server(pool: &PgPool) -> Result<Server, sqlx::Error> {
    sqlx::query_as(
        "select current_setting('server_version') as version, current_setting('server_version_num')::int as version_number,
                pg_is_in_recovery() as is_standby,
                current_setting('fsync')::bool as fsync, current_setting('full_page_writes')::bool as full_page_writes,
                current_setting('synchronous_commit') as synchronous_commit, current_setting('autovacuum')::bool as autovacuum,
                current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                    as connections_allowed,
                (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections_used,
                coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as is_encrypted,
                coalesce(host(inet_server_addr()) = host(inet_client_addr()), true) as is_local,
                extract(epoch from clock_timestamp())::float8 as now,
                (select max(age(datfrozenxid))::bigint from pg_database) as transaction_age",
    )
    .fetch_one(pool)
    .await
}

/// Migrations that have been applied and that this release does not know.
pub async fn unknown_migrations(pool: &PgPool) -> Result<Vec<i64>, sqlx::Error> {
    let known: Vec<i64> = super::MIGRATOR.iter().map(|migration| migration.version).collect();
    sqlx::query_scalar("select version from _sqlx_migrations where version <> all($1) order by version")
        .bind(known)
        .fetch_all(pool)
        .await
}

/// Extensions that are needed and not there.
pub async fn missing_extensions(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select name from unnest(array['hstore', 'pgcrypto']) as name where name not in (select extname from pg_extension)",
    )
    .fetch_all(pool)
    .await
}

/// Tables and sequences that this role can't use as `serve` and `work` do.
pub async fn closed_tables(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select format('%s.%s', nspname, relname)
         from pg_class as class join pg_namespace as namespace on namespace.oid = class.relnamespace
         where (nspname in ('tidewell', 'apalis') or nspname = 'public' and relname like 'typesense\\_%')
           and relkind in ('r', 'S', 'v') and relname <> '_sqlx_migrations'
           and not (has_schema_privilege(namespace.oid, 'usage') and case relkind
               when 'S' then has_sequence_privilege(class.oid, 'usage')
               when 'v' then has_table_privilege(class.oid, 'select')
               else has_table_privilege(class.oid, 'select') and has_table_privilege(class.oid, 'insert')
                    and has_table_privilege(class.oid, 'update') and has_table_privilege(class.oid, 'delete') end)
         order by 1",
    )
    .fetch_all(pool)
    .await
}

/// A table as vacuum sees it.
#[derive(Debug, FromRow)]
pub struct Table {
    pub name: String,
    /// With its indexes.
    pub bytes: i64,
    pub live_rows: i64,
    pub dead_rows: i64,
    /// Autovacuum has been told to leave it alone.
    pub is_left_out: bool,
}

/// Tidewell's tables, the largest first.
pub async fn tables(pool: &PgPool) -> Result<Vec<Table>, sqlx::Error> {
    sqlx::query_as(
        "select format('%s.%s', schemaname, stat.relname) as name, pg_total_relation_size(relid) as bytes,
                n_live_tup as live_rows, n_dead_tup as dead_rows,
                coalesce(array_to_string(reloptions, ' ') ~ 'autovacuum_enabled=(false|off|0|no)', false) as is_left_out
         from pg_stat_user_tables as stat join pg_class as class on class.oid = relid
         where schemaname in ('tidewell', 'apalis') or schemaname = 'public' and stat.relname like 'typesense\\_%'
         order by bytes desc",
    )
    .fetch_all(pool)
    .await
}

/// A transaction that has been open for more than ten minutes: no vacuum removes what has died since.
#[derive(Debug, FromRow)]
pub struct LongTransaction {
    pub pid: i32,
    pub application: String,
    pub seconds: f64,
}

/// The oldest of them.
pub async fn long_transaction(pool: &PgPool) -> Result<Option<LongTransaction>, sqlx::Error> {
    sqlx::query_as(
        "select pid, application_name as application, extract(epoch from clock_timestamp() - xact_start)::float8 as seconds
         from pg_stat_activity
         where backend_type = 'client backend' and xact_start < clock_timestamp() - interval '10 minutes'
         order by xact_start limit 1",
    )
    .fetch_optional(pool)
    .await
}

/// Whether workers that have been there for five minutes have not ticked in all that time.
pub async fn no_tick(pool: &PgPool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from tidewell.workers
                        where last_seen_at > now() - interval '30 seconds' and started_at < now() - $2::interval)
            and not exists (select from apalis.jobs where job_type = $1 and run_at > now() - $2::interval)",
    )
    .bind(<tidewell_jobs::ReadBackFlights as tidewell_jobs::Job>::QUEUE)
    .bind(LATE)
    .fetch_one(pool)
    .await
}

/// Wake-ups that nobody has taken for five minutes, by queue.
pub async fn late_wake_ups(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "select job_type, count(*) from apalis.jobs
         where status in ('Pending', 'Queued') and run_at < now() - $1::interval
         group by job_type order by job_type",
    )
    .bind(LATE)
    .fetch_all(pool)
    .await
}

/// Sync jobs that have been due for five minutes without a run.
pub async fn unscheduled_syncs(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select name from public.typesense_sync_jobs as job
         where enabled and auto_sync_enabled and mode = 'scheduled' and next_sync_at < now() - $1::interval
           and not exists (select from public.typesense_sync_runs as run
                           where run.job_id = job.id and run.status in ('queued', 'running', 'paused'))
         order by name",
    )
    .bind(LATE)
    .fetch_all(pool)
    .await
}

/// Sync jobs with a run that nobody has been at for five minutes, though it should go on.
pub async fn stuck_runs(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select job.name
         from public.typesense_sync_runs as run
         join public.typesense_sync_jobs as job on job.id = run.job_id
         left join tidewell.sync_states as state on state.job_id = job.id
         where coalesce(state.leased_until, '-infinity') < now() - $1::interval
           and (run.status in ('queued', 'running') and run.queued_at < now() - $1::interval
                or run.status = 'paused' and run.resume_at < now() - $1::interval)
         order by job.name",
    )
    .bind(LATE)
    .fetch_all(pool)
    .await
}

/// Where a model is in use.
#[derive(Debug, FromRow)]
pub struct EmbeddingUse {
    /// The index's alias, or the sync job's name.
    pub of: String,
    pub embedding: Json<Embedding>,
    /// What made the vectors that are there.
    pub fingerprint: Option<Json<serde_json::Value>>,
}

/// Every index and sync job whose documents are embedded.
pub async fn embeddings(pool: &PgPool) -> Result<Vec<EmbeddingUse>, sqlx::Error> {
    sqlx::query_as(
        "select alias as of, version.embedding, version.fingerprint
         from tidewell.index_versions as version join tidewell.indexes on indexes.id = version.index_id
         where state = 'live' and version.embedding is not null
         union all
         select name, job.embedding, state.fingerprint
         from public.typesense_sync_jobs as job left join tidewell.sync_states as state on state.job_id = job.id
         where enabled and job.embedding is not null",
    )
    .fetch_all(pool)
    .await
}

/// What a source offers to live jobs.
#[derive(Debug, FromRow)]
pub struct Replication {
    pub wal_level: String,
    pub slots_allowed: i32,
    pub slots_used: i32,
    pub senders_allowed: i32,
    pub may_replicate: bool,
}

/// Looks at a source.
pub async fn replication(source: &mut PgConnection) -> Result<Replication, sqlx::Error> {
    sqlx::query_as(
        "select current_setting('wal_level') as wal_level, current_setting('max_replication_slots')::int as slots_allowed,
                current_setting('max_wal_senders')::int as senders_allowed,
                (select count(*)::int from pg_replication_slots) as slots_used,
                rolreplication or rolsuper as may_replicate
         from pg_roles where rolname = current_user",
    )
    .fetch_one(source)
    .await
}

/// Tidewell's slots in a source that nobody reads, with the bytes of log that each holds back.
pub async fn idle_slots(source: &mut PgConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "select slot_name::text, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint
         from pg_replication_slots
         where not active and database = current_database() and slot_name like 'tidewell\\_%'
         order by slot_name",
    )
    .fetch_all(source)
    .await
}

/// Clients that a live job reads from.
pub async fn followed_clients(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct source_client_name from public.typesense_sync_jobs where enabled and mode = 'live'",
    )
    .fetch_all(pool)
    .await
}
