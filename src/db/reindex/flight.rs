//! Requests to the collection of a version that is being made live: written down before they are sent.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Reindex, changes, lease::Lease};

/// Writes down which documents a request is about to change. Committed before it is sent, always; `None` where the lease is lost.
pub async fn open(
    pool: &PgPool,
    lease: Lease,
    (index_id, number): (Uuid, i32),
    document_ids: &[&str],
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "insert into tidewell.version_flights (id, index_id, number, fence, document_ids)
         select $1, $2, $3, fence, $5 from tidewell.reindexes
         where id = $4 and fence = $6 and status = 'running' and leased_until > clock_timestamp() for update
         returning id",
    )
    .bind(Uuid::now_v7())
    .bind(index_id)
    .bind(number)
    .bind(lease.id)
    .bind(document_ids)
    .bind(lease.fence)
    .fetch_optional(pool)
    .await
}

/// Forgets a flight: its request was answered in full.
pub async fn close(conn: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from tidewell.version_flights where id = $1").bind(id).execute(conn).await.map(drop)
}

/// A request of a flight that is settled was not answered in full: it may take effect as long as `doubt`.
pub async fn doubt(conn: &mut PgConnection, id: Uuid, doubt: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.version_flights set doubted_until = clock_timestamp() + make_interval(secs => $2) where id = $1",
    )
    .bind(id)
    .bind(doubt.as_secs_f64())
    .execute(conn)
    .await
    .map(drop)
}

/// Whatever is under way by now was sent by holders that are gone.
pub(super) async fn doubt_all(conn: &mut PgConnection, reindex: &Reindex, doubt: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.version_flights set doubted_until = clock_timestamp() + make_interval(secs => $3)
         where index_id = $1 and number = $2 and doubted_until = 'infinity'",
    )
    .bind(reindex.index_id)
    .bind(reindex.number)
    .bind(doubt.as_secs_f64())
    .execute(conn)
    .await
    .map(drop)
}

/// Whether requests to a version are open or in doubt.
pub async fn is_any_left(pool: &PgPool, (index_id, number): (Uuid, i32)) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from tidewell.version_flights where index_id = $1 and number = $2)")
        .bind(index_id)
        .bind(number)
        .fetch_one(pool)
        .await
}

/// What is in doubt about a version.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    /// Some of it has ended: what it was about is to be written again.
    pub has_ended: bool,
    /// Seconds until the last of the others ends; `None` where there are no others.
    pub lasts: Option<f64>,
}

/// Lists the documents of requests that can't be alive any more as changed, so that they are written again. The caller renews the lease in
/// the same transaction: what a former holder listed could meet a change of the same document that its successor has just written, and be
/// struck off with it.
pub async fn outlive(conn: &mut PgConnection, version: (Uuid, i32)) -> Result<Doubt, sqlx::Error> {
    let outlived: Vec<Vec<String>> = sqlx::query_scalar(
        "delete from tidewell.version_flights
         where index_id = $1 and number = $2 and doubted_until <= clock_timestamp() returning document_ids",
    )
    .bind(version.0)
    .bind(version.1)
    .fetch_all(&mut *conn)
    .await?;
    if !outlived.is_empty() {
        changes::add(&mut *conn, version, &outlived.concat()).await?;
    }
    let lasts = sqlx::query_scalar(
        "select extract(epoch from max(doubted_until) - clock_timestamp())::double precision
         from tidewell.version_flights
         where index_id = $1 and number = $2 and doubted_until < 'infinity'",
    )
    .bind(version.0)
    .bind(version.1)
    .fetch_one(conn)
    .await?;
    Ok(Doubt { has_ended: !outlived.is_empty(), lasts })
}
