//! Asking for a reindex, a rollback, or the end of either: judged and made durable in one transaction, with the wake-up of a worker.

use std::fmt;

use sqlx::{PgConnection, PgPool};
use tidewell_jobs::RunReindex;
use uuid::Uuid;

use super::wish::{Wish, only_adds_optional_fields};
use crate::{
    db::{
        self,
        dead_letter::Actor,
        index::Index,
        quota::{Consumed, Month},
        reindex::{Kind, NewReindex, Reindex, Schema},
        version::{State, Version},
    },
    domain::fields::FieldFault,
};

/// Why nothing was queued.
#[derive(Debug)]
pub enum Refusal {
    /// The index is gone.
    NoIndex,
    /// What is wrong with the schema, by place.
    Faults(Vec<FieldFault>),
    /// This one has not ended.
    UnderWay(Reindex),
    /// No version that was live before is kept.
    NoneBefore,
    /// The version can't be rolled back to: it is in this state, or there is none of this number.
    NotKept(i32, Option<State>),
    /// The plan has no room for a unit a document.
    Quota(Month),
    Database(sqlx::Error),
}

/// In words for whoever asked, whichever the door.
impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIndex => write!(to, "there is no such index"),
            Self::Faults(faults) => {
                let faults: Vec<_> = faults.iter().map(|fault| format!("{} {}", fault.place, fault.message)).collect();
                write!(to, "the schema can't be taken: {}", faults.join("; "))
            }
            Self::UnderWay(reindex) => {
                write!(to, "the job {} of this index has not ended: wait for it, or cancel it", reindex.id)
            }
            Self::NoneBefore => write!(to, "no version that was live before is kept: there is nothing to roll back to"),
            Self::NotKept(number, None) => write!(to, "there is no version {number}"),
            Self::NotKept(number, Some(State::Live)) => write!(to, "the version {number} is the live one"),
            Self::NotKept(number, Some(_)) => write!(
                to,
                "the version {number} is not kept: reindex with its schema, which the list of versions shows"
            ),
            Self::Quota(month) => write!(
                to,
                "it costs a unit a document, and the plan has no room: {} of {} units of this month are used",
                month.used,
                month.limit.unwrap_or(i64::MAX),
            ),
            Self::Database(error) => error.fmt(to),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Queues a reindex. One that builds a new version costs a unit for each document of the record, and gives the month that they were
/// taken of; one that adds fields to the live version costs nothing.
pub async fn reindex(
    pool: &PgPool,
    index_id: Uuid,
    wish: Wish,
    actor: Actor<'_>,
) -> Result<(Reindex, Option<Month>), Refusal> {
    let mut tx = pool.begin().await?;
    let index = claim(&mut tx, index_id).await?;
    let (rebuild, max_refused) = (wish.rebuild, wish.max_refused);
    let schema = wish.schema(&index).map_err(Refusal::Faults)?;
    let new = new(&index, max_refused.map(i64::from), actor);
    let queued = if !rebuild && only_adds_optional_fields(&Schema::of(&index), &schema) {
        db::reindex::queue_in_place(&mut tx, new, &schema.fields).await?
    } else {
        db::reindex::queue_new_version(&mut tx, new, &schema).await?
    };
    wake(&mut tx, &queued).await?;
    let month = consume(&mut tx, &queued).await?;
    tx.commit().await?;
    tell(&queued);
    Ok((queued, month))
}

/// Queues a rollback: to the version of this number, or to the one that was live before. It is free, and takes the version as it is:
/// documents that it refuses become dead letters, however many.
pub async fn roll_back(
    pool: &PgPool,
    index_id: Uuid,
    number: Option<i32>,
    actor: Actor<'_>,
) -> Result<Reindex, Refusal> {
    let mut tx = pool.begin().await?;
    let index = claim(&mut tx, index_id).await?;
    let former = former(&mut tx, index_id, number).await?;
    let queued = db::reindex::queue_rollback(&mut tx, new(&index, None, actor), former.number).await?;
    // It may have been let go of just now.
    let queued = queued.ok_or(Refusal::NotKept(former.number, Some(State::Dropping)))?;
    wake(&mut tx, &queued).await?;
    tx.commit().await?;
    tell(&queued);
    Ok(queued)
}

/// Asks for the end of what is under way on an index; `None` where nothing is. A worker ends it.
pub async fn cancel(pool: &PgPool, index_id: Uuid) -> Result<Option<Reindex>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let cancelled = db::reindex::cancel(&mut tx, index_id).await?;
    if let Some(reindex) = &cancelled {
        wake(&mut tx, reindex).await?;
    }
    tx.commit().await?;
    Ok(cancelled)
}

/// The index as it is and will be until the transaction ends. Who asks at the same time waits here, and a swap that is about to change
/// the index is still under way to the look that follows.
async fn claim(conn: &mut PgConnection, index_id: Uuid) -> Result<Index, Refusal> {
    let index = db::index::lock(conn, index_id).await?.ok_or(Refusal::NoIndex)?;
    match db::reindex::under_way(conn, index_id).await? {
        Some(reindex) => Err(Refusal::UnderWay(reindex)),
        None => Ok(index),
    }
}

/// The version to roll back to.
async fn former(conn: &mut PgConnection, index_id: Uuid, number: Option<i32>) -> Result<Version, Refusal> {
    let Some(number) = number else {
        return db::version::previous(conn, index_id).await?.ok_or(Refusal::NoneBefore);
    };
    match db::version::find(conn, index_id, number).await? {
        Some(version) if version.state == State::Retired => Ok(version),
        found => Err(Refusal::NotKept(number, found.map(|version| version.state))),
    }
}

fn new<'a>(index: &'a Index, max_refused: Option<i64>, actor: Actor<'a>) -> NewReindex<'a> {
    let Actor { name: requested_by, request_id } = actor;
    NewReindex { id: Uuid::now_v7(), index, max_refused, requested_by, request_id }
}

async fn wake(conn: &mut PgConnection, reindex: &Reindex) -> Result<(), sqlx::Error> {
    tidewell_jobs::enqueue(conn, &[RunReindex { reindex_id: reindex.id }]).await
}

/// What comes last before the commit, as of every write.
async fn consume(conn: &mut PgConnection, reindex: &Reindex) -> Result<Option<Month>, Refusal> {
    if reindex.kind != Kind::Reindex || reindex.total == 0 {
        return Ok(None);
    }
    match db::quota::consume(conn, reindex.organization_id, reindex.total, reindex.id).await? {
        Consumed::Yes(month) => Ok(Some(month)),
        Consumed::QuotaExceeded(month) => Err(Refusal::Quota(month)),
    }
}

fn tell(reindex: &Reindex) {
    tracing::info!(job_id = %reindex.id, index_id = %reindex.index_id, kind = ?reindex.kind, version = reindex.number, "queued a reindex");
}
