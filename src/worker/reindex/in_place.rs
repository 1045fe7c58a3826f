//! Adding optional fields to the collection that is live: Typesense indexes what documents have of them, and nothing else changes.

use super::Run;
use crate::{db::reindex::swap, worker::stop::Stop};

impl Run<'_> {
    /// Adds the fields that the collection does not have yet, then notes them.
    pub(super) async fn extend_in_place(&self) -> Result<(), Stop> {
        let Self { worker, version, reindex, .. } = self;
        let wanted = reindex.fields.as_ref().map(|fields| fields.0.clone()).unwrap_or_default();
        let gone = || Stop::Pause(format!("the collection {} is gone", version.collection));
        let caught_up = worker.typesense.caught_up(&version.collection).await?.ok_or_else(gone)?;
        let found = caught_up.collection(&version.collection).await?.ok_or_else(gone)?;
        // Some may be there: whoever was at it before did not live to say so.
        let missing: Vec<_> =
            wanted.iter().filter(|field| found.fields.iter().all(|had| had["name"] != field["name"])).collect();
        if !missing.is_empty() {
            worker.typesense.add_fields(&version.collection, &missing).await?;
        }
        let mut tx = worker.pool.begin().await?;
        if !swap::extend(&mut tx, self.lease, reindex, &wanted).await? {
            return Err(Stop::LeaseLost);
        }
        Ok(tx.commit().await?)
    }
}
