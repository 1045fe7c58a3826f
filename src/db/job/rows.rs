//! What of a job still waits. The outbox is keyed by lanes, for those who drain it, and knows no jobs: one looks through it from a place
//! on, as far as a look may go, and goes on from there the next time.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

use super::Job;
use crate::domain::lane::LANES;

/// Rows of the outbox that one look reads.
const LOOK: i64 = 5000;

/// A write of a job that has not ended.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobRow)]
pub struct Row {
    /// Null for a delete by filter.
    pub document_id: Option<String>,
    /// `upsert`, `delete`, `reproject`, `delete_if_matches` or `delete_by_filter`.
    pub operation: String,
    /// Its place in the order of all writes.
    pub version: i64,
    /// Tries that have failed.
    pub attempts: i16,
    /// When it is tried again; null where it was never tried.
    pub next_retry_at: Option<DateTime<Utc>>,
    pub first_failed_at: Option<DateTime<Utc>>,
    /// Why it failed the last time; null where it was never tried.
    pub code: Option<String>,
    pub message: Option<String>,
    #[serde(skip)]
    place: i64,
}

/// How far one has looked: through the lanes' rows that wait for a retry, then through those that were never tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    part: i16,
    after: i64,
}

impl Place {
    fn lane(self) -> i16 {
        self.part % LANES
    }

    fn is_retrying(self) -> bool {
        self.part < LANES
    }

    fn is_end(self) -> bool {
        self.part >= 2 * LANES
    }

    fn next_part(self) -> Self {
        Self { part: self.part + 1, after: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.part, self.after)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (part, after) = text.split_once('.').ok_or(())?;
        let place = Self { part: part.parse().map_err(|_| ())?, after: after.parse().map_err(|_| ())? };
        if (0..2 * LANES).contains(&place.part) && place.after >= 0 { Ok(place) } else { Err(()) }
    }
}

/// Rows of a job that wait, those that failed before first, and where to look on; `None` once everything was looked at.
pub async fn rows(
    pool: &PgPool,
    job: &Job,
    from: Option<Place>,
    limit: i64,
) -> Result<(Vec<Row>, Option<Place>), sqlx::Error> {
    let mut found: Vec<Row> = match from {
        None if !job.has_ended() => filter_delete(pool, job).await?.into_iter().collect(),
        _ => vec![],
    };
    let mut place = from.unwrap_or_default();
    let mut looked = 0;
    while !place.is_end() {
        let is_none_here = if place.is_retrying() { job.retrying == 0 } else { job.pending == 0 };
        if is_none_here {
            place = place.next_part();
            continue;
        }
        let room = limit - found.len() as i64;
        if looked >= LOOK || room <= 0 {
            return Ok((found, Some(place)));
        }
        let seen = look(pool, job, place, LOOK - looked, room).await?;
        looked += seen.looked;
        place = match seen.last {
            Some(last) => Place { after: last, ..place },
            None => place.next_part(),
        };
        found.extend(seen.rows);
    }
    Ok((found, None))
}

/// What one look at a part has seen.
struct Seen {
    rows: Vec<Row>,
    looked: i64,
    /// The row to look on behind; `None` where the part was looked through.
    last: Option<i64>,
}

async fn look(pool: &PgPool, job: &Job, place: Place, most: i64, limit: i64) -> Result<Seen, sqlx::Error> {
    let (looked, furthest): (i64, Option<i64>) = sqlx::query_as(
        "select count(*), max(version)
         from (select version from tidewell.outbox
               where index_id = $1 and lane = $2 and retrying = $3 and version > $4
               order by version limit $5) as looked",
    )
    .bind(job.index_id)
    .bind(place.lane())
    .bind(place.is_retrying())
    .bind(place.after)
    .bind(most)
    .fetch_one(pool)
    .await?;
    let Some(furthest) = furthest else { return Ok(Seen { rows: vec![], looked, last: None }) };
    let rows: Vec<Row> = sqlx::query_as(
        "select document_id, operation::text, coalesce(document_version, version) as version, attempts, next_retry_at,
                first_failed_at, error_code as code, error_message as message, version as place
         from tidewell.outbox
         where index_id = $1 and lane = $2 and retrying = $3 and version > $4 and version <= $5 and job_id = $6
         order by outbox.version
         limit $7",
    )
    .bind(job.index_id)
    .bind(place.lane())
    .bind(place.is_retrying())
    .bind(place.after)
    .bind(furthest)
    .bind(job.id)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let last = match rows.last() {
        Some(last) if rows.len() as i64 == limit => Some(last.place),
        _ => (looked == most).then_some(furthest),
    };
    Ok(Seen { rows, looked, last })
}

/// The job's delete by filter, where that is what it is and it waits for its turn.
async fn filter_delete(pool: &PgPool, job: &Job) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as(
        "select null::text as document_id, 'delete_by_filter' as operation, version, attempts,
                case when first_failed_at is not null then next_retry_at end as next_retry_at, first_failed_at,
                null::text as code, null::text as message, 0::bigint as place
         from tidewell.filter_deletes where index_id = $1 and job_id = $2",
    )
    .bind(job.index_id)
    .bind(job.id)
    .fetch_optional(pool)
    .await
}
