//! What goes on while everything breaks: writers with an oracle each, searches, reindexes, and tables that change.

mod by_filter;
mod compatible;
mod documents;
pub(crate) mod reindexes;
mod searches;
pub(crate) mod tables;

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    oracle::Oracle,
    site::{Site, Tenant},
};

pub(crate) use reindexes::Charged;
pub(crate) use searches::Searched;

/// What was written and searched, once all of it has ended.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) books: Vec<Oracle>,
    pub(crate) shelf: Oracle,
    pub(crate) compat: Oracle,
    pub(crate) searched: Searched,
    pub(crate) reindexed: Charged,
}

/// What one part of the workload knows at its end.
enum Part {
    Books(Oracle),
    Shelf(Oracle),
    Compat(Oracle),
    Searched(Searched),
    Reindexed(Charged),
    Tables,
}

pub(crate) struct Workload {
    stop: CancellationToken,
    /// Broken off where nobody waits for them any more.
    parts: JoinSet<anyhow::Result<Part>>,
}

impl Workload {
    pub(crate) fn start(site: &Arc<Site>, tenants: &[Arc<Tenant>; 4], random: &mut StdRng) -> Self {
        let ending = CancellationToken::new();
        let mut parts = JoinSet::new();
        let mut given = || (StdRng::seed_from_u64(random.random()), ending.clone());
        let [books, shelf, compat, found] = tenants.clone();
        for number in 1..=2 {
            let (tenant, (random, stop)) = (books.clone(), given());
            parts.spawn(async move { Ok(Part::Books(documents::write(tenant, number, random, stop).await?)) });
        }
        let (random, stop) = given();
        parts.spawn(async move { Ok(Part::Shelf(by_filter::write(shelf, random, stop).await?)) });
        let (random, stop) = given();
        parts.spawn(async move { Ok(Part::Compat(compatible::write(compat, random, stop).await?)) });
        let (random, stop) = given();
        parts.spawn(async move { Ok(Part::Searched(searches::search(found, random, stop).await?)) });
        let (random, stop) = given();
        parts.spawn(async move { Ok(Part::Reindexed(reindexes::reindex(books, random, stop).await?)) });
        let (changed, (random, stop)) = (site.clone(), given());
        parts.spawn(async move { tables::change(changed, random, stop).await.map(|()| Part::Tables) });
        let (run, (random, stop)) = (site.clone(), given());
        parts.spawn(async move { tables::run(run, random, stop).await.map(|()| Part::Tables) });
        Self { stop: ending, parts }
    }

    /// Waits until every request that is under way has its answer.
    pub(crate) async fn stop(mut self) -> anyhow::Result<Written> {
        self.stop.cancel();
        let mut written = Written::default();
        while let Some(part) = self.parts.join_next().await {
            match part.map_err(|error| anyhow!("a part of the workload broke off: {error}"))?? {
                Part::Books(oracle) => written.books.push(oracle),
                Part::Shelf(oracle) => written.shelf = oracle,
                Part::Compat(oracle) => written.compat = oracle,
                Part::Searched(searched) => written.searched = searched,
                Part::Reindexed(charged) => written.reindexed = charged,
                Part::Tables => {}
            }
        }
        Ok(written)
    }
}

/// A breath between two requests.
async fn breathe(random: &mut StdRng, stop: &CancellationToken, millis: std::ops::Range<u64>) {
    let pause = Duration::from_millis(random.random_range(millis));
    let _ = tokio::time::timeout(pause, stop.cancelled()).await;
}
