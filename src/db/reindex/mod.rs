//! How a version of an index becomes the live one: filled from the record, kept up with what changes, put in place.

pub mod changes;
pub mod flight;
pub mod lease;
pub mod listing;
pub mod record;
pub mod refusal;
pub mod swap;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::index::Index;
use crate::domain::embedding::Embedding;

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "id, organization_id, index_id, kind, number, fields, max_refused, status, phase, cancel_requested, total, done, refused,
         position, error, requested_by, enqueued_at, started_at, finished_at,
         extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at)::double precision as seconds"
    };
}
use columns;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = ReindexKind)]
pub enum Kind {
    /// A new version is filled.
    Reindex,
    /// A former version is brought up to date.
    Rollback,
    /// Fields are added to the live version.
    InPlace,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = ReindexPhase)]
pub enum Phase {
    Waiting,
    /// The record is copied.
    Building,
    /// What has changed meanwhile is written.
    CatchingUp,
    /// Lanes are held, for a moment.
    Swapping,
    Done,
}

/// How it stands, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
#[schema(as = ReindexStatus)]
pub enum Status {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// One of them, as stored.
#[derive(Clone, Debug, FromRow)]
pub struct Reindex {
    /// Also the id of the job that its caller was told.
    pub id: Uuid,
    pub organization_id: Uuid,
    pub index_id: Uuid,
    pub kind: Kind,
    /// The version that is to be live.
    pub number: i32,
    /// What a change in place is to leave.
    pub fields: Option<Json<Vec<serde_json::Value>>>,
    /// How many documents may be refused; `None`: any number.
    pub max_refused: Option<i64>,
    pub status: Status,
    pub phase: Phase,
    pub cancel_requested: bool,
    /// Documents to be written, about.
    pub total: i64,
    pub done: i64,
    pub refused: i64,
    /// The id behind which the record has not been copied yet; `None`: all of it is.
    pub position: Option<String>,
    /// Why it failed, or what it waits for.
    pub error: Option<String>,
    pub requested_by: String,
    pub enqueued_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// For how long it has been under way.
    pub seconds: Option<f64>,
}

impl Reindex {
    pub fn has_ended(&self) -> bool {
        !matches!(self.status, Status::Queued | Status::Running)
    }

    /// How much of it is done, from 0 to 1.
    pub fn progress(&self) -> f64 {
        match (self.status, self.total) {
            (Status::Succeeded, _) => 1.0,
            (_, 0) => 0.0,
            (_, total) => (self.done as f64 / total as f64).clamp(0.0, 1.0),
        }
    }

    /// Seconds until it will be done, by how fast it has been; `None` where that can't be told.
    pub fn eta_seconds(&self) -> Option<f64> {
        let seconds = self.seconds.filter(|_| self.status == Status::Running && self.done > 0)?;
        Some(seconds / self.done as f64 * (self.total - self.done).max(0) as f64)
    }
}

/// One that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct NewReindex<'a> {
    pub id: Uuid,
    pub index: &'a Index,
    pub max_refused: Option<i64>,
    /// Who asks, for the record.
    pub requested_by: &'a str,
    pub request_id: &'a str,
}

/// The schema of a new version.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub fields: Vec<serde_json::Value>,
    pub default_sorting_field: Option<String>,
    pub embedding: Option<Embedding>,
}

impl Schema {
    /// The one that the index has.
    pub fn of(index: &Index) -> Self {
        Self {
            fields: index.fields.0.clone(),
            default_sorting_field: index.default_sorting_field.clone(),
            embedding: index.embedding.as_ref().map(|embedding| embedding.0.clone()),
        }
    }
}

