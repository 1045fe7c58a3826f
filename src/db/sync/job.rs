//! Sync jobs.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool, types::Json};
use uuid::Uuid;

use crate::domain::{schedule::Schedule, sync_job::Spec};

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "id, name, source_client_name, source_schema_name, source_table_name, typesense_profile_id, collection_name,
         document_id_column, selected_columns, query_by_fields, facet_by_fields, sort_by_fields, field_config,
         default_sort_field, embedding, sync_strategy, mode, cursor_column, batch_size, batch_delay_ms, sync_interval_minutes,
         cron, timezone, stale_after_minutes, failed_share_limit, enabled, auto_sync_enabled, last_synced_at, next_sync_at,
         last_sync_status, last_sync_error, last_source_row_count, last_imported_count, last_deleted_count,
         last_failed_count, created_at, updated_at"
    };
}

/// A sync job as stored.
#[derive(Clone, Debug, FromRow)]
pub struct Job {
    pub id: Uuid,
    #[sqlx(flatten)]
    pub spec: Spec,
    pub last_synced_at: Option<DateTime<Utc>>,
    pub next_sync_at: Option<DateTime<Utc>>,
    /// `success`, `failed` or `cancelled`.
    pub last_sync_status: Option<String>,
    pub last_sync_error: Option<String>,
    pub last_source_row_count: Option<i64>,
    pub last_imported_count: Option<i64>,
    pub last_deleted_count: Option<i64>,
    pub last_failed_count: Option<i64>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A statement whose parameters from the second on are a [`Spec`]'s.
macro_rules! bound {
    ($sql:expr, $id:expr, $spec:expr) => {
        sqlx::query_as($sql)
            .bind($id)
            .bind(&$spec.name)
            .bind(&$spec.source_client_name)
            .bind(&$spec.source_schema_name)
            .bind(&$spec.source_table_name)
            .bind($spec.typesense_profile_id)
            .bind(&$spec.collection_name)
            .bind(&$spec.document_id_column)
            .bind(&$spec.selected_columns)
            .bind(&$spec.query_by_fields)
            .bind(&$spec.facet_by_fields)
            .bind(&$spec.sort_by_fields)
            .bind(Json(&$spec.field_config))
            .bind(&$spec.default_sort_field)
            .bind($spec.sync_strategy)
            .bind($spec.mode)
            .bind(&$spec.cursor_column)
            .bind($spec.batch_size)
            .bind($spec.batch_delay_ms)
            .bind($spec.sync_interval_minutes)
            .bind(&$spec.cron)
            .bind(&$spec.timezone)
            .bind($spec.stale_after_minutes)
            .bind($spec.failed_share_limit)
            .bind($spec.enabled)
            .bind($spec.auto_sync_enabled)
            .bind($spec.embedding.as_ref().map(Json))
    };
}

/// When a job of that schedule is due for the first time.
async fn first_due(conn: &mut PgConnection, spec: &Spec) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let schedule = Schedule::parse(spec.sync_interval_minutes, spec.cron.as_deref(), &spec.timezone);
    let now = sqlx::query_scalar("select now()").fetch_one(conn).await?;
    Ok(schedule.ok().and_then(|schedule| schedule.next_after(now)))
}

