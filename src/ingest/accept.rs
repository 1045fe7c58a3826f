//! The accepting transaction: quota, rows and wake-ups, all or nothing. Nothing is answered 202 before it has committed.

use std::time::Instant;

use chrono::{DateTime, Utc};
use metrics::{counter, histogram};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tidewell_jobs::{ProjectIndex, ResolveFilterDelete};
use utoipa::ToSchema;
use uuid::Uuid;

use super::turns;
use crate::{
    db::{
        self,
        accept::Row,
        idempotency::Scope,
        index::Index,
        job::NewJob,
        outbox::Operation,
        plan::CapReached,
        quota::{Consumed, Month},
    },
    domain::{
        document::{Document, Rejection},
        lane::lane_of,
    },
    metrics::{ACCEPT_DURATION, ACCEPTED, QUOTA_UNITS, REPLAYS},
    trace,
};

/// A request to write, judged and ready to be made durable.
#[derive(Debug)]
pub struct Write<'a> {
    pub index: &'a Index,
    pub request_id: &'a str,
    pub writes: Writes<'a>,
    /// Documents of the request that are refused, while the others are taken.
    pub rejected: Vec<Rejection>,
    pub idempotency: Option<Idempotency<'a>>,
    /// Rows that may wait in the index's outbox.
    pub backlog_limit: i64,
}

/// What is to be written; never empty.
#[derive(Debug)]
pub enum Writes<'a> {
    Upserts(Vec<Document<'a>>),
    /// Ids.
    Deletes(Vec<&'a str>),
    /// A filter in Typesense's syntax.
    DeleteByFilter(&'a str),
}

/// The key that makes a request safe to repeat.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency<'a> {
    pub scope: Scope<'a>,
    /// SHA-256 of the body.
    pub body_hash: &'a [u8; 32],
}

/// The body of a 202.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    pub job_id: Uuid,
    /// Always `queued`.
    pub status: String,
    /// The index's slug.
    pub index: String,
    pub accepted: usize,
    pub rejected: Vec<Rejection>,
    pub enqueued_at: DateTime<Utc>,
}

/// Why nothing was written.
#[derive(Debug)]
pub enum Refusal {
    BacklogFull,
    /// Another request with this idempotency key is being answered.
    InProgress,
    /// The idempotency key came with another body before.
    Mismatch,
    Quota(Month),
    /// The plan has no room for so many documents.
    Documents(CapReached),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Writes<'_> {
    /// As metrics call it.
    fn operation(&self) -> &'static str {
        match self {
            Self::Upserts(_) => "upsert",
            Self::Deletes(_) => "delete",
            Self::DeleteByFilter(_) => "delete_by_filter",
        }
    }
}

/// Counts documents whose writes have been made durable, each of them a unit.
pub(super) fn count(operation: &'static str, documents: usize, began: Instant) {
    counter!(ACCEPTED.name, "operation" => operation).increment(documents as u64);
    counter!(QUOTA_UNITS.name, "kind" => "write").increment(documents as u64);
    histogram!(ACCEPT_DURATION.name).record(began.elapsed());
}

/// Makes a write durable and wakes who projects it. The month is `None` for the answer to a repeated request, which costs
/// nothing.
#[tracing::instrument(name = "accept", skip_all)]
pub async fn accept(pool: &PgPool, write: Write<'_>) -> Result<(Accepted, Option<Month>), Refusal> {
    let index_id = write.index.id;
    let operation = write.writes.operation();
    let _turn = match write.writes {
        Writes::DeleteByFilter(_) => Some(turns::wait(index_id).await),
        _ => None,
    };
    let began = Instant::now();
    let mut tx = pool.begin().await?;
    let outcome = accept_within(&mut tx, write).await;
    match &outcome {
        Ok((Accepted { job_id, accepted, .. }, Some(_))) => {
            tx.commit().await?;
            count(operation, *accepted, began);
            tracing::info!(%job_id, %index_id, accepted, "accepted");
        }
        Ok((_, None)) => {
            counter!(REPLAYS.name).increment(1);
            tx.rollback().await?;
        }
        // Before the answer: who tries the same key again at once must not find it locked.
        Err(_) => tx.rollback().await?,
    }
    outcome
}

async fn accept_within(conn: &mut PgConnection, write: Write<'_>) -> Result<(Accepted, Option<Month>), Refusal> {
    if let Some(idempotency) = write.idempotency
        && let Some(answer) = repeated(conn, idempotency).await?
    {
        return Ok((answer, None));
    }
    let job_id = Uuid::now_v7();
    let count = match &write.writes {
        Writes::Upserts(documents) => documents.len(),
        Writes::Deletes(ids) => ids.len(),
        Writes::DeleteByFilter(_) => 1,
    };
    let trace_parent = trace::parent();
    let job = new_job(write.index, write.request_id, trace_parent.as_deref(), job_id, count);
    let alone = matches!(write.writes, Writes::DeleteByFilter(_));
    let enqueued_at = open(conn, job, write.backlog_limit, alone).await?;
    insert(conn, &write, job_id).await?;
    let answer = Accepted {
        job_id,
        status: "queued".to_owned(),
        index: write.index.slug.clone(),
        accepted: count,
        rejected: write.rejected,
        enqueued_at,
    };
    if let Some(idempotency) = write.idempotency {
        let response = serde_json::to_value(&answer).map_err(|error| sqlx::Error::Encode(error.into()))?;
        db::idempotency::keep(conn, idempotency.scope, idempotency.body_hash, &response).await?;
    }
    let upserted: Vec<&str> = match &write.writes {
        Writes::Upserts(documents) => documents.iter().map(|document| &*document.id).collect(),
        _ => vec![],
    };
    let month = close(conn, write.index, job, alone, &upserted).await?;
    Ok((answer, Some(month)))
}

