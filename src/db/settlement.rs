//! How a batch of lanes ended: rows move into the record, to where they wait for a retry, or to the dead letters.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

/// A row that failed and is to be tried again.
#[derive(Debug)]
pub struct Retry {
    pub version: i64,
    pub wait: Duration,
    /// Whether this spends one of the row's attempts.
    pub attempt: bool,
    pub code: String,
    pub message: String,
}

/// A row that failed for good.
#[derive(Debug)]
pub struct Death {
    /// The id of the dead letter that it becomes.
    pub letter_id: Uuid,
    pub version: i64,
    pub code: String,
    pub message: String,
    pub signature: String,
}

/// What became of a batch's rows. All of them are of one kind: fresh, or retrying.
#[derive(Debug, Default)]
pub struct Settlement {
    pub retrying: bool,
    /// Rows whose effect Typesense has confirmed.
    pub projected: Vec<i64>,
    /// Rows that ended without effect, overtaken by a newer one.
    pub superseded: Vec<i64>,
    pub retries: Vec<Retry>,
    pub deaths: Vec<Death>,
}

impl Settlement {
    /// Rows that leave the outbox.
    pub fn settled(&self) -> usize {
        self.projected.len() + self.superseded.len() + self.deaths.len()
    }
}

/// Moves projected rows into the record, lists their documents for versions that are not live, and moves the others to where they wait or rest. The caller renews the lease in the same
/// transaction, which is what fences this, and counts the repairs that were asked for in the backlog: gives their number.
pub async fn settle(
    conn: &mut PgConnection,
    index_id: Uuid,
    lanes: &[i16],
    settlement: &Settlement,
) -> Result<i64, sqlx::Error> {
    if !settlement.projected.is_empty() {
        sqlx::query(
            "with projected as (
                 delete from tidewell.outbox
                 where index_id = $1 and lane = any($2) and retrying = $3 and version = any($4)
                 returning document_id, coalesce(document_version, version) as version, operation, body
             ), counted as (
                 update tidewell.lanes
                 set documents = lanes.documents + (
                     select coalesce(sum((operation = 'upsert')::int - (recorded.body is not null)::int), 0)
                     from projected
                     left join lateral (
                         select version, body from tidewell.documents
                         where index_id = $1 and document_id = projected.document_id limit 1) as recorded on true
                     where operation <> 'reproject' and projected.version > coalesce(recorded.version, 0))
                 -- Of all lanes together: only their sum is asked for.
                 where index_id = $1 and lane = ($2::smallint[])[1]
             ), listed as (
                 insert into tidewell.version_changes (index_id, number, document_id, document_version)
                 select $1, number, document_id, version
                 from tidewell.index_versions cross join projected
                 where index_id = $1 and state in ('building', 'retired')
                 -- Everybody in one order, or two could wait for each other.
                 order by number, document_id
                 on conflict (index_id, number, document_id) do update set document_version = excluded.document_version
             )
             insert into tidewell.documents (index_id, document_id, version, accepted_version, body, deleted_at)
             select $1, document_id, version, version, case operation when 'upsert' then body end,
                    case when operation <> 'upsert' then now() end
             from projected
             where operation <> 'reproject'
             on conflict (index_id, document_id) do update
             set version = excluded.version, body = excluded.body, deleted_at = excluded.deleted_at,
                 accepted_version = greatest(documents.accepted_version, excluded.version)
             where documents.version < excluded.version",
        )
        .bind(index_id)
        .bind(lanes)
        .bind(settlement.retrying)
        .bind(&settlement.projected)
        .execute(&mut *conn)
        .await?;
    }
    if !settlement.superseded.is_empty() {
        sqlx::query(
            "delete from tidewell.outbox
             where index_id = $1 and lane = any($2) and retrying = $3 and version = any($4)",
        )
        .bind(index_id)
        .bind(lanes)
        .bind(settlement.retrying)
        .bind(&settlement.superseded)
        .execute(&mut *conn)
        .await?;
    }
    if !settlement.retries.is_empty() {
        retry(conn, index_id, lanes, settlement).await?;
    }
    match settlement.deaths.is_empty() {
        true => Ok(0),
        false => bury(conn, index_id, lanes, settlement).await,
    }
}

