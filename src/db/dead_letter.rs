//! Dead letters: writes that failed for good, and the acts that people take on them.

mod discard;
mod hold;
mod overtaken;
mod redrive;
mod resync;
mod trail;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool, Postgres, postgres::PgArguments, query::QueryAs};
use uuid::Uuid;

pub use discard::{Discarded, discard};
pub use redrive::{Mended, Retried, mend, retry};
pub use trail::{Act, Actor, trail};

/// Bodies that one page of a list may hold together; one letter is always given.
const PAGE_BYTES: i64 = 8 << 20;

/// The columns by their names: a `*` would change its meaning under statements that live connections have prepared.
macro_rules! columns {
    () => {
        "letter.id, letter.organization_id, letter.index_id, letter.sync_job_id, letter.document_id, letter.job_id,
         letter.operation, letter.version, letter.body, letter.error_code, letter.error_message, letter.error_signature,
         letter.attempts, letter.first_failed_at, letter.last_failed_at"
    };
}

/// What a letter's owner is called, of [`owners`].
macro_rules! names {
    () => {
        ", organizations.slug as organization_slug, indexes.slug as index_slug, sync_job.name as sync_job_name,
         source_client_name || '.' || source_schema_name || '.' || source_table_name as source_table "
    };
}

/// Joins the owner of a letter: an organization and its index, or a sync job.
macro_rules! owners {
    ($letter:literal) => {
        concat!(
            "left join tidewell.organizations on organizations.id = ",
            $letter,
            ".organization_id
             left join tidewell.indexes on indexes.id = ",
            $letter,
            ".index_id
             left join public.typesense_sync_jobs as sync_job on sync_job.id = ",
            $letter,
            ".sync_job_id "
        )
    };
}

/// What the write asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = DeadOperation)]
pub enum Operation {
    Upsert,
    Delete,
    /// Tidewell's own repair of a document in Typesense.
    Reproject,
    /// A delete by filter, for one document that was undecided when the filter was resolved.
    DeleteIfMatches,
    /// A delete by filter as a whole.
    DeleteByFilter,
}

/// A dead letter as stored: a write of an index, or a row of a sync job.
#[derive(Clone, Debug, FromRow)]
pub struct DeadLetter {
    pub id: Uuid,
    pub organization_id: Option<Uuid>,
    pub organization_slug: Option<String>,
    pub index_id: Option<Uuid>,
    pub index_slug: Option<String>,
    pub sync_job_id: Option<Uuid>,
    pub sync_job_name: Option<String>,
    /// Where the row of a sync job is, as `client.schema.table`.
    pub source_table: Option<String>,
    /// `None` for a delete by filter.
    pub document_id: Option<String>,
    pub job_id: Option<Uuid>,
    pub operation: Operation,
    /// The version that the write gives its document; kept by a retry.
    pub version: i64,
    /// The document's JSON, or the filter of a conditional delete.
    pub body: Option<String>,
    pub error_code: String,
    pub error_message: String,
    pub error_signature: String,
    pub attempts: i32,
    pub first_failed_at: DateTime<Utc>,
    pub last_failed_at: DateTime<Utc>,
}

/// Which letters to look at or act on; every `None` leaves a condition out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    pub ids: Option<&'a [Uuid]>,
    pub organization_id: Option<Uuid>,
    pub index_id: Option<Uuid>,
    pub sync_job_id: Option<Uuid>,
    pub signature: Option<&'a str>,
    /// Only those that failed at or after this moment.
    pub since: Option<DateTime<Utc>>,
    pub operation: Option<Operation>,
}

/// A statement on `tidewell.dead_letters as letter` whose first seven parameters are a [`Selection`].
macro_rules! selecting {
    ($before:expr, $after:expr) => {
        concat!(
            $before,
            " ($1::uuid[] is null or letter.id = any($1))
              and ($2::uuid is null or letter.organization_id = $2)
              and ($3::uuid is null or letter.index_id = $3)
              and ($4::uuid is null or letter.sync_job_id = $4)
              and ($5::text is null or letter.error_signature = $5)
              and ($6::timestamptz is null or letter.last_failed_at >= $6)
              and ($7::text is null or letter.operation = $7) ",
            $after
        )
    };
}

use selecting;

