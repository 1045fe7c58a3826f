//! The comparison: the record against the collection, and a second look at what seems to differ.
//!
//! Of each document that should be there 8 bytes are kept, a hash of its id and version: the collection is right where the hashes of
//! what it exports are the same. So each side is read in one go, the record once more only where something is missing, and a million
//! documents take 9 MB. That two documents share a hash hides one of them; of a million the odds are one in thirty million.
//!
//! Both sides change meanwhile. So what seems to differ is looked at again, and counts only where nothing of it was under way before that
//! look and after it, and the record said the same at both times. A write is in the outbox or in flight from its acceptance until the
//! transaction that puts it into the record, so none can hide between the two.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{Error, Found, repair};
use crate::{
    db::drift::{Standing, expected, standings},
    domain::document::{VERSION_FIELD, id_fault},
    typesense::Client,
};

/// Documents of one second look: each look reads the index's whole backlog, and holds their ids.
const SUSPECTS: usize = 10_000;
/// Ids that are named for each kind of difference.
const NAMED: usize = 10;

/// One comparison, as far as it has come.
pub(super) struct Comparison<'a> {
    pool: &'a PgPool,
    typesense: &'a Client,
    index_id: Uuid,
    collection: &'a str,
    repair: bool,
    found: Found,
    /// Hashes of the ids that were not judged.
    pending: HashSet<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Missing,
    Extra,
    Stale,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        pool: &'a PgPool,
        typesense: &'a Client,
        index_id: Uuid,
        collection: &'a str,
        repair: bool,
    ) -> Self {
        Self { pool, typesense, index_id, collection, repair, found: Found::default(), pending: HashSet::new() }
    }

    pub(super) async fn run(mut self) -> Result<Found, Error> {
        let recorded = self.recorded().await?;
        self.found.documents = recorded.len() as u64;
        let mut is_seen = vec![false; recorded.len()];
        // Without a collection nothing is seen.
        if let Some(caught_up) = self.typesense.caught_up(self.collection).await? {
            self.extra_and_stale(&caught_up, &recorded, &mut is_seen).await?;
        }
        if is_seen.contains(&false) {
            self.missing(&recorded, &is_seen).await?;
        }
        self.found.pending = self.pending.len() as u64;
        Ok(self.found)
    }

    /// A hash of each document that should be there, in order.
    async fn recorded(&self) -> Result<Vec<u64>, Error> {
        let mut recorded = Vec::new();
        let mut pages = std::pin::pin!(expected(self.pool, self.index_id));
        while let Some(page) = pages.try_next().await? {
            recorded.extend(page.iter().map(|(id, version)| hash(id, *version)));
        }
        recorded.sort_unstable();
        Ok(recorded)
    }

    /// Reads the whole collection, and marks what is as it should be.
    async fn extra_and_stale(
        &mut self,
        caught_up: &Client,
        recorded: &[u64],
        is_seen: &mut [bool],
    ) -> Result<(), Error> {
        let mut suspects = Vec::new();
        let mut documents = std::pin::pin!(caught_up.field_of_all(self.collection, VERSION_FIELD).await?);
        while let Some((id, version)) = documents.try_next().await? {
            match recorded.binary_search(&hash(&id, held_version(version.as_ref()))) {
                Ok(place) => is_seen[place] = true,
                // No write can have such an id, so neither can a row of ours.
                Err(_) if id_fault(&id).is_some() => self.count(Kind::Extra, &id),
                Err(_) => suspects.push(id),
            }
            if suspects.len() == SUSPECTS {
                self.look_again(std::mem::take(&mut suspects), &[Kind::Extra, Kind::Stale]).await?;
            }
        }
        self.look_again(suspects, &[Kind::Extra, Kind::Stale]).await
    }

    /// Reads the record once more, for the ids of what was not seen.
    async fn missing(&mut self, recorded: &[u64], is_seen: &[bool]) -> Result<(), Error> {
        let mut pages = std::pin::pin!(expected(self.pool, self.index_id));
        while let Some(page) = pages.try_next().await? {
            // What has been written since is not among those that were looked for.
            let is_unseen = |(id, version): &(String, i64)| {
                recorded.binary_search(&hash(id, *version)).is_ok_and(|place| !is_seen[place])
            };
            let suspects = page.into_iter().filter(is_unseen).map(|(id, _)| id).collect();
            self.look_again(suspects, &[Kind::Missing]).await?;
        }
        Ok(())
    }

    /// Looks at suspects a second time; only differences of these kinds count.
    async fn look_again(&mut self, suspects: Vec<String>, kinds: &[Kind]) -> Result<(), Error> {
        if suspects.is_empty() {
            return Ok(());
        }
        let before = standings(self.pool, self.index_id, &suspects).await?;
        let held = self.held(&suspects).await?;
        let after = standings(self.pool, self.index_id, &suspects).await?;
        let mut drifted = Vec::new();
        for (before, after) in before.into_iter().zip(after) {
            let held = held.get(&after.document_id).map(|version| held_version(version.as_ref()));
            let Some(kind) = difference(&after, held).filter(|kind| kinds.contains(kind)) else { continue };
            if after.is_under_way || before != after {
                self.pending.insert(xxh3_64(after.document_id.as_bytes()));
            } else {
                self.count(kind, &after.document_id);
                drifted.push(after.document_id);
            }
        }
        if self.repair && !drifted.is_empty() {
            self.found.repaired += drifted.len() as u64;
            let mut tx = self.pool.begin().await?;
            repair::reproject(&mut tx, self.index_id, drifted).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// The versions of documents as the collection has them.
    async fn held(&self, ids: &[String]) -> Result<HashMap<String, Option<Value>>, Error> {
        // A node that was started again since the last look tells of the past until it has caught up.
        let Some(caught_up) = self.typesense.caught_up(self.collection).await? else { return Ok(HashMap::new()) };
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        Ok(caught_up.field_of(self.collection, &ids, VERSION_FIELD).await?)
    }

    fn count(&mut self, kind: Kind, id: &str) {
        let found = &mut self.found;
        let (count, sample) = match kind {
            Kind::Missing => (&mut found.missing, &mut found.samples.missing),
            Kind::Extra => (&mut found.extra, &mut found.samples.extra),
            Kind::Stale => (&mut found.stale, &mut found.samples.stale),
        };
        *count += 1;
        if sample.len() < NAMED {
            sample.push(id.to_owned());
        }
    }
}

fn hash(id: &str, version: i64) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), version.cast_unsigned())
}

/// The version that a document says it has; 0, which no write has, where it says none.
fn held_version(version: Option<&Value>) -> i64 {
    version.and_then(Value::as_i64).unwrap_or(0)
}

/// How what the collection holds (`None`: no document) differs from the record.
fn difference(recorded: &Standing, held: Option<i64>) -> Option<Kind> {
    match (recorded.is_there, held) {
        (true, None) => Some(Kind::Missing),
        (true, Some(version)) => (version != recorded.version).then_some(Kind::Stale),
        (false, Some(_)) => Some(Kind::Extra),
        (false, None) => None,
    }
}
