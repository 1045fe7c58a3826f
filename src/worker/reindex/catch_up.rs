//! Writing what has changed in the record since a version was given it.
//!
//! One page is written after the other, none beside another: two pages may name the same document, and the later one has to win.

use super::{
    Run, Writing,
    write::{Document, Progress},
};
use crate::{
    db::reindex::{Phase, changes},
    worker::stop::Stop,
};

/// So many pages are imported side by side at most.
const PAGES: i64 = 3;

impl Run<'_> {
    /// Goes once through the list of changes; gives how many there were.
    pub(super) async fn catch_up(&self, writing: &Writing<'_>, phase: Phase) -> Result<i64, Stop> {
        let (rows, bytes) = self.page_size();
        let (mut after, mut seen) = (String::new(), 0);
        loop {
            let changed = changes::read(&self.worker.pool, self.id(), &after, rows * PAGES, bytes * PAGES).await?;
            let Some(last) = changed.last() else { return Ok(seen) };
            after.clone_from(&last.document_id);
            seen += changed.len() as i64;
            let documents = changed.iter().map(|change| Document {
                id: change.document_id.clone(),
                version: change.version,
                body: change.body.clone(),
            });
            let written = self.write(writing, documents.collect()).await?;
            self.settle(written, Progress { phase, position: None, changed: &changed }).await?;
        }
    }
}
