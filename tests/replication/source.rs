//! A user's database with a table to follow.

use std::{collections::BTreeSet, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tidewell::replication::{
    Batch, Error, Key, Lsn, Options, Prepared, Stream, Target, drop_publication, drop_slot, prepare,
};
use uuid::Uuid;

use crate::support::servers::servers;

/// Nothing here takes this long unless it never happens.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Source {
    pub(super) url: String,
    pub(super) admin: PgConnection,
    pub(super) target: Target,
}

/// What came out of a stream.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) keys: BTreeSet<Key>,
    pub(super) batches: Vec<Batch>,
    /// The largest position.
    pub(super) position: Lsn,
}

impl Source {
    /// A fresh database of the shared server, set up by this SQL, whose table `things` is to be followed by these columns.
    pub(super) async fn with(sql: &str, key_columns: &[&str]) -> Self {
        Self::at(servers().await.fresh_database().await, sql, key_columns).await
    }

    pub(super) async fn at(url: String, sql: &str, key_columns: &[&str]) -> Self {
        let admin = PgConnection::connect(&url).await.expect("the source");
        let target = Target {
            schema: "public".to_owned(),
            table: "things".to_owned(),
            key_columns: key_columns.iter().map(|&column| column.to_owned()).collect(),
            name: format!("tidewell_{}", Uuid::new_v4().simple()),
        };
        let mut source = Self { url, admin, target };
        source.run(sql).await;
        source
    }

    /// The usual one: a number and a text.
    pub(super) async fn simple() -> Self {
        Self::with("create table things (id bigint primary key, name text)", &["id"]).await
    }

    /// Connected once more.
    pub(super) async fn again(self) -> Self {
        Self { admin: PgConnection::connect(&self.url).await.expect("the source"), ..self }
    }

    pub(super) async fn run(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.admin).await.expect(sql);
    }

    pub(super) async fn prepare(&mut self) -> Result<Prepared, Error> {
        prepare(&mut self.admin, &self.target).await
    }

    /// Prepares for the first time.
    pub(super) async fn prepare_anew(&mut self) {
        assert_eq!(self.prepare().await.expect("prepared"), Prepared::Anew { lost: None });
    }

    pub(super) async fn open(&self) -> Stream {
        self.open_by(&Options::default()).await
    }

    pub(super) async fn open_by(&self, options: &Options) -> Stream {
        Stream::open(&self.url, &self.target, options).await.expect("a stream")
    }

    /// Prepared and open.
    pub(super) async fn follow(&mut self) -> Stream {
        self.prepare_anew().await;
        self.open().await
    }

    pub(super) async fn end(mut self) {
        drop_slot(&mut self.admin, &self.target.name, true).await.expect("no slot");
        drop_publication(&mut self.admin, &self.target.name).await.expect("no publication");
        self.admin.close().await.expect("an end");
    }
}

/// The key of one column, or of several.
pub(super) fn key<const N: usize>(values: [&str; N]) -> Key {
    values.map(|value| Some(value.to_owned())).into()
}

pub(super) fn keys<const N: usize>(values: [&str; N]) -> BTreeSet<Key> {
    values.into_iter().map(|value| key([value])).collect()
}

/// Everything up to the batch after which this holds.
pub(super) async fn until(stream: &mut Stream, mut holds: impl FnMut(&Seen) -> bool) -> Seen {
    let mut seen = Seen::default();
    let reading = async {
        while !holds(&seen) {
            let Some(batch) = stream.next().await.expect("a batch") else { continue };
            seen.keys.extend(batch.keys.iter().cloned());
            seen.position = seen.position.max(batch.position.unwrap_or_default());
            seen.batches.push(batch);
        }
    };
    let done = tokio::time::timeout(PATIENCE, reading).await;
    assert!(done.is_ok(), "waited in vain; seen: {seen:?}");
    seen
}

/// Everything up to the transaction with this key, its end included.
pub(super) async fn through(stream: &mut Stream, last: Key) -> Seen {
    until(stream, |seen| {
        let is_whole = seen.batches.last().is_some_and(|batch| batch.position.is_some());
        is_whole && seen.keys.contains(&last)
    })
    .await
}

/// The error that the stream ends with.
pub(super) async fn end_of(stream: &mut Stream) -> Error {
    let reading = async {
        loop {
            if let Err(error) = stream.next().await {
                return error;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("an end")
}
