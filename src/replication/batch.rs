//! Which keys changed: gathered from the stream's messages, given away in batches.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use pgwire_replication::Lsn;

use super::{
    Error,
    pgoutput::{Message, Tuple, Value, read},
};

/// The values of a row's key columns as PostgreSQL writes them, `None` where it is null. Times are in UTC and in ISO's style.
pub type Key = Vec<Option<String>>;

/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
const EPOCH: i64 = 946_684_800_000_000;
/// Bytes of keys of one batch.
const MAX_BYTES: usize = 4 << 20;
/// What a key takes in memory beside its text.
const KEY_OVERHEAD: usize = 64;

/// What happened to the table. A batch without keys tells only that nothing did, up to its position.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// Keys whose rows were written or deleted, each once and in no order. Of a row whose key was changed, both.
    pub keys: Vec<Key>,
    /// The table, or a part of it, was emptied: any row may be gone.
    pub truncated: bool,
    /// The table may have been altered: look at its columns again. Said too where it was only analyzed or vacuumed, and of each
    /// partition's first change, for the stream does not tell these apart. Not said of what was altered while no stream was open,
    /// nor before a row changes.
    pub schema_changed: bool,
    /// What may be confirmed once this batch and all before it are in their place. `None`: only a part of a transaction.
    pub position: Option<Lsn>,
    /// When the last transaction in it that changed something was committed, by the source's clock.
    pub committed_at: Option<DateTime<Utc>>,
}

/// Gathers batches.
pub(super) struct Gatherer {
    key_columns: Vec<String>,
    max_keys: usize,
    /// Of each table that was described (the table itself, what inherits from it) where in a row the key's columns are, if all are.
    places: HashMap<u32, Option<Vec<usize>>>,
    keys: HashSet<Key>,
    bytes: usize,
    truncated: bool,
    schema_changed: bool,
    changed_at: Option<i64>,
    /// Behind all that has been read, as far as it is whole transactions.
    position: Lsn,
    /// The position of the last batch that had one.
    given: Lsn,
    /// While in a transaction: when it was committed.
    transaction: Option<i64>,
}

impl Gatherer {
    /// Gathers keys of these columns, so many in a batch at most.
    pub(super) fn new(key_columns: Vec<String>, max_keys: usize) -> Self {
        Self {
            key_columns,
            max_keys: max_keys.max(1),
            places: HashMap::new(),
            keys: HashSet::new(),
            bytes: 0,
            truncated: false,
            schema_changed: false,
            changed_at: None,
            position: Lsn::ZERO,
            given: Lsn::ZERO,
            transaction: None,
        }
    }

    /// Takes in one message of the stream.
    pub(super) fn message(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match read(bytes)? {
            Message::Begin { committed_at } => self.transaction = Some(committed_at),
            Message::Commit { end } => {
                self.transaction = None;
                self.position = self.position.max(end);
            }
            Message::Relation { id, columns } => {
                // Beside a partitioned table its partitions are described, with columns that may not be the published ones; no
                // change is theirs.
                let place = |key: &String| columns.iter().position(|column| column == key);
                let places = self.key_columns.iter().map(place).collect();
                if self.places.insert(id, places).is_some() {
                    self.schema_changed = true;
                    self.changed();
                }
            }
            Message::Insert { relation, new } => self.row(relation, &new, None)?,
            Message::Update { relation, old, new } => {
                if let Some(old) = &old {
                    self.row(relation, old, None)?;
                }
                self.row(relation, &new, old.as_ref())?;
            }
            Message::Delete { relation, old } => self.row(relation, &old, None)?,
            Message::Truncate { relations } => {
                if relations.iter().any(|id| self.places.contains_key(id)) {
                    self.truncated = true;
                    self.changed();
                }
            }
            Message::Other => {}
        }
        Ok(())
    }

    /// The source has read its log up to here, and sent what there was to send.
    pub(super) fn read_up_to(&mut self, position: Lsn) {
        if self.transaction.is_none() {
            self.position = self.position.max(position);
        }
    }

    /// Something to tell beside a position.
    pub(super) fn has_changes(&self) -> bool {
        self.changed_at.is_some()
    }

    /// The position has moved since it was given.
    pub(super) fn has_moved(&self) -> bool {
        self.position > self.given
    }

    pub(super) fn is_within_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// As much as a batch may hold.
    pub(super) fn is_full(&self) -> bool {
        self.keys.len() >= self.max_keys || self.bytes >= MAX_BYTES
    }

    /// What has been gathered.
    pub(super) fn take(&mut self) -> Batch {
        self.bytes = 0;
        let position = self.has_moved().then_some(self.position);
        self.given = self.position;
        Batch {
            keys: std::mem::take(&mut self.keys).into_iter().collect(),
            truncated: std::mem::take(&mut self.truncated),
            schema_changed: std::mem::take(&mut self.schema_changed),
            position,
            committed_at: self.changed_at.take().and_then(|micros| DateTime::from_timestamp_micros(micros + EPOCH)),
        }
    }

    fn changed(&mut self) {
        self.changed_at = Some(self.transaction.unwrap_or_default());
    }

