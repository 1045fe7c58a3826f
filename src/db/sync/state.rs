//! What a job stands on: its collections, and the mapping they were made by.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool, types::Json};
use uuid::Uuid;

use crate::embed::Fingerprint;

/// A job's state.
#[derive(Clone, Debug, FromRow)]
pub struct State {
    /// Where the collections are.
    pub backend: Option<String>,
    /// The collection that holds the documents; `None` until it is made.
    pub collection: Option<String>,
    /// The one before it.
    pub previous_collection: Option<String>,
    /// Made by Tidewell for this job alone.
    pub owns_collection: bool,
    pub mapping: Option<String>,
    /// Of the vectors in the collection, if its documents have some.
    pub fingerprint: Option<Json<Value>>,
    pub generation: i64,
    pub cursor_since: Option<DateTime<Utc>>,
    /// The last number that a collection was given; none is given twice.
    pub last_number: i64,
}

impl State {
    /// What of it is true of a backend: of collections elsewhere nothing is.
    pub fn at(mut self, backend: &str) -> Self {
        if self.backend.as_deref() != Some(backend) {
            (self.collection, self.previous_collection) = (None, None);
        }
        self
    }
}

/// The state of a job; `None` before anybody has worked on it.
pub async fn find(pool: &PgPool, job_id: Uuid) -> Result<Option<State>, sqlx::Error> {
    sqlx::query_as(
        "select backend, collection, previous_collection, owns_collection, mapping, fingerprint, generation, cursor_since,
                last_number
         from tidewell.sync_states where job_id = $1",
    )
    .bind(job_id)
    .fetch_optional(pool)
    .await
}

/// Notes that documents go into this collection from now on. What an earlier one of this name held is forgotten.
pub async fn set_collection(
    conn: &mut PgConnection,
    job_id: Uuid,
    backend: &str,
    collection: &str,
    owns_collection: bool,
    mapping: &str,
    fingerprint: Option<&Fingerprint>,
) -> Result<(), sqlx::Error> {
    forget(&mut *conn, job_id, collection).await?;
    sqlx::query(
        "update tidewell.sync_states
         set collection = $2, owns_collection = $3, mapping = $4, cursor_since = null, backend = $5, fingerprint = $6
         where job_id = $1",
    )
    .bind(job_id)
    .bind(collection)
    .bind(owns_collection)
    .bind(mapping)
    .bind(backend)
    .bind(fingerprint.map(Json))
    .execute(conn)
    .await
    .map(drop)
}

/// Notes that a collection was given this number.
pub async fn note_number(conn: &mut PgConnection, job_id: Uuid, number: i64) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.sync_states set last_number = greatest(last_number, $2) where job_id = $1")
        .bind(job_id)
        .bind(number)
        .execute(conn)
        .await
        .map(drop)
}

/// Notes that a new collection has taken the old one's place, which is kept.
pub async fn swap(
    conn: &mut PgConnection,
    job_id: Uuid,
    backend: &str,
    collection: &str,
    mapping: &str,
    fingerprint: Option<&Fingerprint>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.sync_states
         set previous_collection = case when backend = $4 then collection end, previous_mapping = mapping,
             previous_fingerprint = fingerprint, collection = $2, owns_collection = true, mapping = $3, fingerprint = $5,
             backend = $4
         where job_id = $1 and (collection, backend) is distinct from ($2, $4)",
    )
    .bind(job_id)
    .bind(collection)
    .bind(mapping)
    .bind(backend)
    .bind(fingerprint.map(Json))
    .execute(conn)
    .await
    .map(drop)
}

/// Notes that the collection before is the one again, with the mapping that it was made by. The schedule is switched off: the next run
/// would undo it.
pub async fn roll_back(conn: &mut PgConnection, job_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.sync_states
         set collection = previous_collection, previous_collection = collection, mapping = previous_mapping,
             previous_mapping = mapping, fingerprint = previous_fingerprint, previous_fingerprint = fingerprint, cursor_since = null, repair_at = null
         where job_id = $1 and previous_collection is not null",
    )
    .bind(job_id)
    .execute(&mut *conn)
    .await?;
    sqlx::query("update public.typesense_sync_jobs set auto_sync_enabled = false where id = $1")
        .bind(job_id)
        .execute(conn)
        .await
        .map(drop)
}

/// The collection of a job, if there is one yet. Until the transaction ends no run of the job settles or ends: one that was about to has
/// ended before, and is followed by another, or finds what is marked.
///
/// In the order in which a run settles and a job is deleted: what is known of the job, the job, its letters.
pub async fn join_runs(conn: &mut PgConnection, job_id: Uuid) -> Result<Option<String>, sqlx::Error> {
    let collection: Option<Option<String>> =
        sqlx::query_scalar("select collection from tidewell.sync_states where job_id = $1 for no key update")
            .bind(job_id)
            .fetch_optional(&mut *conn)
            .await?;
    sqlx::query("select from public.typesense_sync_jobs where id = $1 for key share")
        .bind(job_id)
        .execute(conn)
        .await?;
    Ok(collection.flatten())
}

/// A run that has read everything looks at nothing any more: the job is due as soon as it has ended.
pub async fn make_due_after_pass(conn: &mut PgConnection, job_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.sync_states set repair_at = clock_timestamp()
         where job_id = $1
           and exists (select from tidewell.sync_positions as position
                       join public.typesense_sync_runs as run on run.id = position.run_id
                       where run.job_id = $1 and position.is_done)",
    )
    .bind(job_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Forgets what is known of the documents in a collection.
pub async fn forget(conn: &mut PgConnection, job_id: Uuid, collection: &str) -> Result<(), sqlx::Error> {
    for statement in [
        "delete from tidewell.sync_chunks where job_id = $1 and collection = $2",
        "delete from tidewell.sync_overlay where job_id = $1 and collection = $2",
        "delete from tidewell.sync_flights where job_id = $1 and collection = $2",
    ] {
        sqlx::query(statement).bind(job_id).bind(collection).execute(&mut *conn).await?;
    }
    Ok(())
}
