//! Deleting the collections of versions that nobody needs any more.

use crate::{db, typesense, worker::Worker};

/// Lets go of versions whose time is over, and deletes the collections of those that are let go of and that no request can reach any
/// more.
pub(in crate::worker) async fn drop_versions(worker: &Worker) -> Result<(), sqlx::Error> {
    db::version::retire(&worker.pool, worker.options.versions_kept).await?;
    if worker.gate.is_open() {
        return Ok(());
    }
    for version in db::version::droppable(&worker.pool).await? {
        let (index_id, number, collection) = (version.index_id, version.number, &version.collection);
        // Typesense looks behind aliases here: the client sees to it that only a collection of this very name goes.
        match worker.typesense.delete_collection(collection).await {
            Ok(_) => {
                db::version::dropped(&worker.pool, index_id, number).await?;
                tracing::info!(%index_id, collection, "deleted the collection of a former version");
            }
            Err(error @ typesense::Error::Status { .. }) if !error.is_transient() => {
                tracing::warn!(%index_id, collection, %error, "a collection can't be deleted");
            }
            Err(error) => {
                tracing::warn!(%index_id, collection, %error, "a collection could not be deleted: tried again later");
                return Ok(());
            }
        }
    }
    Ok(())
}
