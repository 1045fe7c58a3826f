//! Filling a new version from the record: reading goes ahead, several pages are written side by side, and each is settled in the order
//! of ids, so that who is killed goes on behind the last one.

use futures::FutureExt;
use tokio::sync::mpsc;

use super::{
    Run,
    write::{Document, Progress, Written},
};
use crate::{
    db::reindex::{Phase, lease, record},
    worker::{import::Importer, pipeline::write_in_order, stop::Stop},
};

impl Run<'_> {
    /// Copies what the record holds behind where the last one stopped.
    pub(super) async fn copy(&self, importer: &Importer<'_>) -> Result<(), Stop> {
        let Some(mut position) = self.reindex.position.clone() else { return Ok(()) };
        let (found, to_write) = mpsc::channel(1);
        let (written, mut to_settle) = mpsc::channel::<(Written, String)>(1);
        // Who can't pass something on stops: why is told by whoever does not take it.
        let reading = async move {
            loop {
                let page = self.page(&position).await?;
                let Some(last) = page.last() else { return Ok(()) };
                position.clone_from(&last.id);
                if found.send(page).await.is_err() {
                    return Ok(());
                }
            }
        };
        // Boxed, or the compiler can't prove that the run is `Send`.
        let writing = write_in_order(to_write, written, |page| self.write_page(importer, page).boxed());
        let settling = async move {
            while let Some((written, end)) = to_settle.recv().await {
                self.settle(written, Progress { phase: Phase::Building, position: Some(&end), changed: &[] }).await?;
            }
            Ok(())
        };
        let (read, written, settled): (Result<(), Stop>, Result<(), Stop>, Result<(), Stop>) =
            futures::join!(reading, writing, settling);
        settled.and(written).and(read)?;
        match lease::copied(&self.worker.pool, self.lease).await? {
            true => Ok(()),
            false => Err(Stop::LeaseLost),
        }
    }

    /// Writes a page, and gives the id that it ends with.
    async fn write_page(&self, importer: &Importer<'_>, page: Vec<Document>) -> Result<(Written, String), Stop> {
        let end = page.last().map(|document| document.id.clone()).unwrap_or_default();
        Ok((self.write(importer, page).await?, end))
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