async fn retry(
    conn: &mut PgConnection,
    index_id: Uuid,
    lanes: &[i16],
    settlement: &Settlement,
) -> Result<(), sqlx::Error> {
    let retries = &settlement.retries;
    sqlx::query(
        "update tidewell.outbox
         set retrying = true, attempts = attempts + failed.attempt::int, error_code = failed.code, error_message = failed.message,
             next_retry_at = clock_timestamp() + make_interval(secs => failed.wait),
             first_failed_at = coalesce(first_failed_at, now())
         from unnest($4::bigint[], $5::float8[], $6::text[], $7::text[], $8::boolean[])
                 as failed (version, wait, code, message, attempt)
         where index_id = $1 and lane = any($2) and retrying = $3 and outbox.version = any($4) and outbox.version = failed.version",
    )
    .bind(index_id)
    .bind(lanes)
    .bind(settlement.retrying)
    .bind(retries.iter().map(|row| row.version).collect::<Vec<_>>())
    .bind(retries.iter().map(|row| row.wait.as_secs_f64()).collect::<Vec<_>>())
    .bind(retries.iter().map(|row| row.code.as_str()).collect::<Vec<_>>())
    .bind(retries.iter().map(|row| row.message.as_str()).collect::<Vec<_>>())
    .bind(retries.iter().map(|row| row.attempt).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

/// Makes dead letters of rows. One that was tried before may have been applied, though no answer said so: its document is written again
/// as the record has it.
async fn bury(
    conn: &mut PgConnection,
    index_id: Uuid,
    lanes: &[i16],
    settlement: &Settlement,
) -> Result<i64, sqlx::Error> {
    let deaths = &settlement.deaths;
    sqlx::query_scalar(
        "with died as (
             delete from tidewell.outbox
             using unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::uuid[])
                 as death (version, code, message, signature, letter_id)
             where index_id = $1 and lane = any($2) and retrying = $3 and outbox.version = any($4)
               and outbox.version = death.version
             returning outbox.lane, outbox.document_id, job_id, operation, coalesce(document_version, outbox.version) as version, body, attempts,
                       first_failed_at, code, message, signature, letter_id
         ), remembered as (
             insert into tidewell.documents (index_id, document_id, version, accepted_version, deleted_at)
             select $1, document_id, 0, max(version), now() from died where operation <> 'reproject' group by document_id
             on conflict (index_id, document_id) do update
             set accepted_version = greatest(documents.accepted_version, excluded.accepted_version)
         ), repaired as (
             insert into tidewell.outbox (index_id, lane, operation, document_id)
             select $1, lane, 'reproject', document_id from died where attempts > 0 and operation <> 'reproject'
             returning document_id
         ), buried as (
             insert into tidewell.dead_letters (id, organization_id, index_id, document_id, job_id, operation, version, body,
                 error_code, error_message, error_signature, attempts, first_failed_at)
             select letter_id, indexes.organization_id, $1, died.document_id, job_id, operation,
                    -- A repair is about the record: its own version would count as newer than writes that are.
                    case operation when 'reproject' then coalesce(documents.version, 0) else died.version end,
                    case operation when 'reproject' then documents.body else died.body end,
                    code, message, signature, attempts + 1, coalesce(first_failed_at, now())
             from died
             join tidewell.indexes on indexes.id = $1
             left join lateral (
                 select version, body from tidewell.documents
                 where index_id = $1 and document_id = died.document_id limit 1) as documents on true
         )
         select count(*) from repaired",
    )
    .bind(index_id)
    .bind(lanes)
    .bind(settlement.retrying)
    .bind(deaths.iter().map(|row| row.version).collect::<Vec<_>>())
    .bind(deaths.iter().map(|row| row.code.as_str()).collect::<Vec<_>>())
    .bind(deaths.iter().map(|row| row.message.as_str()).collect::<Vec<_>>())
    .bind(deaths.iter().map(|row| row.signature.as_str()).collect::<Vec<_>>())
    .bind(deaths.iter().map(|row| row.letter_id).collect::<Vec<_>>())
    .fetch_one(conn)
    .await
}
