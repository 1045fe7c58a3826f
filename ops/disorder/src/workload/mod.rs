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
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    oracle::Oracle,
    site::{Site, Tenant},
};

pub(crate) use reindexes::Charged;
pub(crate) use searches::Searched;

/// What was written and searched, once all of it has ended.
pub(crate) struct Written {
    pub(crate) books: Vec<Oracle>,
    pub(crate) shelf: Oracle,
    pub(crate) compat: Oracle,
    pub(crate) searched: Searched,
    pub(crate) reindexed: Charged,
}

pub(crate) struct Workload {
    stop: CancellationToken,
    books: Vec<AbortOnDropHandle<anyhow::Result<Oracle>>>,
    shelf: AbortOnDropHandle<anyhow::Result<Oracle>>,
    compat: AbortOnDropHandle<anyhow::Result<Oracle>>,
    searched: AbortOnDropHandle<anyhow::Result<Searched>>,
    reindexed: AbortOnDropHandle<anyhow::Result<Charged>>,
    others: Vec<AbortOnDropHandle<anyhow::Result<()>>>,
}

impl Workload {
    pub(crate) fn start(site: &Arc<Site>, tenants: &[Arc<Tenant>; 4], random: &mut StdRng) -> Self {
        let stop = CancellationToken::new();
        let mut seeded = || StdRng::seed_from_u64(random.random());
        let [books, shelf, compat, found] = tenants;
        Self {
            books: (1..=2)
                .map(|number| begin(documents::write(books.clone(), number, seeded(), stop.clone())))
                .collect(),
            shelf: begin(by_filter::write(shelf.clone(), seeded(), stop.clone())),
            compat: begin(compatible::write(compat.clone(), seeded(), stop.clone())),
            searched: begin(searches::search(found.clone(), seeded(), stop.clone())),
            reindexed: begin(reindexes::reindex(books.clone(), seeded(), stop.clone())),
            others: vec![
                begin(tables::change(site.clone(), seeded(), stop.clone())),
                begin(tables::run(site.clone(), seeded(), stop.clone())),
            ],
            stop,
        }
    }

    /// Waits until every request that is under way has its answer.
    pub(crate) async fn stop(self) -> anyhow::Result<Written> {
        self.stop.cancel();
        let mut books = Vec::new();
        for writer in self.books {
            books.push(ended(writer).await?);
        }
        let written = Written {
            books,
            shelf: ended(self.shelf).await?,
            compat: ended(self.compat).await?,
            searched: ended(self.searched).await?,
            reindexed: ended(self.reindexed).await?,
        };
        for other in self.others {
            ended(other).await?;
        }
        Ok(written)
    }
}

/// Begins a part of the workload, which ends when nobody waits for it any more.
fn begin<T: Send + 'static>(part: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(part))
}

async fn ended<T>(task: AbortOnDropHandle<anyhow::Result<T>>) -> anyhow::Result<T> {
    task.await.map_err(|error| anyhow!("a part of the workload broke off: {error}"))?
}

/// A breath between two requests.
async fn breathe(random: &mut StdRng, stop: &CancellationToken, millis: std::ops::Range<u64>) {
    let pause = Duration::from_millis(random.random_range(millis));
    let _ = tokio::time::timeout(pause, stop.cancelled()).await;
}
