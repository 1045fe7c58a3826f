//! The database after an older backup of it was restored: what it must forget, and what it must not do again.
//!
//! Typesense then holds what was projected after the backup, under versions that this database has not drawn yet.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// More versions than anybody can have drawn since a backup; a million restores fit into the numbers that JSON carries exactly.
const AHEAD: i64 = 1 << 32;

/// Goes ahead of every version that was drawn after the backup, so that none is given to another write.
pub async fn skip_versions(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select setval('tidewell.versions', nextval('tidewell.versions') + $1)")
        .bind(AHEAD)
        .execute(conn)
        .await
        .map(drop)
}

/// Takes the requests that were under way when the backup was made, as the ids that each carried: none of them can be alive.
pub async fn take_flights(conn: &mut PgConnection) -> Result<Vec<(Uuid, Vec<String>)>, sqlx::Error> {
    sqlx::query_as("delete from tidewell.flights returning index_id, document_ids").fetch_all(conn).await
}

/// Gives up what rests on collections that are not the live ones: nobody knows what was done to them after the backup. Reindexes under
/// way are cancelled, and versions that were kept for a rollback are let go of.
pub async fn give_up_versions(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.reindexes set cancel_requested = true, next_try_at = now() where status in ('queued', 'running')")
        .execute(&mut *conn)
        .await?;
    sqlx::query("update tidewell.index_versions set state = 'dropping' where state = 'retired'")
        .execute(conn)
        .await
        .map(drop)
}

/// Has every table compared anew: what changed after the backup, the source's log does not tell again.
pub async fn compare_tables(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.sync_states set live_slot = null").execute(&mut *conn).await?;
    sqlx::query(
        "update public.typesense_sync_jobs set next_sync_at = now()
         where enabled and auto_sync_enabled and mode = 'scheduled'",
    )
    .execute(conn)
    .await
    .map(drop)
}

/// An index, and the collections of it that this database knows.
pub async fn indexes(pool: &PgPool) -> Result<Vec<(Uuid, String, Vec<String>)>, sqlx::Error> {
    sqlx::query_as(
        "select indexes.id, alias, array_agg(version.collection)
         from tidewell.indexes join tidewell.index_versions as version on version.index_id = indexes.id
         where state <> 'dropped'
         group by indexes.id, alias order by alias",
    )
    .fetch_all(pool)
    .await
}
