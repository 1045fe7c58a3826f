//! The look that aliases rest on: each points at the live version's collection, whatever request came late or was lost.

use std::collections::HashMap;

use crate::{
    db,
    worker::{Worker, error::Error},
};

/// Points every alias where it belongs that points elsewhere.
pub(in crate::worker) async fn mend_aliases(worker: &Worker) -> Result<(), Error> {
    // Aliases first: one that was moved after the database was read would be moved back.
    let aliases: HashMap<String, String> = worker.typesense.aliases().await?.into_iter().collect();
    for (index_id, alias, collection) in db::index::aliases(&worker.pool).await? {
        if aliases.get(&alias) == Some(&collection) {
            continue;
        }
        let mut tx = worker.pool.begin().await?;
        // While it is locked no other version becomes the live one.
        if let Some(collection) = db::index::lock_collection(&mut tx, index_id).await? {
            tracing::warn!(%index_id, alias, collection, "an alias did not point where it belongs");
            worker.typesense.put_alias(&alias, &collection).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
