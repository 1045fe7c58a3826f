//! Jobs: what became of the documents of one accepted request.

pub mod rows;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::accept::{INDEX_LOCK, order_key, order_lock};

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "jobs.id, jobs.organization_id, organizations.slug as organization_slug, index_id, indexes.slug as index_slug, total, pending, retrying, succeeded, dead,
         superseded, enqueued_at, started_at, finished_at"
    };
}

/// A job with its counts; together they are always `total`.
#[derive(Clone, Debug, FromRow)]
pub struct Job {
    pub id: Uuid,
    pub organization_id: Uuid,
    pub organization_slug: String,
    pub index_id: Uuid,
    pub index_slug: String,
    pub total: i32,
    pub pending: i32,
    pub retrying: i32,
    pub succeeded: i32,
    pub dead: i32,
    pub superseded: i32,
    pub enqueued_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Queued,
    Running,
    /// Every document ended, none of them dead.
    Succeeded,
    /// Every document ended, some of them dead.
    Partial,
    /// Every document that was not superseded is dead.
    Failed,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

impl Job {
    pub fn status(&self) -> Status {
        if self.pending + self.retrying > 0 {
            if self.pending == self.total { Status::Queued } else { Status::Running }
        } else if self.dead == 0 {
            Status::Succeeded
        } else if self.succeeded == 0 {
            Status::Failed
        } else {
            Status::Partial
        }
    }

    /// True once nothing of it waits any more.
    pub fn has_ended(&self) -> bool {
        self.pending + self.retrying == 0
    }
}

/// A job to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
    pub id: Uuid,
    pub organization_id: Uuid,
    pub index_id: Uuid,
    pub request_id: &'a str,
    pub total: i32,
    /// W3C's `traceparent` of what it was accepted in.
    pub trace_parent: Option<&'a str>,
}

/// Joins the index's order, like [`accept::join_order`](super::accept::join_order), writes a new job, all of it pending, and gives the
/// moment it was enqueued at; `None`, and nothing written, where as many rows as `backlog_limit` wait in the index's outbox.
pub async fn insert_if_room(
    conn: &mut PgConnection,
    job: NewJob<'_>,
    backlog_limit: i64,
    alone: bool,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar(concat!(
        "with joined as materialized (select ",
        order_lock!("$7", "$8", "$9"),
        ")
         insert into tidewell.jobs (id, organization_id, index_id, request_id, total, pending, trace_parent)
         select $1, $2, $3, $4, $5, $5, $10 from joined
         where (select sum(accepted) from tidewell.backlogs where index_id = $3)
             - (select sum(settled) from tidewell.lanes where index_id = $3) < $6
         returning enqueued_at"
    ))
    .bind(job.id)
    .bind(job.organization_id)
    .bind(job.index_id)
    .bind(job.request_id)
    .bind(job.total)
    .bind(backlog_limit)
    .bind(alone)
    .bind(INDEX_LOCK)
    .bind(order_key(job.index_id))
    .bind(job.trace_parent)
    .fetch_optional(conn)
    .await
}

/// How a settlement changes the counts of one job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    pub pending: i32,
    pub retrying: i32,
    pub succeeded: i32,
    pub dead: i32,
    pub superseded: i32,
}

/// Applies changes, each job once, and gives how many seconds ago each was enqueued. Jobs are locked in the order of their ids, so that lanes that share jobs can't deadlock.
pub async fn apply(conn: &mut PgConnection, changes: &[(Uuid, Change)]) -> Result<Vec<(Uuid, f64)>, sqlx::Error> {
    if changes.is_empty() {
        return Ok(vec![]);
    }
    let column = |of: fn(&Change) -> i32| changes.iter().map(|(_, change)| of(change)).collect::<Vec<_>>();
    sqlx::query_as(
        "with change as (
             select * from unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[])
                 as change (id, pending, retrying, succeeded, dead, superseded)
         ), locked as materialized (
             select id from tidewell.jobs where id = any($1) order by id for update
         )
         update tidewell.jobs
         set pending = jobs.pending + change.pending,
             retrying = jobs.retrying + change.retrying,
             succeeded = jobs.succeeded + change.succeeded,
             dead = jobs.dead + change.dead,
             superseded = jobs.superseded + change.superseded,
             started_at = coalesce(jobs.started_at, clock_timestamp()),
             finished_at = case when jobs.pending + change.pending + jobs.retrying + change.retrying = 0
                                then clock_timestamp() end
         from locked join change using (id)
         where jobs.id = locked.id
         returning jobs.id, extract(epoch from clock_timestamp() - enqueued_at)::float8",
    )
    .bind(changes.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(column(|change| change.pending))
    .bind(column(|change| change.retrying))
    .bind(column(|change| change.succeeded))
    .bind(column(|change| change.dead))
    .bind(column(|change| change.superseded))
    .fetch_all(conn)
    .await
}

/// The traces that jobs were accepted in, of some of those that have one.
pub async fn trace_parents(pool: &PgPool, ids: &[Uuid], limit: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct trace_parent from tidewell.jobs where id = any($1) and trace_parent is not null limit $2",
    )
    .bind(ids)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// One job.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Job>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        "
         from tidewell.jobs join tidewell.indexes on indexes.id = jobs.index_id
              join tidewell.organizations on organizations.id = jobs.organization_id
         where jobs.id = $1"
    ))
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Which jobs to list; every `None` leaves a condition out.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    pub organization_id: Option<Uuid>,
    pub index_id: Option<Uuid>,
    pub status: Option<Status>,
    /// Only jobs older than this one.
    pub before: Option<Uuid>,
    pub limit: i64,
}

/// Jobs, newest first.
pub async fn list(pool: &PgPool, listing: Listing) -> Result<Vec<Job>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        "
         from tidewell.jobs join tidewell.indexes on indexes.id = jobs.index_id
              join tidewell.organizations on organizations.id = jobs.organization_id
         where ($1::uuid is null or jobs.organization_id = $1)
           and ($2::uuid is null or jobs.index_id = $2)
           and ($3::uuid is null or jobs.id < $3)
           and ($4::text is null or $4 = case
                   when pending = total then 'queued'
                   when pending + retrying > 0 then 'running'
                   when dead = 0 then 'succeeded'
                   when succeeded = 0 then 'failed'
                   else 'partial' end)
         order by jobs.id desc
         limit $5"
    ))
    .bind(listing.organization_id)
    .bind(listing.index_id)
    .bind(listing.before)
    .bind(listing.status.map(Status::name))
    .bind(listing.limit)
    .fetch_all(pool)
    .await
}

/// A document of a job that failed: it waits for a retry, or is dead.
#[derive(Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    pub document_id: Option<String>,
    pub code: String,
    pub message: String,
    /// The dead letter to look at, where the row is dead.
    pub dead_letter_id: Option<Uuid>,
    /// When it is tried again, where it is not.
    pub next_retry_at: Option<DateTime<Utc>>,
}

/// The first failures of a job, dead ones first, 100 at most.
pub async fn failures(pool: &PgPool, id: Uuid, index_id: Uuid) -> Result<Vec<Failure>, sqlx::Error> {
    sqlx::query_as(
        "(select document_id, error_code as code, error_message as message, id as dead_letter_id,
                 null::timestamptz as next_retry_at
          from tidewell.dead_letters where job_id = $1 order by version limit 100)
         union all
         (select document_id, error_code, error_message, null, next_retry_at
          from tidewell.outbox where index_id = $2 and job_id = $1 and retrying order by version limit 100)
         limit 100",
    )
    .bind(id)
    .bind(index_id)
    .fetch_all(pool)
    .await
}