/// Asks for a new version of this schema, filled from the record: `total` documents. What changes from the commit on is listed for
/// it, for no settlement is under way while the lanes are locked. Breaks the constraint `reindexes_under_way` where the index has one
/// that has not ended.
pub async fn queue_new_version(
    conn: &mut PgConnection,
    new: NewReindex<'_>,
    schema: &Schema,
) -> Result<Reindex, sqlx::Error> {
    super::lane::lock_all(conn, new.index.id).await?;
    let number: i32 = sqlx::query_scalar(
        "insert into tidewell.index_versions
             (index_id, number, collection, fields, default_sorting_field, embedding, state)
         select $1, last.number + 1, $2 || '_v' || last.number + 1, $3, $4, $5, 'building'
         from (select max(number) as number from tidewell.index_versions where index_id = $1) as last
         returning number",
    )
    .bind(new.index.id)
    .bind(&new.index.alias)
    .bind(Json(&schema.fields))
    .bind(&schema.default_sorting_field)
    .bind(schema.embedding.as_ref().map(Json))
    .fetch_one(&mut *conn)
    .await?;
    let total = record::count(conn, new.index.id).await?;
    insert(conn, new, Kind::Reindex, number, None, Some(""), total).await
}

/// Asks for a former version to be live again; `None` where it is not kept any more.
pub async fn queue_rollback(
    conn: &mut PgConnection,
    new: NewReindex<'_>,
    number: i32,
) -> Result<Option<Reindex>, sqlx::Error> {
    // Its time begins anew, so that it is not let go of just now.
    let kept = sqlx::query(
        "update tidewell.index_versions set retired_at = now() where index_id = $1 and number = $2 and state = 'retired'",
    )
    .bind(new.index.id)
    .bind(number)
    .execute(&mut *conn)
    .await?;
    if kept.rows_affected() == 0 {
        return Ok(None);
    }
    let total = changes::count(conn, new.index.id, number).await?;
    insert(conn, new, Kind::Rollback, number, None, None, total).await.map(Some)
}

/// Asks for the live version to have these fields, some of them new.
pub async fn queue_in_place(
    conn: &mut PgConnection,
    new: NewReindex<'_>,
    fields: &[serde_json::Value],
) -> Result<Reindex, sqlx::Error> {
    insert(conn, new, Kind::InPlace, new.index.version, Some(fields), None, 0).await
}

async fn insert(
    conn: &mut PgConnection,
    new: NewReindex<'_>,
    kind: Kind,
    number: i32,
    fields: Option<&[serde_json::Value]>,
    position: Option<&str>,
    total: i64,
) -> Result<Reindex, sqlx::Error> {
    sqlx::query_as(concat!(
        "insert into tidewell.reindexes
             (id, organization_id, index_id, kind, number, fields, max_refused, total, position, requested_by, request_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         returning ",
        columns!()
    ))
    .bind(new.id)
    .bind(new.index.organization_id)
    .bind(new.index.id)
    .bind(kind)
    .bind(number)
    .bind(fields.map(Json))
    .bind(new.max_refused)
    .bind(total)
    .bind(position)
    .bind(new.requested_by)
    .bind(new.request_id)
    .fetch_one(conn)
    .await
}

/// One, by its id.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Reindex>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from tidewell.reindexes where id = $1"))
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// The last one of each of these versions of an index.
pub async fn of_versions(pool: &PgPool, index_id: Uuid, numbers: &[i32]) -> Result<Vec<Reindex>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select distinct on (number) ",
        columns!(),
        " from tidewell.reindexes where index_id = $1 and number = any($2) order by number, id desc"
    ))
    .bind(index_id)
    .bind(numbers)
    .fetch_all(pool)
    .await
}

/// The one that has not ended on an index.
pub async fn under_way(conn: &mut PgConnection, index_id: Uuid) -> Result<Option<Reindex>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from tidewell.reindexes where index_id = $1 and status in ('queued', 'running')"
    ))
    .bind(index_id)
    .fetch_optional(conn)
    .await
}

/// Asks for the end of what is under way on an index; `None` where nothing is.
pub async fn cancel(conn: &mut PgConnection, index_id: Uuid) -> Result<Option<Reindex>, sqlx::Error> {
    sqlx::query_as(concat!(
        "update tidewell.reindexes set cancel_requested = true, next_try_at = clock_timestamp()
         where index_id = $1 and status in ('queued', 'running') returning ",
        columns!()
    ))
    .bind(index_id)
    .fetch_optional(conn)
    .await
}
