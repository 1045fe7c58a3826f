//! Importing what has changed in the record since a version was given it.
//!
//! One page is written after the other, none beside another: two pages may name the same document, and the later one has to win.

use super::{
    Run,
    write::{Document, Progress},
};
use crate::{
    db::reindex::{Phase, changes},
    worker::{import::Importer, stop::Stop},
};

/// So many pages are imported side by side at most.
const PAGES: i64 = 3;

impl Run<'_> {
    /// Goes once through the list of changes; gives how many there were.
    pub(super) async fn catch_up(&self, importer: &Importer<'_>, phase: Phase) -> Result<i64, Stop> {
        let (rows, bytes) = self.page_size();
        let (mut after, mut seen) = (String::new(), 0);
        loop {
            let mut changed = changes::read(&self.worker.pool, self.id(), &after, rows * PAGES, bytes * PAGES).await?;
            let Some(last) = changed.last() else { return Ok(seen) };
            after.clone_from(&last.document_id);
            seen += changed.len() as i64;
            let documents = changed.iter_mut().map(|change| Document {
                id: change.document_id.clone(),
                version: change.version,
                // Taken, so that a body is held once.
                body: change.body.take(),
            });
            let written = self.write(importer, documents.collect()).await?;
            self.settle(written, Progress { phase, position: None, changed: &changed }).await?;
        }
    }
}
