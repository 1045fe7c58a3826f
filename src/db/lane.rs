//! Lanes: who works on which, what is next in one, and how a batch of it ended.

use std::time::Duration;

use futures::TryStreamExt;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "tidewell.operation", rename_all = "snake_case")]
pub enum Operation {
    Upsert,
    Delete,
    /// Send the document's record again, whatever it is.
    Reproject,
    /// Delete the document if it matches the filter in the row's body.
    DeleteIfMatches,
}

/// A lane of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromRow)]
pub struct Lane {
    pub index_id: Uuid,
    pub lane: i16,
}

/// The right to work on a lane until it runs out. `fence` grows with each lease, so that a late holder is told apart.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub lane: Lane,
    pub fence: i64,
    /// How long each renewal lasts.
    pub term: Duration,
}

/// A row of the outbox as a worker takes it.
#[derive(Debug, FromRow)]
pub struct Row {
    /// The row's place in the order, and its key.
    pub version: i64,
    /// The version that it gives its document.
    pub document_version: i64,
    pub operation: Operation,
    pub document_id: String,
    pub job_id: Option<Uuid>,
    /// For [`Operation::Reproject`] the record's body.
    pub body: Option<String>,
    pub attempts: i16,
    /// The version of the document that was projected last; 0 for none.
    pub recorded_version: i64,
}

/// Which rows of a lane to read, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The rows whose retry is due, or else those never tried.
    pub retrying: bool,
    /// Only rows of a larger version.
    pub after: i64,
    pub max_rows: i64,
    /// Bodies together; one row is always read.
    pub max_bytes: i64,
}

/// Takes the lane if nobody holds it. Its former holder, if it still lives, finds its fence too old at its next settlement.
pub async fn lease(pool: &PgPool, lane: Lane, worker: &str, term: Duration) -> Result<Option<Lease>, sqlx::Error> {
    let fence = sqlx::query_scalar(
        "update tidewell.lanes
         set fence = fence + 1, leased_by = $3, leased_until = clock_timestamp() + make_interval(secs => $4)
         where index_id = $1 and lane = $2 and leased_until < clock_timestamp()
         returning fence",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
    .bind(worker)
    .bind(term.as_secs_f64())
    .fetch_optional(pool)
    .await?;
    Ok(fence.map(|fence| Lease { lane, fence, term }))
}

/// Gives the lane back, unless somebody else has it by now.
pub async fn release(pool: &PgPool, lease: Lease) -> Result<(), sqlx::Error> {
    sqlx::query("update tidewell.lanes set leased_until = '-infinity' where index_id = $1 and lane = $2 and fence = $3")
        .bind(lease.lane.index_id)
        .bind(lease.lane.lane)
        .bind(lease.fence)
        .execute(pool)
        .await
        .map(drop)
}

/// Gives back every lane that workers whose names begin with `prefix` hold; how many that were. All of them must be dead.
pub async fn release_all(pool: &PgPool, prefix: &str) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "update tidewell.lanes set leased_until = '-infinity'
         where starts_with(leased_by, $1) and leased_until > clock_timestamp()",
    )
    .bind(prefix)
    .execute(pool)
    .await
    .map(|released| released.rows_affected())
}

/// Renews the lease and counts `settled` rows; false where the lease is lost and the transaction must be rolled back.
pub async fn renew(conn: &mut PgConnection, lease: Lease, settled: i64) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query(
        "update tidewell.lanes
         set leased_until = clock_timestamp() + make_interval(secs => $4), settled = settled + $5
         where index_id = $1 and lane = $2 and fence = $3",
    )
    .bind(lease.lane.index_id)
    .bind(lease.lane.lane)
    .bind(lease.fence)
    .bind(lease.term.as_secs_f64())
    .bind(settled)
    .execute(conn)
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// The statement that reads rows chosen by a condition on the outbox.
macro_rules! read_where {
    ($condition:literal) => {
        concat!(
            "with next as (
                 select version, coalesce(document_version, version) as document_version, operation, document_id, job_id,
                        body, attempts
                 from tidewell.outbox
                 where index_id = $1 and lane = $2 and version > $3 and ",
            $condition,
            "      and version < coalesce(
                       (select min(version) from tidewell.filter_deletes where index_id = $1), 9223372036854775807)
                 order by version
                 limit $4
             ), measured as (
                 select *, sum(coalesce(octet_length(body), 0)) over (order by version) - coalesce(octet_length(body), 0)
                        as bytes_before
                 from next
             )
             select measured.version, document_version, operation, measured.document_id, job_id, attempts,
                    case operation when 'reproject' then documents.body else measured.body end as body,
                    coalesce(documents.version, 0) as recorded_version
             from measured
             -- One look each: a plan made on stale statistics of a new index would otherwise read the whole index for each row.
             left join lateral (
                 select version, body from tidewell.documents
                 where index_id = $1 and document_id = measured.document_id limit 1) as documents on true
             where bytes_before < $5
             order by measured.version"
        )
    };
}