    /// Notes a row's key. What the row leaves out stands in the row before it.
    fn row(&mut self, relation: u32, row: &Tuple<'_>, before: Option<&Tuple<'_>>) -> Result<(), Error> {
        let places = self.places.get(&relation).and_then(Option::as_ref).ok_or_else(|| {
            Error::Unreadable(format!("a change of table {relation}, whose key columns were not described"))
        })?;
        let value = |&place: &usize| match (row.get(place), before.and_then(|row| row.get(place))) {
            (Some(Value::Null), _) | (Some(Value::Unchanged), Some(Value::Null)) => Ok(None),
            (Some(Value::Text(text)), _) | (Some(Value::Unchanged), Some(Value::Text(text))) => {
                Ok(Some((*text).to_owned()))
            }
            _ => Err(Error::Unreadable("a change does not tell its key".to_owned())),
        };
        let key: Key = places.iter().map(value).collect::<Result<_, _>>()?;
        let bytes = KEY_OVERHEAD + key.iter().flatten().map(String::len).sum::<usize>();
        if self.keys.insert(key) {
            self.bytes += bytes;
        }
        self.changed();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::pgoutput::tests::{begin, change, commit, relation, truncate, tuple},
        Batch, EPOCH, Gatherer, Key, Lsn,
    };

    fn gatherer() -> Gatherer {
        let mut gatherer = Gatherer::new(vec!["b".to_owned(), "a".to_owned()], 3);
        gatherer.message(&relation(1, &["a", "x", "b"])).unwrap();
        gatherer
    }

    fn feed(gatherer: &mut Gatherer, messages: &[Vec<u8>]) {
        for message in messages {
            gatherer.message(message).unwrap();
        }
    }

    fn insert(a: &str, b: &str) -> Vec<u8> {
        change(b'I', 1, &[tuple(b'N', &[Some(a), Some("x"), Some(b)])])
    }

    fn key(b: &str, a: &str) -> Key {
        vec![Some(b.to_owned()), Some(a.to_owned())]
    }

    fn sorted(mut batch: Batch) -> Batch {
        batch.keys.sort();
        batch
    }

    #[test]
    fn keys_come_once_and_in_the_order_of_the_key_columns() {
        let mut gatherer = gatherer();
        let update = change(b'U', 1, &[tuple(b'N', &[Some("1"), None, Some("2")])]);
        feed(&mut gatherer, &[begin(1_000_000), insert("1", "2"), update, commit(50)]);
        let batch = gatherer.take();
        assert_eq!(batch.keys, [key("2", "1")]);
        assert_eq!(batch.position, Some(Lsn(50)));
        assert_eq!(batch.committed_at.unwrap().timestamp_micros(), EPOCH + 1_000_000);
        assert_eq!(gatherer.take(), Batch::default());
    }

    #[test]
    fn a_changed_key_comes_before_and_after() {
        let mut gatherer = gatherer();
        let old = tuple(b'K', &[Some("1"), None, Some("2")]);
        let new = tuple(b'N', &[Some("3"), Some("~"), Some("~")]);
        feed(&mut gatherer, &[begin(0), change(b'U', 1, &[old, new]), commit(1)]);
        assert_eq!(sorted(gatherer.take()).keys, [key("2", "1"), key("2", "3")]);
    }

    #[test]
    fn a_key_that_is_nowhere_told_is_an_error() {
        let mut gatherer = gatherer();
        gatherer.message(&change(b'U', 1, &[tuple(b'N', &[Some("~"), None, Some("2")])])).unwrap_err();
        gatherer.message(&change(b'D', 1, &[tuple(b'K', &[Some("1")])])).unwrap_err();
        gatherer.message(&change(b'D', 7, &[tuple(b'K', &[Some("1")])])).unwrap_err();
        gatherer.message(&relation(2, &["a"])).unwrap();
        gatherer.message(&change(b'D', 2, &[tuple(b'K', &[Some("1")])])).unwrap_err();
    }

    #[test]
    fn within_a_transaction_only_what_was_whole_before_can_be_confirmed() {
        let mut gatherer = gatherer();
        feed(&mut gatherer, &[begin(1), insert("1", "1"), commit(10), begin(2), insert("2", "2")]);
        assert_eq!(gatherer.take().position, Some(Lsn(10)));
        gatherer.read_up_to(Lsn(99));
        feed(&mut gatherer, &[insert("3", "3")]);
        assert!(!gatherer.is_full());
        feed(&mut gatherer, &[insert("4", "4"), insert("5", "5")]);
        assert!(gatherer.is_full());
        assert_eq!(gatherer.take().position, None);
        feed(&mut gatherer, &[commit(20)]);
        assert_eq!(gatherer.take(), Batch { position: Some(Lsn(20)), ..Batch::default() });
    }

    #[test]
    fn a_batch_is_full_of_bytes_too() {
        let mut gatherer = gatherer();
        let long = "x".repeat(super::MAX_BYTES);
        feed(&mut gatherer, &[begin(0), insert(&long, "1")]);
        assert!(gatherer.is_full());
        gatherer.take();
        assert!(!gatherer.is_full());
    }

    #[test]
    fn outside_of_transactions_the_position_moves_and_never_back() {
        let mut gatherer = gatherer();
        gatherer.read_up_to(Lsn(7));
        assert!(gatherer.has_moved() && !gatherer.has_changes());
        assert_eq!(gatherer.take().position, Some(Lsn(7)));
        gatherer.read_up_to(Lsn(5));
        assert!(!gatherer.has_moved());
        assert_eq!(gatherer.take().position, None);
    }

    #[test]
    fn an_emptied_or_altered_table_is_told() {
        let mut gatherer = gatherer();
        feed(&mut gatherer, &[begin(0), truncate(&[5]), commit(1)]);
        assert!(!gatherer.has_changes());
        feed(&mut gatherer, &[begin(0), truncate(&[5, 1]), commit(2)]);
        assert!(gatherer.take().truncated);
        feed(&mut gatherer, &[begin(0), relation(1, &["b", "a"])]);
        let new = change(b'I', 1, &[tuple(b'N', &[Some("2"), Some("1")])]);
        feed(&mut gatherer, &[new, commit(3)]);
        let batch = gatherer.take();
        assert!(batch.schema_changed && !batch.truncated);
        assert_eq!(batch.keys, [key("2", "1")]);
    }
}
