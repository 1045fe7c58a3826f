//! Writing documents again as the record has them.

use sqlx::PgConnection;
use tidewell_jobs::ProjectIndex;
use uuid::Uuid;

use crate::{db, domain::lane::lane_of};

/// Has documents of an index written as the record has them, or deleted where it has none, each in its lane: that is what keeps a repair
/// from undoing a newer write.
pub async fn reproject(conn: &mut PgConnection, index_id: Uuid, document_ids: Vec<String>) -> Result<(), sqlx::Error> {
    if document_ids.is_empty() {
        return Ok(());
    }
    let documents: Vec<_> = document_ids.into_iter().map(|id| (lane_of(&id), id)).collect();
    db::outbox::reproject(conn, index_id, &documents).await?;
    tidewell_jobs::enqueue(conn, &[ProjectIndex { index_id }]).await?;
    db::backlog::add(conn, index_id, documents.len() as i64).await
}