/// Reads the next rows in the order of their versions. Rows behind a delete by filter that still waits are left alone, and retries
/// of documents of which a newer version is under way.
pub async fn read(pool: &PgPool, lane: Lane, reading: Reading) -> Result<Vec<Row>, sqlx::Error> {
    let statement = match reading.retrying {
        false => read_where!("not retrying"),
        true => read_where!(
            "retrying and next_retry_at <= clock_timestamp()
             and not exists (select from tidewell.flights, unnest(document_ids, versions) as flying (id, version)
                             where flights.index_id = $1 and flying.id = outbox.document_id
                               and flying.version > coalesce(outbox.document_version, outbox.version))"
        ),
    };
    sqlx::query_as(statement)
        .bind(lane.index_id)
        .bind(lane.lane)
        .bind(reading.after)
        .bind(reading.max_rows)
        .bind(reading.max_bytes)
        .fetch(pool)
        // Row by row, so that the bodies are held once.
        .try_collect()
        .await
}

/// Makes decided rows plain deletes: a conditional delete that was decided once must not be decided again, when its effect may be
/// there already.
pub async fn decide(conn: &mut PgConnection, lane: Lane, retrying: bool, versions: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.outbox set operation = 'delete', body = null
         where index_id = $1 and lane = $2 and retrying = $3 and version = any($4)",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
    .bind(retrying)
    .bind(versions)
    .execute(conn)
    .await
    .map(drop)
}

/// Whether a lane has rows that were never tried and can be now.
pub async fn has_work(pool: &PgPool, lane: Lane) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from tidewell.outbox
                        where index_id = $1 and lane = $2 and not retrying
                          and version < coalesce((select min(version) from tidewell.filter_deletes where index_id = $1),
                                                 9223372036854775807))",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
    .fetch_one(pool)
    .await
}

