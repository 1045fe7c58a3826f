//! Deletes by filter: each waits until the state is exactly that of the writes before it.

use std::{collections::HashSet, time::Duration};

use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::{lane::Lease, outbox::Operation, settlement::Death};

/// A delete by filter under a lease.
#[derive(Clone, Debug, FromRow)]
pub struct FilterDelete {
    pub index_id: Uuid,
    pub version: i64,
    pub job_id: Uuid,
    pub filter: String,
    pub attempts: i16,
}

/// Writes one and gives its version. The caller holds the index's order alone, so every write of a smaller version is committed.
pub async fn insert(conn: &mut PgConnection, index_id: Uuid, job_id: Uuid, filter: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "insert into tidewell.filter_deletes (index_id, job_id, filter) values ($1, $2, $3) returning version",
    )
    .bind(index_id)
    .bind(job_id)
    .bind(filter)
    .fetch_one(conn)
    .await
}

/// Takes the oldest delete of each index that is due, whose turn it is and that nobody works on.
pub async fn lease(pool: &PgPool, term: Duration) -> Result<Option<FilterDelete>, sqlx::Error> {
    sqlx::query_as(
        "update tidewell.filter_deletes
         set leased_until = clock_timestamp() + make_interval(secs => $1)
         where (index_id, version) = (
             select index_id, version from tidewell.filter_deletes as waiting
             where leased_until < clock_timestamp() and next_retry_at <= clock_timestamp()
               and version = (select min(version) from tidewell.filter_deletes where index_id = waiting.index_id)
               and not exists (select from tidewell.lanes join tidewell.outbox using (index_id, lane)
                               where lanes.index_id = waiting.index_id and not retrying
                                 and outbox.version < waiting.version)
               and not exists (select from tidewell.lanes join tidewell.outbox using (index_id, lane)
                               where lanes.index_id = waiting.index_id and retrying
                                 and next_retry_at <= clock_timestamp() and outbox.version < waiting.version
                                 and operation <> 'delete_if_matches')
             order by next_retry_at limit 1 for update skip locked)
         returning index_id, version, job_id, filter, attempts",
    )
    .bind(term.as_secs_f64())
    .fetch_optional(pool)
    .await
}

/// Ids of which it is not known yet what they hold: a write before the delete has failed and waits for a retry, or a request is in
/// doubt, or a repair is under way.
pub async fn unsettled_ids(conn: &mut PgConnection, delete: &FilterDelete) -> Result<HashSet<String>, sqlx::Error> {
    let ids: Vec<String> = sqlx::query_scalar(
        "select document_id
         from tidewell.lanes join tidewell.outbox using (index_id, lane)
         where lanes.index_id = $1 and retrying and outbox.version < $2
         union
         select document_id
         from tidewell.lanes join tidewell.outbox using (index_id, lane)
         where lanes.index_id = $1 and retrying in (false, true) and operation = 'reproject'
         union
         select unnest(document_ids) from tidewell.flights where index_id = $1",
    )
    .bind(delete.index_id)
    .bind(delete.version)
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().collect())
}

/// Of some documents of leased lanes, those of which it is not known yet what they hold below a version each.
pub async fn unsettled_of(
    pool: &PgPool,
    lease: &Lease,
    documents: &[(&str, i64)],
) -> Result<HashSet<String>, sqlx::Error> {
    let ids: Vec<String> = sqlx::query_scalar(
        "select asked.id
         from unnest($3::text[], $4::bigint[]) as asked (id, version)
         where exists (select from tidewell.outbox
                       where index_id = $1 and lane = any($2) and retrying in (false, true) and document_id = asked.id
                         and (operation = 'reproject'
                              or operation in ('upsert', 'delete')
                                 and coalesce(document_version, outbox.version) < asked.version))
            or exists (select from tidewell.flights where index_id = $1 and asked.id = any(document_ids))",
    )
    .bind(lease.index_id)
    .bind(&lease.lanes)
    .bind(documents.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(documents.iter().map(|(_, version)| *version).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().collect())
}

/// Puts deletions of documents into their lanes, at the version of the delete, and counts them in its job: those that match or,
/// `undecided`, those to be looked at again once their own write has ended. The caller counts them in the backlog.
pub async fn spread(
    conn: &mut PgConnection,
    delete: &FilterDelete,
    documents: &[(i16, String)],
    undecided: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.outbox (index_id, lane, document_version, operation, document_id, job_id, body)
         select $1, lane, $2, $3, document_id, $4, $5
         from unnest($6::smallint[], $7::text[]) as found (lane, document_id)",
    )
    .bind(delete.index_id)
    .bind(delete.version)
    .bind(if undecided { Operation::DeleteIfMatches } else { Operation::Delete })
    .bind(delete.job_id)
    .bind(undecided.then_some(&delete.filter))
    .bind(documents.iter().map(|(lane, _)| *lane).collect::<Vec<_>>())
    .bind(documents.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>())
    .execute(&mut *conn)
    .await?;
    sqlx::query("update tidewell.jobs set total = total + $2, pending = pending + $2 where id = $1")
        .bind(delete.job_id)
        .bind(i32::try_from(documents.len()).unwrap_or(i32::MAX))
        .execute(conn)
        .await
        .map(drop)
}

/// Removes a delete that has been dealt with: the lanes go on beyond it. False where somebody else did so.
pub async fn remove(conn: &mut PgConnection, delete: &FilterDelete) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query("delete from tidewell.filter_deletes where index_id = $1 and version = $2")
        .bind(delete.index_id)
        .bind(delete.version)
        .execute(conn)
        .await?;
    Ok(removed.rows_affected() == 1)
}

/// Lets go of a delete that could not be dealt with; it is due again after `wait`. `attempt`: whether that was its own fault.
pub async fn postpone(pool: &PgPool, delete: &FilterDelete, wait: Duration, attempt: bool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.filter_deletes
         set leased_until = '-infinity', next_retry_at = clock_timestamp() + make_interval(secs => $3),
             attempts = attempts + $4::int, first_failed_at = coalesce(first_failed_at, now())
         where index_id = $1 and version = $2",
    )
    .bind(delete.index_id)
    .bind(delete.version)
    .bind(wait.as_secs_f64())
    .bind(i32::from(attempt))
    .execute(pool)
    .await
    .map(drop)
}

/// Writes a dead letter for a delete whose filter the backend refuses.
pub async fn bury(conn: &mut PgConnection, delete: &FilterDelete, death: &Death) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.dead_letters (id, organization_id, index_id, job_id, operation, version, body,
             error_code, error_message, error_signature, attempts, first_failed_at)
         select $1, organization_id, id, $3, 'delete_by_filter', $4, $5, $6, $7, $8, $9, now()
         from tidewell.indexes where id = $2",
    )
    .bind(death.letter_id)
    .bind(delete.index_id)
    .bind(delete.job_id)
    .bind(delete.version)
    .bind(&delete.filter)
    .bind(&death.code)
    .bind(&death.message)
    .bind(&death.signature)
    .bind(i32::from(delete.attempts) + 1)
    .execute(conn)
    .await
    .map(drop)
}
