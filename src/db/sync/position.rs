//! Where a run stands, so that it goes on from there after a kill.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::state;

/// A run's place in its pass over the source.
#[derive(Clone, Debug, FromRow)]
pub struct Position {
    /// The collection that it writes to.
    pub collection: String,
    pub generation: i64,
    /// The next chunk's.
    pub ordinal: i64,
    /// The last reconciled key.
    pub position: Option<Vec<String>>,
    /// Nothing is left to read.
    pub is_done: bool,
    pub cursor_since: Option<DateTime<Utc>>,
    /// The mapping that it began with.
    pub mapping: String,
}

/// Where a run stands; `None` before its pass has begun.
pub async fn find(pool: &PgPool, run_id: Uuid) -> Result<Option<Position>, sqlx::Error> {
    sqlx::query_as(
        "select collection, generation, ordinal, position, is_done, cursor_since, mapping from tidewell.sync_positions where run_id = $1",
    )
    .bind(run_id)
    .fetch_optional(pool)
    .await
}

/// Begins a pass, with a generation of its own.
pub async fn begin(
    conn: &mut PgConnection,
    run_id: Uuid,
    job_id: Uuid,
    collection: &str,
    cursor_since: Option<DateTime<Utc>>,
    mapping: &str,
) -> Result<Position, sqlx::Error> {
    sqlx::query_as(
        "with next as (
             update tidewell.sync_states set generation = generation + 1 where job_id = $2 returning generation
         )
         insert into tidewell.sync_positions (run_id, collection, generation, cursor_since, mapping)
         select $1, $3, generation, $4, $5 from next
         on conflict (run_id) do update
         set collection = excluded.collection, generation = excluded.generation, ordinal = 0, position = null, is_done = false,
             cursor_since = excluded.cursor_since, mapping = excluded.mapping
         returning collection, generation, ordinal, position, is_done, cursor_since, mapping",
    )
    .bind(run_id)
    .bind(job_id)
    .bind(collection)
    .bind(cursor_since)
    .bind(mapping)
    .fetch_one(conn)
    .await
}

/// Forgets where an ended run stood; unless it wrote to a collection that did not become the job's: that has to be removed first.
pub async fn end(conn: &mut PgConnection, run_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from tidewell.sync_positions as position
         using public.typesense_sync_runs as run
         join tidewell.sync_states as state on state.job_id = run.job_id
         where position.run_id = $1 and run.id = $1 and position.collection = state.collection",
    )
    .bind(run_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Collections that runs of a job had begun and did not complete.
pub async fn leftovers(pool: &PgPool, job_id: Uuid) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct position.collection
         from tidewell.sync_positions as position
         join public.typesense_sync_runs as run on run.id = position.run_id
         join tidewell.sync_states as state on state.job_id = run.job_id
         where run.job_id = $1 and run.finished_at is not null
           and position.collection is distinct from state.collection
           and position.collection is distinct from state.previous_collection",
    )
    .bind(job_id)
    .fetch_all(pool)
    .await
}

/// Forgets such a collection, with all that is known of it.
pub async fn forget_leftover(conn: &mut PgConnection, job_id: Uuid, collection: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from tidewell.sync_positions as position using public.typesense_sync_runs as run
         where run.id = position.run_id and run.job_id = $1 and run.finished_at is not null and position.collection = $2",
    )
    .bind(job_id)
    .bind(collection)
    .execute(&mut *conn)
    .await?;
    state::forget(conn, job_id, collection).await
}