/// Makes a job, due when its schedule comes for the first time. Breaks the constraints `typesense_sync_jobs_name_key` where the name is taken, and
/// `typesense_sync_jobs_profile_fkey` where there is no such backend; `None` where there is no such client.
pub async fn insert(pool: &PgPool, spec: &Spec) -> Result<Option<Job>, sqlx::Error> {
    let sql = concat!(
        "insert into public.typesense_sync_jobs
             (id, name, source_client_name, source_schema_name, source_table_name, typesense_profile_id, collection_name,
              document_id_column, selected_columns, query_by_fields, facet_by_fields, sort_by_fields, field_config,
              default_sort_field, sync_strategy, mode, cursor_column, batch_size, batch_delay_ms, sync_interval_minutes, cron,
              timezone, stale_after_minutes, failed_share_limit, enabled, auto_sync_enabled, embedding, next_sync_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
                $25, $26, $27, $28
         from tidewell.clients where name = $3 for share
         returning ",
        columns!()
    );
    let mut conn = pool.acquire().await?;
    let due = first_due(&mut conn, spec).await?;
    bound!(sql, Uuid::now_v7(), spec).bind(due).fetch_optional(&mut *conn).await
}

/// Changes a job; `None` where there is none of that id, or no such client. Another schedule counts from now.
pub async fn update(pool: &PgPool, id: Uuid, spec: &Spec) -> Result<Option<Job>, sqlx::Error> {
    let sql = concat!(
        "update public.typesense_sync_jobs
         set name = $2, source_client_name = $3, source_schema_name = $4, source_table_name = $5, typesense_profile_id = $6,
             collection_name = $7, document_id_column = $8, selected_columns = $9, query_by_fields = $10, facet_by_fields = $11,
             sort_by_fields = $12, field_config = $13, default_sort_field = $14, sync_strategy = $15, mode = $16,
             cursor_column = $17, batch_size = $18, batch_delay_ms = $19, sync_interval_minutes = $20, cron = $21, timezone = $22,
             stale_after_minutes = $23, failed_share_limit = $24, enabled = $25, auto_sync_enabled = $26, embedding = $27,
             next_sync_at = case when (sync_interval_minutes, cron, timezone) is not distinct from ($20, $21, $22)
                                 then coalesce(next_sync_at, $28) else $28 end,
             updated_at = now()
         where id = $1 and exists (select from tidewell.clients where name = $3 for share)
         returning ",
        columns!()
    );
    let mut tx = pool.begin().await?;
    // What one column says of the age of rows, another does not.
    sqlx::query(
        "update tidewell.sync_states set cursor_since = null
         where job_id = $1
           and exists (select from public.typesense_sync_jobs where id = $1 and cursor_column is distinct from $2)",
    )
    .bind(id)
    .bind(&spec.cursor_column)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update tidewell.sync_positions as position set cursor_since = null
         from public.typesense_sync_runs as run join public.typesense_sync_jobs as job on job.id = run.job_id
         where run.id = position.run_id and job.id = $1 and job.cursor_column is distinct from $2",
    )
    .bind(id)
    .bind(&spec.cursor_column)
    .execute(&mut *tx)
    .await?;
    let due = first_due(&mut tx, spec).await?;
    let changed = bound!(sql, id, spec).bind(due).fetch_optional(&mut *tx).await?;
    tx.commit().await?;
    Ok(changed)
}

/// Forgets a job with its history and all that is known of its documents; they stay in Typesense. False where there was none.
pub async fn delete(pool: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    // First what a run locks first when it settles.
    sqlx::query("select from tidewell.sync_states where job_id = $1 for update").bind(id).execute(&mut *tx).await?;
    let deleted =
        sqlx::query("delete from public.typesense_sync_jobs where id = $1").bind(id).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}

/// One job.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Job>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from public.typesense_sync_jobs where id = $1"))
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// The job of that id or name.
pub async fn resolve(pool: &PgPool, name: &str) -> Result<Option<Job>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from public.typesense_sync_jobs where name = $1 or id = $2 order by id = $2 desc nulls last limit 1"
    ))
    .bind(name)
    .bind(Uuid::try_parse(name).ok())
    .fetch_optional(pool)
    .await
}

/// Jobs, newest first, only those older than `before`.
pub async fn list(pool: &PgPool, before: Option<Uuid>, limit: i64) -> Result<Vec<Job>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from public.typesense_sync_jobs where ($1::uuid is null or id < $1) order by id desc limit $2"
    ))
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// The enabled job of a table that was synced last; without a schema, one of `public` first.
pub async fn of_table(
    pool: &PgPool,
    client: &str,
    schema: Option<&str>,
    table: &str,
) -> Result<Option<Job>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from public.typesense_sync_jobs
          where source_client_name = $1 and ($2::text is null or source_schema_name = $2) and source_table_name = $3 and enabled
          order by source_schema_name = 'public' desc, last_synced_at desc nulls last, id desc
          limit 1"
    ))
    .bind(client)
    .bind(schema)
    .bind(table)
    .fetch_optional(pool)
    .await
}

/// Another job that writes into the collection of that name.
pub async fn other_of_collection(
    pool: &PgPool,
    profile_id: Uuid,
    collection_name: &str,
    except: Option<Uuid>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select name from public.typesense_sync_jobs
         where typesense_profile_id = $1 and collection_name = $2 and id is distinct from $3 limit 1",
    )
    .bind(profile_id)
    .bind(collection_name)
    .bind(except)
    .fetch_optional(pool)
    .await
}

