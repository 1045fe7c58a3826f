//! What the processes have said of jobs, reindexes, sync jobs and runs.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{FromRow, PgPool, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

/// A line to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewLine<'a> {
    pub subject: Uuid,
    /// How long ago it was said.
    pub age: Duration,
    pub level: &'a str,
    pub message: &'a str,
    pub fields: &'a Map<String, Value>,
}

/// Writes lines of one process.
pub async fn write<'a>(
    pool: &PgPool,
    process: &str,
    lines: impl Iterator<Item = NewLine<'a>>,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    // Lost in a crash of the database, they are in the processes' own logs all the same.
    sqlx::query("set local synchronous_commit = off").execute(&mut *tx).await?;
    let (mut subjects, mut ages, mut levels, mut messages, mut fields) = (vec![], vec![], vec![], vec![], vec![]);
    for line in lines {
        subjects.push(line.subject);
        ages.push(line.age.as_secs_f64());
        levels.push(line.level);
        messages.push(line.message);
        fields.push(Json(line.fields));
    }
    sqlx::query(
        "insert into tidewell.log_lines (subject, at, level, message, fields, process)
         select subject, clock_timestamp() - make_interval(secs => age), level, message, fields, $6
         from unnest($1::uuid[], $2::float8[], $3::text[], $4::text[], $5::jsonb[])
              with ordinality as line (subject, age, level, message, fields, place)
         order by place",
    )
    .bind(subjects)
    .bind(ages)
    .bind(levels)
    .bind(messages)
    .bind(fields)
    .bind(process)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// A line of the log.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub struct LogLine {
    #[serde(skip)]
    id: i64,
    pub at: DateTime<Utc>,
    /// `error`, `warn` or `info`.
    pub level: String,
    pub message: String,
    #[schema(value_type = Object)]
    pub fields: Json<Map<String, Value>>,
    /// Who says it.
    pub process: String,
}

/// Where a line stands among those of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(DateTime<Utc>, i64);

impl LogLine {
    pub fn place(&self) -> Place {
        Place(self.at, self.id)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.timestamp_micros(), self.1)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once('.').ok_or(())?;
        let at = DateTime::from_timestamp_micros(micros.parse().map_err(|_| ())?).ok_or(())?;
        Ok(Self(at, id.parse().map_err(|_| ())?))
    }
}

/// Lines about something, newest first, only those before a place.
pub async fn list(
    pool: &PgPool,
    subject: Uuid,
    before: Option<Place>,
    limit: i64,
) -> Result<Vec<LogLine>, sqlx::Error> {
    sqlx::query_as(
        "select id, at, level, message, fields, process from tidewell.log_lines
         where subject = $1 and ($2::timestamptz is null or (at, id) < ($2, $3))
         order by at desc, id desc
         limit $4",
    )
    .bind(subject)
    .bind(before.map(|Place(at, _)| at))
    .bind(before.map(|Place(_, id)| id))
    .bind(limit)
    .fetch_all(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_by_its_text() {
        let place = Place(DateTime::from_timestamp_micros(1_700_000_000_123_456).expect("a moment"), 7);
        assert_eq!(place.to_string().parse(), Ok(place));
        assert_eq!("x.1".parse::<Place>(), Err(()));
    }
}