pub(super) fn new_job<'a>(
    index: &Index,
    request_id: &'a str,
    trace_parent: Option<&'a str>,
    id: Uuid,
    count: usize,
) -> NewJob<'a> {
    let total = i32::try_from(count).unwrap_or(i32::MAX);
    NewJob { id, organization_id: index.organization_id, index_id: index.id, request_id, total, trace_parent }
}

/// Joins the index's order, makes the job that the rows belong to, if the index's backlog has room, and gives its moment.
pub(super) async fn open(
    conn: &mut PgConnection,
    job: NewJob<'_>,
    backlog_limit: i64,
    alone: bool,
) -> Result<DateTime<Utc>, Refusal> {
    db::job::insert_if_room(conn, job, backlog_limit, alone).await?.ok_or(Refusal::BacklogFull)
}

/// Wakes who projects the rows that wait (none of a write that is `alone`), and counts them, the job's units and, where they are upserts,
/// the documents with these ids: what comes last before the commit.
pub(super) async fn close(
    conn: &mut PgConnection,
    index: &Index,
    job: NewJob<'_>,
    alone: bool,
    upserted: &[&str],
) -> Result<Month, Refusal> {
    if !alone {
        tidewell_jobs::enqueue(conn, &[ProjectIndex { index_id: index.id }]).await?;
    }
    let units = i64::from(job.total);
    let waiting = if alone { 0 } else { units };
    if let Some(month) = db::accept::count(conn, index, waiting, upserted.len() as i64, units).await? {
        return Ok(month);
    }
    let consumed = db::quota::consume(conn, index.organization_id, units, job.id).await?;
    let Consumed::Yes(month) = consumed else { return Err(Refusal::Quota(consumed.month())) };
    if !upserted.is_empty() {
        check_documents(conn, index, upserted).await?;
    }
    Ok(month)
}

/// Refuses documents that the plan has no room for. What waits counts as a document each, this request's among it, unless the record
/// shows that this one replaces it: at the cap, documents can still be changed. The organization is locked, so requests come one by one.
async fn check_documents(conn: &mut PgConnection, index: &Index, ids: &[&str]) -> Result<(), Refusal> {
    let Some(holding) = db::plan::holding(conn, index.organization_id).await? else { return Ok(()) };
    let Some(limit) = holding.max_documents.filter(|limit| holding.documents + holding.waiting > *limit) else {
        return Ok(());
    };
    let known = db::accept::known(conn, index.id, ids).await?;
    match holding.documents + holding.waiting - known > limit {
        true => Err(Refusal::Documents(CapReached { what: "documents", limit, used: holding.documents })),
        false => Ok(()),
    }
}

/// The answer that a request with this key had before.
async fn repeated(conn: &mut PgConnection, idempotency: Idempotency<'_>) -> Result<Option<Accepted>, Refusal> {
    if !db::idempotency::try_lock(conn, idempotency.scope).await? {
        return Err(Refusal::InProgress);
    }
    match db::idempotency::find(conn, idempotency.scope).await? {
        None => Ok(None),
        Some((hash, _)) if hash != idempotency.body_hash => Err(Refusal::Mismatch),
        Some((_, response)) => {
            serde_json::from_value(response).map(Some).map_err(|error| sqlx::Error::Decode(error.into()).into())
        }
    }
}

async fn insert(conn: &mut PgConnection, write: &Write<'_>, job_id: Uuid) -> Result<(), sqlx::Error> {
    let index_id = write.index.id;
    match &write.writes {
        Writes::DeleteByFilter(filter) => {
            let version = db::filter_delete::insert(conn, index_id, job_id, filter).await?;
            tidewell_jobs::enqueue(conn, &[ResolveFilterDelete { index_id, version }]).await
        }
        Writes::Upserts(documents) => {
            let rows = documents.iter().map(|document| (&*document.id, Some(&*document.json)));
            insert_rows(conn, index_id, job_id, Operation::Upsert, rows).await
        }
        Writes::Deletes(ids) => {
            let rows = ids.iter().map(|id| (*id, None));
            insert_rows(conn, index_id, job_id, Operation::Delete, rows).await
        }
    }
}

/// Inserts rows of one operation, each an id and a body.
pub(super) async fn insert_rows<'a>(
    conn: &mut PgConnection,
    index_id: Uuid,
    job_id: Uuid,
    operation: Operation,
    rows: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<(), sqlx::Error> {
    let rows: Vec<Row<'_>> =
        rows.map(|(document_id, body)| Row { lane: lane_of(document_id), document_id, body }).collect();
    db::accept::insert_rows(conn, index_id, job_id, operation, &rows).await
}