/// A job whose run is due, and why.
#[derive(Debug, FromRow)]
pub struct Due {
    #[sqlx(flatten)]
    pub job: Job,
    /// Documents of requests in doubt must be looked at again.
    pub for_repair: bool,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// Takes jobs that are due and have no run, `limit` at most, to be given one in the same transaction; skips what others have taken.
pub async fn take_due(conn: &mut PgConnection, limit: i64) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        ", coalesce(next_sync_at > now() or not auto_sync_enabled or next_sync_at is null, false) as for_repair, now() as now
          from public.typesense_sync_jobs
          where enabled and mode = 'scheduled'
            and (auto_sync_enabled and next_sync_at <= now()
                 or exists (select from tidewell.sync_states where job_id = typesense_sync_jobs.id and repair_at <= now()))
            and not exists (select from public.typesense_sync_runs
                            where job_id = typesense_sync_jobs.id and status in ('queued', 'running', 'paused'))
          order by next_sync_at
          limit $1 for update of typesense_sync_jobs skip locked"
    ))
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Says when a job is due next.
pub async fn set_next_sync(conn: &mut PgConnection, id: Uuid, at: Option<DateTime<Utc>>) -> Result<(), sqlx::Error> {
    sqlx::query("update public.typesense_sync_jobs set next_sync_at = $2 where id = $1")
        .bind(id)
        .bind(at)
        .execute(conn)
        .await
        .map(drop)
}

/// How fresh a job is, from the view.
#[derive(Clone, Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[schema(as = SyncJobStatus)]
pub struct Status {
    pub id: Uuid,
    pub name: String,
    pub source_client_name: String,
    pub source_schema_name: String,
    pub source_table_name: String,
    pub typesense_profile_id: Uuid,
    pub profile_name: String,
    pub collection_name: String,
    pub sync_strategy: String,
    pub mode: String,
    pub stale_after_minutes: i32,
    pub enabled: bool,
    pub auto_sync_enabled: bool,
    pub last_synced_at: Option<DateTime<Utc>>,
    pub next_sync_at: Option<DateTime<Utc>>,
    pub last_sync_status: Option<String>,
    pub last_sync_error: Option<String>,
    pub last_source_row_count: Option<i64>,
    pub last_imported_count: Option<i64>,
    pub last_deleted_count: Option<i64>,
    pub last_failed_count: Option<i64>,
    pub seconds_since_sync: Option<f64>,
    /// Until the next scheduled run; negative where that is due.
    pub seconds_until_sync: Option<f64>,
    pub is_stale: bool,
    /// `fresh`, `overdue`, `failed`, `cancelled`, `never_synced` or `disabled`.
    pub sync_health: String,
    pub active_run_id: Option<Uuid>,
    pub active_run_status: Option<String>,
    pub active_run_progress_pct: Option<f64>,
    /// Of a live job: how far it is behind, and why it stands still.
    pub live_lag_bytes: Option<i64>,
    pub live_lag_ms: Option<i64>,
    pub live_error: Option<String>,
}

macro_rules! statuses {
    ($which:literal) => {
        concat!(
            "select status.id, name, source_client_name, source_schema_name, source_table_name, typesense_profile_id, profile_name,
                    collection_name, sync_strategy, mode, stale_after_minutes, enabled, auto_sync_enabled, last_synced_at,
                    next_sync_at, last_sync_status, last_sync_error, last_source_row_count, last_imported_count,
                    last_deleted_count, last_failed_count, seconds_since_sync,
                    extract(epoch from next_sync_at - now())::float8 as seconds_until_sync, is_stale, sync_health,
                    active_run_id, active_run_status, active_run_progress_pct, live_lag_bytes, live_lag_ms, live_error
             from public.typesense_sync_job_status as status
             left join tidewell.sync_states on job_id = status.id ",
            $which
        )
    };
}

/// How fresh jobs are, newest job first, only those older than `before`.
pub async fn statuses(pool: &PgPool, before: Option<Uuid>, limit: i64) -> Result<Vec<Status>, sqlx::Error> {
    sqlx::query_as(statuses!("where ($1::uuid is null or status.id < $1) order by status.id desc limit $2"))
        .bind(before)
        .bind(limit)
        .fetch_all(pool)
        .await
}

/// How fresh one job is.
pub async fn status(pool: &PgPool, id: Uuid) -> Result<Option<Status>, sqlx::Error> {
    sqlx::query_as(statuses!("where status.id = $1")).bind(id).fetch_optional(pool).await
}
