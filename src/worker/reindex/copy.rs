//! Filling a new version from the record: reading goes ahead, several pages are written side by side, and each is settled in the order
//! of ids, so that who is killed goes on behind the last one.

use futures::{FutureExt, StreamExt, stream::FuturesOrdered};

use super::{
    Run,
    write::{Document, Progress},
};
use crate::{
    db::reindex::{Phase, lease, record},
    worker::{import::Importer, stop::Stop},
};

/// Pages that are read and not settled, at most.
const AHEAD: usize = 4;

impl Run<'_> {
    /// Copies what the record holds behind where the last one stopped.
    pub(super) async fn copy(&self, importer: &Importer<'_>) -> Result<(), Stop> {
        let Some(mut position) = self.reindex.position.clone() else { return Ok(()) };
        let mut under_way = FuturesOrdered::new();
        let mut is_read = false;
        loop {
            while !is_read && under_way.len() < AHEAD {
                let page = self.page(&position).await?;
                match page.last() {
                    Some(last) => position.clone_from(&last.id),
                    None => {
                        is_read = true;
                        break;
                    }
                }
                let end = position.clone();
                under_way.push_back(async move { Ok::<_, Stop>((self.write(importer, page).await?, end)) }.boxed());
            }
            let Some(written) = under_way.next().await else { break };
            let (written, end) = written?;
            let progress = Progress { phase: Phase::Building, position: Some(&end), changed: &[] };
            self.settle(written, progress).await?;
        }
        match lease::copied(&self.worker.pool, self.lease).await? {
            true => Ok(()),
            false => Err(Stop::LeaseLost),
        }
    }

    async fn page(&self, after: &str) -> Result<Vec<Document>, sqlx::Error> {
        let (rows, bytes) = self.page_size();
        let read = record::read(&self.worker.pool, self.index.id, after, rows, bytes).await?;
        Ok(read
            .into_iter()
            .map(|document| Document { id: document.document_id, version: document.version, body: Some(document.body) })
            .collect())
    }

    /// Documents of one page, and bytes of them.
    pub(super) fn page_size(&self) -> (i64, i64) {
        let options = &self.worker.options;
        let size = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
        (size(options.import_lines), size(options.import_bytes))
    }
}
