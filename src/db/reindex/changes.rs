//! What has changed in the record since a version that is not live was given it.

use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

/// A document whose record has changed, as it is now.
#[derive(Debug, FromRow)]
pub struct Changed {
    pub document_id: String,
    /// Of the change that is listed.
    pub listed: i64,
    /// The record's version; 0 where there is no record any more.
    pub version: i64,
    /// `None`: there is no such document.
    pub body: Option<String>,
}

/// How many documents have changed.
pub async fn count(conn: &mut PgConnection, index_id: Uuid, number: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from tidewell.version_changes where index_id = $1 and number = $2")
        .bind(index_id)
        .bind(number)
        .fetch_one(conn)
        .await
}

/// The next of them, behind `after` in the order of their ids: `max_rows` at most, and as many as have `max_bytes` of bodies.
pub async fn read(
    pool: &PgPool,
    (index_id, number): (Uuid, i32),
    after: &str,
    max_rows: i64,
    max_bytes: i64,
) -> Result<Vec<Changed>, sqlx::Error> {
    sqlx::query_as(
        "with next as (
             select document_id, document_version from tidewell.version_changes
             where index_id = $1 and number = $2 and document_id > $3
             order by document_id limit $4
         ), measured as (
             select next.document_id, document_version as listed, coalesce(record.version, 0) as version, record.body,
                    sum(coalesce(octet_length(record.body), 0)) over (order by next.document_id)
                        - coalesce(octet_length(record.body), 0) as bytes_before
             from next
             left join lateral (
                 select version, body from tidewell.documents
                 where index_id = $1 and document_id = next.document_id limit 1) as record on true
         )
         select document_id, listed, version, body from measured where bytes_before < $5 order by document_id",
    )
    .bind(index_id)
    .bind(number)
    .bind(after)
    .bind(max_rows)
    .bind(max_bytes)
    .fetch_all(pool)
    .await
}

/// Strikes changes off the list, unless the document has changed again. One that a settlement holds is changing: waiting for it would
/// be in vain, and can't be, for the settlement may wait for another one that is struck here.
pub async fn strike(
    conn: &mut PgConnection,
    (index_id, number): (Uuid, i32),
    changed: &[Changed],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with struck as materialized (
             select document_id
             from tidewell.version_changes
             join unnest($3::text[], $4::bigint[]) as taken (id, listed) on taken.id = document_id
             where index_id = $1 and number = $2 and document_version = taken.listed
             for update of version_changes skip locked
         )
         delete from tidewell.version_changes using struck
         where index_id = $1 and number = $2 and version_changes.document_id = struck.document_id",
    )
    .bind(index_id)
    .bind(number)
    .bind(changed.iter().map(|change| change.document_id.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|change| change.listed).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

/// Lists documents whatever their record says: it is not known what the version holds of them.
pub async fn add(
    conn: &mut PgConnection,
    (index_id, number): (Uuid, i32),
    document_ids: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.version_changes (index_id, number, document_id, document_version)
         -- In the order in which settlements list them.
         select distinct $1::uuid, $2::int, id collate \"C\", 0 from unnest($3::text[]) as doubted (id) order by 3
         on conflict (index_id, number, document_id) do nothing",
    )
    .bind(index_id)
    .bind(number)
    .bind(document_ids)
    .execute(conn)
    .await
    .map(drop)
}
