//! Dead letters: writes that failed for good, and the acts that people take on them.

mod discard;
mod overtaken;
mod redrive;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool, Postgres, postgres::PgArguments, query::QueryAs};
use uuid::Uuid;

pub use discard::{Discarded, discard};
pub use redrive::{Mended, Retried, mend, retry};

/// Bodies that one page of a list may hold together; one letter is always given.
const PAGE_BYTES: i64 = 8 << 20;
/// Letters that one transaction acts on: a million of them must not make one giant transaction.
const BATCH: i64 = 500;

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

/// A dead letter as stored.
#[derive(Clone, Debug, FromRow)]
pub struct DeadLetter {
    pub id: Uuid,
    pub organization_id: Uuid,
    pub organization_slug: String,
    pub index_id: Uuid,
    pub index_slug: String,
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
    pub signature: Option<&'a str>,
    /// Only those that failed at or after this moment.
    pub since: Option<DateTime<Utc>>,
    pub operation: Option<Operation>,
}

/// Who acts, as the trail names them.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    pub name: &'a str,
    pub request_id: &'a str,
}

/// A statement on `tidewell.dead_letters as letter` whose first six parameters are a [`Selection`].
macro_rules! selecting {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " ($1::uuid[] is null or letter.id = any($1))
              and ($2::uuid is null or letter.organization_id = $2)
              and ($3::uuid is null or letter.index_id = $3)
              and ($4::text is null or letter.error_signature = $4)
              and ($5::timestamptz is null or letter.last_failed_at >= $5)
              and ($6::text is null or letter.operation = $6) ",
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
            "with next as (
                 select letter.* from tidewell.dead_letters as letter where",
            "    and ($7::uuid is null or letter.id < $7)
                 order by letter.id desc
                 limit $8 + 1
             ), measured as (
                 select *, count(*) over () as found,
                        sum(coalesce(octet_length(body), 0)) over (order by id desc) - coalesce(octet_length(body), 0)
                            as bytes_before
                 from next
             )
             select measured.*, organizations.slug as organization_slug, indexes.slug as index_slug
             from measured
             join tidewell.organizations on organizations.id = measured.organization_id
             join tidewell.indexes on indexes.id = measured.index_id
             where bytes_before < $9
             order by measured.id desc
             limit $8"
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
    sqlx::query_as(
        "select letter.*, organizations.slug as organization_slug, indexes.slug as index_slug
         from tidewell.dead_letters as letter
         join tidewell.organizations on organizations.id = letter.organization_id
         join tidewell.indexes on indexes.id = letter.index_id
         where letter.id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Letters of one index that died of the same fault.
#[derive(Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterGroup)]
pub struct Group {
    pub signature: String,
    /// The organization's slug.
    pub organization: String,
    /// The index's slug.
    pub index: String,
    pub count: i64,
    /// The letter of the group that died last.
    pub newest_id: Uuid,
    pub code: String,
    /// As the newest letter has it.
    pub message: String,
    pub oldest_failed_at: DateTime<Utc>,
    pub newest_failed_at: DateTime<Utc>,
}

/// Letters counted by error signature and index, the largest groups first; only those that come after one of that count and
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
                 select error_signature, index_id, count(*) as count, max(letter.id::text collate \"C\")::uuid as newest_id,
                        min(last_failed_at) as oldest_failed_at, max(last_failed_at) as newest_failed_at
                 from tidewell.dead_letters as letter where",
            "    group by error_signature, index_id
             )
             select groups.error_signature as signature, organizations.slug as organization, indexes.slug as index, count,
                    newest_id, error_code as code, error_message as message, oldest_failed_at, newest_failed_at
             from groups
             join tidewell.dead_letters as newest on newest.id = newest_id
             join tidewell.organizations on organizations.id = newest.organization_id
             join tidewell.indexes on indexes.id = newest.index_id
             where $7::bigint is null or (count, newest_id) < ($7, $8)
             order by count desc, newest_id desc
             limit $9"
        ))
        .bind(after.map(|(count, _)| count))
        .bind(after.map(|(_, newest_id)| newest_id))
        .bind(limit)
        .fetch_all(pool)
        .await
}

/// What somebody did to a letter.
#[derive(Clone, Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterAct)]
pub struct Act {
    /// A write that dies again becomes a new letter; the trail is that of the write.
    pub dead_letter_id: Uuid,
    #[serde(skip)]
    pub organization_id: Uuid,
    #[serde(skip)]
    pub index_id: Uuid,
    /// `retry`, `mend`, `discard`, or `superseded` where a retry found a newer write of the document.
    pub act: String,
    pub actor: String,
    pub request_id: String,
    pub acted_at: DateTime<Utc>,
}

/// The acts on the write that a letter stands for, newest first, whether or not the letter is still there.
pub async fn trail(pool: &PgPool, letter_id: Uuid) -> Result<Vec<Act>, sqlx::Error> {
    sqlx::query_as(
        "with write as (
             select index_id, document_id, version from tidewell.dead_letters where id = $1
             union
             select index_id, document_id, version from tidewell.dead_letter_acts where dead_letter_id = $1
         )
         select acts.*
         from write join tidewell.dead_letter_acts as acts
              on acts.index_id = write.index_id and acts.version = write.version
                 and acts.document_id is not distinct from write.document_id
         order by acts.id desc
         limit 250",
    )
    .bind(letter_id)
    .fetch_all(pool)
    .await
}

/// How many letters of a selection there are, by index, and the moment of counting: a bulk act stops there, so that what it
/// revives and dies again is not revived for ever.
async fn count(pool: &PgPool, selection: Selection<'_>) -> Result<Vec<Counted>, sqlx::Error> {
    selection
        .query(selecting!(
            "select letter.index_id, count(*) as count, now() as counted_at from tidewell.dead_letters as letter where",
            "group by letter.index_id order by letter.index_id"
        ))
        .fetch_all(pool)
        .await
}

#[derive(Clone, Copy, FromRow)]
struct Counted {
    index_id: Uuid,
    count: i64,
    counted_at: DateTime<Utc>,
}

/// A letter as a bulk act holds it, locked; its body stays in the database.
#[derive(FromRow)]
struct Held {
    id: Uuid,
    document_id: Option<String>,
    job_id: Option<Uuid>,
    version: i64,
}

/// Locks the next letters of an index for an act. Those that another act holds are left to it.
async fn hold(
    conn: &mut PgConnection,
    selection: Selection<'_>,
    counted: Counted,
    after: Option<Uuid>,
) -> Result<Vec<Held>, sqlx::Error> {
    Selection { index_id: Some(counted.index_id), ..selection }
        .query(selecting!(
            "select id, document_id, job_id, version from tidewell.dead_letters as letter where",
            "and ($7::uuid is null or letter.id > $7) and letter.last_failed_at <= $8
             order by letter.id
             limit $9
             for update skip locked"
        ))
        .bind(after)
        .bind(counted.counted_at)
        .bind(BATCH)
        .fetch_all(conn)
        .await
}

/// Writes an act on letters into the trail; they must not have gone yet.
async fn note(conn: &mut PgConnection, ids: &[Uuid], act: &str, by: Actor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.dead_letter_acts
             (dead_letter_id, organization_id, index_id, document_id, version, act, actor, request_id)
         select id, organization_id, index_id, document_id, version, $2, $3, $4
         from tidewell.dead_letters where id = any($1) order by id",
    )
    .bind(ids)
    .bind(act)
    .bind(by.name)
    .bind(by.request_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Takes letters away.
async fn remove(conn: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query("delete from tidewell.dead_letters where id = any($1)").bind(ids).execute(conn).await.map(drop)
}