impl Selection<'_> {
    fn query<O>(&self, sql: &'static str) -> QueryAs<'static, Postgres, O, PgArguments>
    where
        O: for<'r> FromRow<'r, sqlx::postgres::PgRow>,
    {
        sqlx::query_as(sql)
            .bind(self.ids.map(<[Uuid]>::to_vec))
            .bind(self.organization_id)
            .bind(self.index_id)
            .bind(self.sync_job_id)
            .bind(self.signature.map(str::to_owned))
            .bind(self.since)
            .bind(self.operation)
    }
}

/// Letters, newest first, only those older than `before`, and whether there are more. A page ends early where its bodies grow
/// large.
pub async fn list(
    pool: &PgPool,
    selection: Selection<'_>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<(Vec<DeadLetter>, bool), sqlx::Error> {
    #[derive(FromRow)]
    struct Listed {
        #[sqlx(flatten)]
        letter: DeadLetter,
        found: i64,
    }
    let listed: Vec<Listed> = selection
        .query(selecting!(
            concat!(
                "with next as (
                     select ",
                columns!(),
                "    from tidewell.dead_letters as letter where"
            ),
            concat!(
                "    and ($8::uuid is null or letter.id < $8)
                     order by letter.id desc
                     limit $9 + 1
                 ), measured as (
                     select *, count(*) over () as found,
                            sum(coalesce(octet_length(body), 0)) over (order by id desc) - coalesce(octet_length(body), 0)
                                as bytes_before
                     from next
                 )
                 select letter.*",
                names!(),
                "from measured as letter ",
                owners!("letter"),
                "where bytes_before < $10
                 order by letter.id desc
                 limit $9"
            )
        ))
        .bind(before)
        .bind(limit)
        .bind(PAGE_BYTES)
        .fetch_all(pool)
        .await?;
    let more = listed.first().is_some_and(|first| first.found > listed.len() as i64);
    Ok((listed.into_iter().map(|listed| listed.letter).collect(), more))
}

/// One letter.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<DeadLetter>, sqlx::Error> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        names!(),
        "from tidewell.dead_letters as letter ",
        owners!("letter"),
        "where letter.id = $1"
    ))
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Letters of one index, or of one sync job, that died of the same fault.
#[derive(Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterGroup)]
pub struct Group {
    pub signature: String,
    /// The organization's slug; null for rows of a sync job.
    pub organization: Option<String>,
    /// The index's slug; null for rows of a sync job.
    pub index: Option<String>,
    /// The sync job's name; null for writes of an index.
    pub sync_job: Option<String>,
    pub sync_job_id: Option<Uuid>,
    pub count: i64,
    /// The letter of the group that died last.
    pub newest_id: Uuid,
    pub code: String,
    /// As the newest letter has it.
    pub message: String,
    pub oldest_failed_at: DateTime<Utc>,
    pub newest_failed_at: DateTime<Utc>,
}

/// Letters counted by error signature and index or sync job, the largest groups first; only those that come after one of that count and
/// newest letter.
pub async fn groups(
    pool: &PgPool,
    selection: Selection<'_>,
    after: Option<(i64, Uuid)>,
    limit: i64,
) -> Result<Vec<Group>, sqlx::Error> {
    selection
        .query(selecting!(
            // Ids grow with time, and so does their text; PostgreSQL has no max of uuids.
            "with groups as (
                 select error_signature, count(*) as count, max(letter.id::text collate \"C\")::uuid as newest_id,
                        min(last_failed_at) as oldest_failed_at, max(last_failed_at) as newest_failed_at
                 from tidewell.dead_letters as letter where",
            concat!(
                "    group by error_signature, index_id, sync_job_id
                 )
                 select groups.error_signature as signature, organizations.slug as organization, indexes.slug as index,
                        sync_job.name as sync_job, newest.sync_job_id, count, newest_id, error_code as code,
                        error_message as message, oldest_failed_at, newest_failed_at
                 from groups
                 join tidewell.dead_letters as newest on newest.id = newest_id ",
                owners!("newest"),
                "where $8::bigint is null or (count, newest_id) < ($8, $9)
                 order by count desc, newest_id desc
                 limit $10"
            )
        ))
        .bind(after.map(|(count, _)| count))
        .bind(after.map(|(_, newest_id)| newest_id))
        .bind(limit)
        .fetch_all(pool)
        .await
}
