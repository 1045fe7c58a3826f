//! Whether a collection holds what its table does: every row against its document, and every document against the rows.
//!
//! Rows are read in ranges, each in a snapshot of its own, and documents after them, so writers that go on make differences that are
//! none. What looks different is therefore looked at once more, at the end; only what is different then, too, counts.

use std::collections::HashSet;

use futures::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    db::{self, sync::chunk},
    domain::document::VECTOR_FIELD,
    source::{self, Document, Range, Row, Source, split_id, statement::Statement},
    typesense::{self, Client},
};

/// Rows of one look.
const ROWS: usize = 500;
/// Ids that are named for each kind of difference.
const NAMED: usize = 20;
/// Differences that are kept to be looked at again; a table with more is another table.
const KEPT: usize = 100_000;

/// Why a comparison broke off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Source(#[from] source::Error),
    #[error(transparent)]
    Typesense(#[from] typesense::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// There is nothing to compare with yet.
    #[error("the job has not been synced yet: run it first")]
    NotSynced,
}

/// What is to be compared.
pub struct Comparison<'a> {
    pub pool: &'a PgPool,
    pub job_id: Uuid,
    pub source: &'a mut Source,
    pub statement: &'a Statement,
    pub typesense: &'a Client,
    /// The collection itself, no alias.
    pub collection: &'a str,
    /// Whether nobody else writes there.
    pub is_owned: bool,
}

/// How a table and its collection differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = DriftReport)]
pub struct Drift {
    pub source_row_count: u64,
    pub collection_document_count: u64,
    /// Rows that have no document, but for those that Typesense refused.
    pub missing: u64,
    /// Documents that have no row; of a collection that is shared, those that the job has written.
    pub extra: u64,
    /// Documents that do not say what their row does.
    pub different: u64,
    /// Rows that Typesense refused: the dead letters tell why.
    pub refused: u64,
    pub in_sync: bool,
    /// Some of the ids of each kind.
    pub samples: Samples,
    /// All of the ids.
    #[serde(skip)]
    pub ids: Vec<String>,
}

/// Ids, some of each kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = DriftSamples)]
pub struct Samples {
    pub missing: Vec<String>,
    pub extra: Vec<String>,
    pub different: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Missing,
    Extra,
    Different,
}

