//! Reading rows: ranges in the order of their keys, and single rows.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, Executor, Row as _, postgres::PgRow};

use super::{
    Error, Row, Source,
    row::{Document, Values, join_id},
    statement::Statement,
};

/// How long counting may take; then an estimate must do.
const COUNT_WITHIN: Duration = Duration::from_secs(5);
/// How long what is left of an answer may take to be thrown away.
const ABANDON_WITHIN: Duration = Duration::from_millis(100);
/// Bytes of documents that one range holds at most; a single one may be larger.
const RANGE_BYTES: usize = 8 << 20;

/// Which rows to read.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// After this key; `None`: from the beginning.
    pub lower: Option<&'a [String]>,
    /// Up to this key and with it; `None`: to the end.
    pub upper: Option<&'a [String]>,
    pub limit: usize,
    /// Rows that a cursor column says are older need not be read whole.
    pub since: Option<DateTime<Utc>>,
}

/// What was read of a range, in one snapshot.
#[derive(Debug)]
pub struct Read {
    /// In the order of their keys.
    pub rows: Vec<Row>,
    /// Whether the range ended; if not, more rows follow the last one.
    pub is_complete: bool,
}

impl Source {
    /// Reads the rows of a range. `wants_document` tells by a row's id and hash whether its document is wanted.
    pub async fn range(
        &mut self,
        statement: &Statement,
        range: Range<'_>,
        mut wants_document: impl FnMut(&str, u64) -> bool,
    ) -> Result<Read, Error> {
        let narrowed = range.since.filter(|_| statement.has_cursor());
        let sql = statement.range(range.lower.is_some(), range.upper.is_some(), narrowed.is_some());
        let mut query =
            sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(i64::try_from(range.limit).unwrap_or(i64::MAX));
        for text in range.lower.into_iter().chain(range.upper).flatten() {
            query = query.bind(text);
        }
        if let Some(since) = narrowed {
            query = query.bind(since);
        }
        let id_places = statement.id_places();
        let (mut rows, mut bytes, mut is_complete) = (Vec::new(), 0, true);
        let mut read = query.fetch(&mut self.conn);
        while let Some(row) = read.try_next().await.map_err(Error::of)? {
            let row = decode(statement, &id_places, &row, &mut wants_document).map_err(Error::of)?;
            if let Document::Made(line) = &row.document {
                bytes += line.len();
            }
            rows.push(row);
            if bytes > RANGE_BYTES {
                is_complete = false;
                break;
            }
        }
        drop(read);
        if bytes > RANGE_BYTES {
            self.abandon().await?;
        }
        is_complete &= rows.len() < range.limit;
        Ok(Read { rows, is_complete })
    }

    /// Reads single rows by the texts of their ids' columns. Each id that was asked for is answered with its text as this table writes
    /// it, and with the row if it is there.
    pub async fn by_id(
        &mut self,
        statement: &Statement,
        ids: &[Vec<String>],
    ) -> Result<Vec<(String, Option<Row>)>, Error> {
        let mut query = sqlx::query(AssertSqlSafe(statement.by_id())).persistent(false);
        for place in 0..statement.id.len() {
            let texts: Vec<&str> = ids.iter().filter_map(|id| id.get(place)).map(String::as_str).collect();
            query = query.bind(texts);
        }
        let rows = query.fetch_all(&mut self.conn).await.map_err(Error::of)?;
        let mut found = BTreeMap::new();
        for row in &rows {
            let (asked, id, row) = decode_by_id(statement, row).map_err(Error::of)?;
            if asked != id {
                // What was written under that text is to go, unless it is another row's.
                found.entry(asked).or_insert(None);
            }
            match row {
                Some(row) => drop(found.insert(id, Some(row))),
                None => drop(found.entry(id).or_insert(None)),
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Throws away what is left of an answer. Unread, it would keep its statement and its snapshot alive until the next one; where
    /// there is much of it, a new connection is quicker.
    async fn abandon(&mut self) -> Result<(), Error> {
        match tokio::time::timeout(ABANDON_WITHIN, self.conn.ping()).await {
            Ok(answer) => answer.map_err(Error::of),
            Err(_) => self.connect_again().await,
        }
    }

    /// How many rows there are: counted, or where that takes too long, estimated.
    pub async fn count(&mut self, statement: &Statement, estimate: f32) -> Result<Option<i64>, Error> {
        let estimate = (estimate > 0.0).then_some(estimate as i64);
        Ok(self.within(COUNT_WITHIN, statement.count()).await?.or(estimate))
    }

    /// Rows that have no key, and so can be no documents.
    pub async fn count_without_key(&mut self, statement: &Statement) -> Result<i64, Error> {
        sqlx::query_scalar(AssertSqlSafe(statement.count_without_key()))
            .persistent(false)
            .fetch_one(&mut self.conn)
            .await
            .map_err(Error::of)
    }

    /// Whether two rows share a key; `None` where finding out takes too long.
    pub async fn has_duplicates(&mut self, statement: &Statement) -> Result<Option<bool>, Error> {
        self.within(COUNT_WITHIN, statement.has_duplicates()).await
    }

    /// The answer to a statement, unless it takes too long.
    async fn within<T>(&mut self, time: Duration, sql: String) -> Result<Option<T>, Error>
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        const QUERY_CANCELED: &str = "57014";
        self.limit_statements(time).await?;
        let answer = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut self.conn).await;
        self.conn.execute("set statement_timeout = '10min'").await.map_err(Error::of)?;
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(QUERY_CANCELED) => Ok(None),
            Err(error) => Err(Error::of(error)),
        }
    }
}

fn decode(
    statement: &Statement,
    id_places: &[usize],
    row: &PgRow,
    wants_document: &mut impl FnMut(&str, u64) -> bool,
) -> Result<Row, sqlx::Error> {
    let texts: Vec<&str> = (0..statement.texts().count())
        .map(|place| row.try_get::<Option<&str>, _>(place).map(Option::unwrap_or_default))
        .collect::<Result<_, _>>()?;
    let id = join_id(id_places.iter().map(|place| texts[*place]));
    let key: Vec<String> = texts[..statement.key.len()].iter().map(|text| (*text).to_owned()).collect();
    let is_whole: bool = row.try_get(texts.len())?;
    let values = Values::of(row, texts.len() + 1);
    let hash = if is_whole { statement.fields.hash(&values)? } else { 0 };
    let document = match is_whole && wants_document(&id, hash) {
        true => statement.fields.document(&id, &values)?,
        false => Document::Unmade,
    };
    Ok(Row { key, id, hash, is_whole, document })
}

/// The id that was asked for, the id as the table writes it, and the row if it is there.
fn decode_by_id(statement: &Statement, row: &PgRow) -> Result<(String, String, Option<Row>), sqlx::Error> {
    let columns = statement.id.len();
    let texts =
        |places: std::ops::Range<usize>| places.map(|place| row.try_get(place)).collect::<Result<Vec<&str>, _>>();
    let asked = join_id(texts(columns..2 * columns)?.into_iter());
    let texts = texts(0..columns)?;
    let id = join_id(texts.iter().copied());
    if !row.try_get::<bool, _>(2 * columns)? {
        return Ok((asked, id, None));
    }
    let values = Values::of(row, 2 * columns + 1);
    let hash = statement.fields.hash(&values)?;
    let document = statement.fields.document(&id, &values)?;
    let row =
        Row { key: texts.into_iter().map(str::to_owned).collect(), id: id.clone(), hash, is_whole: true, document };
    Ok((asked, id, Some(row)))
}
