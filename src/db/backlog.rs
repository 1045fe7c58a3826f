//! How much of an index waits: counters instead of a count, so that asking costs the same at any size.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Rows that an index's counter is spread over. A connection always uses the same one: few of them share any.
pub(super) const SLOTS: i32 = 16;

/// Counts rows that come into an index's outbox. After the wake-ups, as everywhere: a slot stays locked until the transaction ends,
/// and two orders would deadlock.
pub async fn add(conn: &mut PgConnection, index_id: Uuid, rows: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.backlogs set accepted = accepted + $3
         where index_id = $1 and slot = (select pg_backend_pid() % $2)",
    )
    .bind(index_id)
    .bind(SLOTS)
    .bind(rows)
    .execute(conn)
    .await
    .map(drop)
}

/// True of an index that has never accepted a row.
pub async fn is_untouched(pool: &PgPool, index_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select sum(accepted) = 0 from tidewell.backlogs where index_id = $1")
        .bind(index_id)
        .fetch_one(pool)
        .await
}
