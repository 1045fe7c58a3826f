//! Answers kept for the short time that an index allows. Only [`super::run`] asks here, behind authentication, rate and quota.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::counter;
use moka::{Expiry, future::Cache};
use uuid::Uuid;

use super::mode::Ranking;
use crate::{db::index::Index, metrics::SEARCH_CACHE_LOOKUPS, typesense::Found};

/// Bytes of all answers together, with what they are found by.
const MAX_BYTES: u64 = 32 << 20;

/// What an answer depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    organization_id: Uuid,
    /// The collection behind the alias: another one holds other documents.
    collection: Option<String>,
    /// How long such answers are kept; none are where it is 0.
    seconds: i32,
    /// Every parameter, and with them all filters that confine the search.
    pub(super) request: String,
    /// How its hits are ranked, and by which model where it is by meaning; empty where it is by words alone.
    ranking: String,
}

impl Key {
    pub(super) fn of(index: &Index, ranking: Ranking, request: String) -> Arc<Self> {
        let ranking = match ranking {
            Ranking::Keyword => String::new(),
            _ => format!("{ranking:?} {:?}", index.fingerprint),
        };
        Arc::new(Self {
            ranking,
            organization_id: index.organization_id,
            collection: index.collection.clone(),
            seconds: index.cache_seconds,
            request,
        })
    }
}

/// Kept answers. Cheap to clone.
#[derive(Clone)]
pub(in crate::http) struct Results(Cache<Arc<Key>, Arc<Found>>);

struct AsTheIndexSays;

impl Expiry<Arc<Key>, Arc<Found>> for AsTheIndexSays {
    fn expire_after_create(&self, key: &Arc<Key>, _: &Arc<Found>, _: Instant) -> Option<Duration> {
        Some(Duration::from_secs(key.seconds.try_into().unwrap_or(0)))
    }
}

impl Results {
    pub(in crate::http) fn new() -> Self {
        let weight = |key: &Arc<Key>, found: &Arc<Found>| {
            u32::try_from(size_of::<Key>() + key.request.len() + key.ranking.len() + found.bytes()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weight).expire_after(AsTheIndexSays).build())
    }

    pub(super) async fn get(&self, key: &Arc<Key>) -> Option<Arc<Found>> {
        if key.seconds == 0 {
            return None;
        }
        let kept = self.0.get(key).await;
        counter!(SEARCH_CACHE_LOOKUPS.name, "outcome" => if kept.is_some() { "hit" } else { "miss" }).increment(1);
        kept
    }

    pub(super) async fn keep(&self, key: &Arc<Key>, found: &Arc<Found>) {
        if key.seconds > 0 {
            self.0.insert(key.clone(), found.clone()).await;
        }
    }
}