impl Comparison<'_> {
    /// Compares; nothing is changed anywhere.
    pub async fn run(self) -> Result<Drift, Error> {
        let caught_up = self.typesense.caught_up(self.collection).await?.ok_or(Error::NotSynced)?;
        Comparison { typesense: &caught_up, ..self }.compare().await
    }

    async fn compare(mut self) -> Result<Drift, Error> {
        let refused: HashSet<String> = db::sync::settle::refused(self.pool, self.job_id).await?.into_iter().collect();
        let mut drift = Drift { refused: refused.len() as u64, ..Drift::default() };
        let (mut suspects, seen) = self.rows(&mut drift).await?;
        self.documents(&mut drift, &seen, &mut suspects).await?;
        suspects.retain(|(id, _)| !refused.contains(id));
        for suspects in suspects.chunks(ROWS) {
            for (id, kind) in self.again(suspects).await? {
                let (count, sample) = match kind {
                    Kind::Missing => (&mut drift.missing, &mut drift.samples.missing),
                    Kind::Extra => (&mut drift.extra, &mut drift.samples.extra),
                    Kind::Different => (&mut drift.different, &mut drift.samples.different),
                };
                *count += 1;
                if sample.len() < NAMED {
                    sample.push(id.clone());
                }
                drift.ids.push(id);
            }
        }
        drift.in_sync = drift.ids.is_empty();
        Ok(drift)
    }

    /// Holds every row against its document; gives what looks different, and hashes of all ids, in order.
    async fn rows(&mut self, drift: &mut Drift) -> Result<(Vec<(String, Kind)>, Vec<u64>), Error> {
        let (mut suspects, mut seen, mut lower) = (Vec::new(), Vec::new(), None::<Vec<String>>);
        loop {
            let range = Range { lower: lower.as_deref(), upper: None, limit: ROWS, since: None };
            let read = self.source.range(self.statement, range, |_, _| true).await?;
            drift.source_row_count += read.rows.len() as u64;
            seen.extend(read.rows.iter().map(|row| xxh3_64(row.id.as_bytes())));
            suspects.extend(self.judge(read.rows.iter()).await?);
            suspects.truncate(KEPT);
            if read.is_complete {
                break;
            }
            lower = read.rows.last().map(|row| row.key.clone());
        }
        seen.sort_unstable();
        Ok((suspects, seen))
    }

    async fn judge(&self, rows: impl Iterator<Item = &Row>) -> Result<Vec<(String, Kind)>, Error> {
        let rows: Vec<(&str, &str)> = rows
            .filter_map(|row| match &row.document {
                Document::Made(document) => Some((row.id.as_str(), document.as_str())),
                _ => None,
            })
            .collect();
        let ids: Vec<&str> = rows.iter().map(|(id, _)| *id).collect();
        let held = self.held(&ids).await?;
        let judged = rows.into_iter().filter_map(|(id, document)| {
            let kind = match held.get(id) {
                None => Kind::Missing,
                Some(held) if is_same(held, &serde_json::from_str(document).unwrap_or_default()) => return None,
                Some(_) => Kind::Different,
            };
            Some((id.to_owned(), kind))
        });
        Ok(judged.collect())
    }

    /// Documents by their ids, without their vectors, however large they are together.
    async fn held(&self, ids: &[&str]) -> Result<std::collections::HashMap<String, Value>, Error> {
        match self.typesense.documents(self.collection, ids, None).await {
            Err(typesense::Error::TooLarge) if ids.len() > 1 => {
                let (first, second) = ids.split_at(ids.len() / 2);
                let mut held = Box::pin(self.held(first)).await?;
                held.extend(Box::pin(self.held(second)).await?);
                Ok(held)
            }
            held => {
                let mut held = held?;
                // No row has it.
                held.values_mut()
                    .filter_map(Value::as_object_mut)
                    .for_each(|document| drop(document.remove(VECTOR_FIELD)));
                Ok(held)
            }
        }
    }

    /// Looks for documents without a row.
    async fn documents(
        &self,
        drift: &mut Drift,
        seen: &[u64],
        suspects: &mut Vec<(String, Kind)>,
    ) -> Result<(), Error> {
        let own = match self.is_owned {
            true => None,
            false => Some(self.written().await?),
        };
        let mut ids = std::pin::pin!(self.typesense.ids_matching(self.collection, "").await?);
        while let Some(id) = ids.try_next().await? {
            drift.collection_document_count += 1;
            let hash = xxh3_64(id.as_bytes());
            let is_ours = own.as_ref().is_none_or(|own| own.binary_search(&hash).is_ok());
            if is_ours && suspects.len() < KEPT && seen.binary_search(&hash).is_err() {
                suspects.push((id, Kind::Extra));
            }
        }
        Ok(())
    }

    /// Hashes of the ids that the job has written, in order.
    async fn written(&self) -> Result<Vec<u64>, Error> {
        let mut hashes = Vec::new();
        let mut after = None;
        loop {
            let chunks = chunk::following(self.pool, self.job_id, self.collection, i64::MAX, after, 8).await?;
            let Some(last) = chunks.last() else { break };
            after = Some(last.place);
            let written = chunks.iter().flat_map(|chunk| &chunk.entries).filter(|(_, entry)| entry.may_be_there());
            hashes.extend(written.map(|(id, _)| xxh3_64(id.as_bytes())));
        }
        hashes.sort_unstable();
        Ok(hashes)
    }

    /// Looks once more at what looked different.
    async fn again(&mut self, suspects: &[(String, Kind)]) -> Result<Vec<(String, Kind)>, Error> {
        let columns = self.statement.id.len();
        let keys: Vec<Vec<String>> = suspects.iter().map(|(id, _)| split_id(id, columns)).collect();
        let found = match self.source.by_id(self.statement, &keys).await {
            Ok(found) => found,
            // One of them can't be an id of this table: somebody else's document.
            Err(error) if !error.is_transient() => {
                let mut found = Vec::new();
                for (key, (id, _)) in keys.iter().zip(suspects) {
                    match self.source.by_id(self.statement, std::slice::from_ref(key)).await {
                        Ok(one) => found.extend(one),
                        Err(error) if error.is_transient() => return Err(error.into()),
                        Err(_) => found.push((id.clone(), None)),
                    }
                }
                found
            }
            Err(error) => return Err(error.into()),
        };
        let mut drifted = self.judge(found.iter().filter_map(|(_, row)| row.as_ref())).await?;
        let gone: Vec<&str> = found.iter().filter(|(_, row)| row.is_none()).map(|(id, _)| id.as_str()).collect();
        let held = self.held(&gone).await?;
        drifted.extend(gone.into_iter().filter(|id| held.contains_key(*id)).map(|id| (id.to_owned(), Kind::Extra)));
        Ok(drifted)
    }
}

/// Whether two documents say the same; 1 and 1.0 do.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_the_same_that_say_the_same() {
        assert!(is_same(&json!({ "a": [1, { "b": 2.0 }] }), &json!({ "a": [1.0, { "b": 2 }] })));
        for other in [json!({ "a": 1 }), json!({ "a": "1" }), json!({}), json!({ "a": [1, 2] }), json!({ "b": [1] })] {
            assert!(!is_same(&json!({ "a": [1] }), &other), "{other}");
        }
    }
}
