//! Adding optional fields to the collection that is live: Typesense indexes what documents have of them, and nothing else changes.

use serde_json::Value;

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
        // Some may be there: whoever was at it before did not live to say so, or was told to stop when Typesense had begun.
        let had = |field: &Value| found.fields.iter().find(|had| had["name"] == field["name"]);
        let (known, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|field| had(field).is_some());
        let kind = |field: &Value| (field["type"].clone(), field["facet"].as_bool().unwrap_or(false));
        if let Some(other) = known.into_iter().find(|field| had(field).is_some_and(|had| kind(had) != kind(field))) {
            return Err(Stop::Fail(format!(
                "the collection has a field {} already, of another type or facet: ask for a new version (`rebuild`), which has none",
                other["name"].as_str().unwrap_or_default()
            )));
        }
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