/// A row that failed and is to be tried again.
#[derive(Debug)]
pub struct Retry {
    pub version: i64,
    pub wait: Duration,
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

/// Moves projected rows into the record and the others to where they wait or rest. The caller renews the lease in the same
/// transaction, which is what fences this.
pub async fn settle(conn: &mut PgConnection, lane: Lane, settlement: &Settlement) -> Result<(), sqlx::Error> {
    if !settlement.projected.is_empty() {
        sqlx::query(
            "with projected as (
                 delete from tidewell.outbox
                 where index_id = $1 and lane = $2 and retrying = $3 and version = any($4)
                 returning document_id, coalesce(document_version, version) as version, operation, body
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
        .bind(lane.index_id)
        .bind(lane.lane)
        .bind(settlement.retrying)
        .bind(&settlement.projected)
        .execute(&mut *conn)
        .await?;
    }
    if !settlement.superseded.is_empty() {
        sqlx::query(
            "delete from tidewell.outbox
             where index_id = $1 and lane = $2 and retrying = $3 and version = any($4)",
        )
        .bind(lane.index_id)
        .bind(lane.lane)
        .bind(settlement.retrying)
        .bind(&settlement.superseded)
        .execute(&mut *conn)
        .await?;
    }
    if !settlement.retries.is_empty() {
        retry(conn, lane, settlement).await?;
    }
    if !settlement.deaths.is_empty() {
        bury(conn, lane, settlement).await?;
    }
    Ok(())
}

async fn retry(conn: &mut PgConnection, lane: Lane, settlement: &Settlement) -> Result<(), sqlx::Error> {
    let retries = &settlement.retries;
    sqlx::query(
        "update tidewell.outbox
         set retrying = true, attempts = attempts + 1, error_code = failed.code, error_message = failed.message,
             next_retry_at = clock_timestamp() + make_interval(secs => failed.wait),
             first_failed_at = coalesce(first_failed_at, now())
         from unnest($4::bigint[], $5::float8[], $6::text[], $7::text[]) as failed (version, wait, code, message)
         where index_id = $1 and lane = $2 and retrying = $3 and outbox.version = any($4) and outbox.version = failed.version",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
    .bind(settlement.retrying)
    .bind(retries.iter().map(|row| row.version).collect::<Vec<_>>())
    .bind(retries.iter().map(|row| row.wait.as_secs_f64()).collect::<Vec<_>>())
    .bind(retries.iter().map(|row| row.code.as_str()).collect::<Vec<_>>())
    .bind(retries.iter().map(|row| row.message.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

async fn bury(conn: &mut PgConnection, lane: Lane, settlement: &Settlement) -> Result<(), sqlx::Error> {
    let deaths = &settlement.deaths;
    sqlx::query(
        "with died as (
             delete from tidewell.outbox
             using unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::uuid[])
                 as death (version, code, message, signature, letter_id)
             where index_id = $1 and lane = $2 and retrying = $3 and outbox.version = any($4)
               and outbox.version = death.version
             returning outbox.document_id, job_id, operation, coalesce(document_version, outbox.version) as version, body, attempts,
                       first_failed_at, code, message, signature, letter_id
         ), remembered as (
             insert into tidewell.documents (index_id, document_id, version, accepted_version, deleted_at)
             select $1, document_id, 0, max(version), now() from died where operation <> 'reproject' group by document_id
             on conflict (index_id, document_id) do update
             set accepted_version = greatest(documents.accepted_version, excluded.accepted_version)
         )
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
             where index_id = $1 and document_id = died.document_id limit 1) as documents on true",
    )
    .bind(lane.index_id)
    .bind(lane.lane)
    .bind(settlement.retrying)
    .bind(deaths.iter().map(|row| row.version).collect::<Vec<_>>())
    .bind(deaths.iter().map(|row| row.code.as_str()).collect::<Vec<_>>())
    .bind(deaths.iter().map(|row| row.message.as_str()).collect::<Vec<_>>())
    .bind(deaths.iter().map(|row| row.signature.as_str()).collect::<Vec<_>>())
    .bind(deaths.iter().map(|row| row.letter_id).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

/// Asks for the records of documents of one index to be sent again, each in its lane. The caller counts them in the backlog.
pub async fn reproject(
    conn: &mut PgConnection,
    index_id: Uuid,
    documents: &[(i16, String)],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.outbox (index_id, lane, operation, document_id)
         select $1, lane, 'reproject', document_id from unnest($2::smallint[], $3::text[]) as doubted (lane, document_id)",
    )
    .bind(index_id)
    .bind(documents.iter().map(|(lane, _)| *lane).collect::<Vec<_>>())
    .bind(documents.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(drop)
}

/// Lanes that have something to do and nobody who does it, some of them where there are many. The scan that correctness rests on:
/// it trusts no message.
pub async fn unattended(pool: &PgPool, limit: i64) -> Result<Vec<Lane>, sqlx::Error> {
    sqlx::query_as(
        "with behind as (
             select index_id
             from (select index_id, sum(accepted) as accepted from tidewell.backlogs group by index_id) as accepted
             join (select index_id, sum(settled) as settled from tidewell.lanes group by index_id) as settled using (index_id)
             where accepted > settled
         )
         select index_id, lane
         from behind join tidewell.lanes using (index_id)
         where leased_until < clock_timestamp()
           and (exists (select from tidewell.outbox
                        where outbox.index_id = lanes.index_id and outbox.lane = lanes.lane and not retrying)
             or exists (select from tidewell.outbox
                        where outbox.index_id = lanes.index_id and outbox.lane = lanes.lane and retrying
                          and next_retry_at <= clock_timestamp()))
         order by random()
         limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}
