//! What waits, where and for how long, who works on it, and what stands in its way.

mod reindexes;
mod syncs;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

pub use reindexes::{ReindexStatus, VersionStatus};
pub use syncs::{HEALTHS, SyncStatus, oldest_unsynced_seconds};

/// Counts that would need a scan stop here.
pub const COUNTED_TO: i64 = 10_000;
/// A worker that has not reported for this long is taken for dead.
pub(super) const ALIVE_FOR_SECONDS: f64 = 30.0;

/// The whole picture, by the database's clock.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub indexes: Vec<IndexStatus>,
    pub workers: Vec<WorkerStatus>,
    pub syncs: Vec<SyncStatus>,
    /// What has not ended.
    pub reindexes: Vec<ReindexStatus>,
    /// Versions of indexes that are built or kept for a rollback.
    pub versions: Vec<VersionStatus>,
    /// Documents that were written without a vector because their model was away, counted to 10,000.
    pub embedding_debts: i64,
    /// Requests to Typesense that outlived their deadline and whose documents are still being read back.
    pub doubted_flights: i64,
}

/// One index.
#[derive(Clone, Debug, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexStatus {
    pub id: Uuid,
    pub organization: String,
    pub index: String,
    /// The live version.
    pub version: i32,
    /// Documents of the record.
    pub documents: i64,
    /// Rows accepted and not settled.
    pub backlog: i64,
    /// When the oldest write that is not projected was accepted.
    pub oldest_enqueued_at: Option<DateTime<Utc>>,
    /// How long ago that is.
    pub oldest_age_seconds: Option<f64>,
    /// Failed rows whose next try is due; counted to 10,000 together with the waiting ones.
    pub retries_due: i64,
    /// Failed rows whose next try lies ahead.
    pub retries_waiting: i64,
    /// Deletes by filter that are not resolved.
    pub filter_deletes: i64,
    /// Counted to 10,000.
    pub dead_letters: i64,
    pub lanes_leased: i64,
    #[sqlx(flatten)]
    pub check: CheckStatus,
}

/// The last comparison of an index with its collection.
#[derive(Clone, Debug, Default, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    pub checked_at: Option<DateTime<Utc>>,
    /// How long ago it was; `None`: never.
    pub age_seconds: Option<f64>,
    pub missing: Option<i64>,
    pub extra: Option<i64>,
    pub stale: Option<i64>,
    /// Why the one after that could not be made.
    pub error: Option<String>,
}

/// One worker, as it reported last.
#[derive(Clone, Debug, FromRow, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    pub name: String,
    /// The Typesense that it writes to.
    pub backend: String,
    /// `closed`, `open` or `half_open`.
    pub breaker: String,
    pub breaker_reason: Option<String>,
    /// Imports that it sends side by side.
    pub concurrency: i32,
    /// Why documents have no vectors now, where some should.
    pub embedding_trouble: Option<String>,
    pub last_seen_seconds_ago: f64,
    pub alive: bool,
}

/// Reads the status. The cost grows with the number of indexes and sync jobs, not with that of waiting rows.
pub async fn read(pool: &PgPool) -> Result<Status, sqlx::Error> {
    let debts = "select count(*) from (select from tidewell.embedding_debts limit $1) as counted";
    let doubted = "select count(*) from tidewell.flights where deadline <= clock_timestamp()";
    Ok(Status {
        indexes: indexes(pool, None).await?,
        workers: workers(pool).await?,
        syncs: syncs::read(pool).await?,
        reindexes: reindexes::under_way(pool).await?,
        versions: reindexes::behind(pool).await?,
        embedding_debts: sqlx::query_scalar(debts).bind(COUNTED_TO).fetch_one(pool).await?,
        doubted_flights: sqlx::query_scalar(doubted).fetch_one(pool).await?,
    })
}

/// Every index, or the one of that id. The oldest write is found by its place: the first fresh and the first retrying row of each lane,
/// two steps down an index. Lanes are only looked into where an index has a backlog.
pub async fn indexes(pool: &PgPool, id: Option<Uuid>) -> Result<Vec<IndexStatus>, sqlx::Error> {
    sqlx::query_as(
        "with behind as (
             select index_id, (max(total) - sum(settled))::bigint as backlog, sum(documents)::bigint as documents,
                    count(*) filter (where leased_until > clock_timestamp()) as lanes_leased
             from (select index_id, sum(accepted) as total from tidewell.backlogs group by index_id) as accepted
             join tidewell.lanes using (index_id)
             where $2::uuid is null or index_id = $2
             group by index_id
         )
         select indexes.id, organizations.slug as organization, indexes.slug as index, version, behind.documents, backlog, lanes_leased,
                oldest.enqueued_at as oldest_enqueued_at,
                extract(epoch from clock_timestamp() - oldest.enqueued_at)::float8 as oldest_age_seconds,
                retries.due as retries_due, retries.waiting as retries_waiting,
                filters.count as filter_deletes, dead.count as dead_letters,
                extract(epoch from clock_timestamp() - checks.checked_at)::float8 as age_seconds,
                checks.checked_at, checks.missing, checks.extra, checks.stale, checks.error
         from behind
         join tidewell.indexes on indexes.id = behind.index_id
         join tidewell.organizations on organizations.id = indexes.organization_id
         left join tidewell.index_checks as checks on checks.index_id = behind.index_id
         cross join lateral (
             select count(*), min(jobs.enqueued_at) as enqueued_at
             from tidewell.filter_deletes left join tidewell.jobs on jobs.id = filter_deletes.job_id
             where filter_deletes.index_id = behind.index_id
         ) as filters
         cross join lateral (
             select least(min(jobs.enqueued_at), filters.enqueued_at) as enqueued_at
             from tidewell.lanes
             cross join (values (false), (true)) as kind (retrying)
             cross join lateral (
                 select job_id from tidewell.outbox
                 where outbox.index_id = lanes.index_id and outbox.lane = lanes.lane and outbox.retrying = kind.retrying
                 order by version limit 1
             ) as first
             join tidewell.jobs on jobs.id = first.job_id
             where lanes.index_id = behind.index_id and backlog > 0
         ) as oldest
         cross join lateral (
             select count(*) filter (where next_retry_at <= clock_timestamp()) as due,
                    count(*) filter (where next_retry_at > clock_timestamp()) as waiting
             from (select next_retry_at from tidewell.outbox
                   where outbox.index_id = behind.index_id and retrying and backlog > 0 limit $1) as failed
         ) as retries
         cross join lateral (
             select count(*)
             from (select from tidewell.dead_letters where dead_letters.index_id = behind.index_id limit $1) as counted
         ) as dead
         order by organization, index",
    )
    .bind(COUNTED_TO)
    .bind(id)
    .fetch_all(pool)
    .await
}

async fn workers(pool: &PgPool) -> Result<Vec<WorkerStatus>, sqlx::Error> {
    sqlx::query_as(
        "select name, backend, breaker, breaker_reason, concurrency, embedding_trouble, ago::float8 as last_seen_seconds_ago, ago < $1 as alive
         from tidewell.workers
         cross join lateral (select extract(epoch from clock_timestamp() - last_seen_at) as ago) as seen
         order by name",
    )
    .bind(ALIVE_FOR_SECONDS)
    .fetch_all(pool)
    .await
}
