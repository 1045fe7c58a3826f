//! Writing documents again as the record has them.

use sqlx::PgConnection;
use tidewell_jobs::ProjectLane;
use uuid::Uuid;

use crate::{db, domain::lane::lane_of};

/// Has documents of an index written as the record has them, or deleted where it has none, each in its lane: that is what keeps a repair
/// from undoing a newer write.
pub async fn reproject(conn: &mut PgConnection, index_id: Uuid, document_ids: Vec<String>) -> Result<(), sqlx::Error> {
    let documents: Vec<_> = document_ids.into_iter().map(|id| (lane_of(&id), id)).collect();
    let mut lanes: Vec<i16> = documents.iter().map(|(lane, _)| *lane).collect();
    lanes.sort_unstable();
    lanes.dedup();
    let wake: Vec<_> = lanes.into_iter().map(|lane| ProjectLane { index_id, lane }).collect();
    db::outbox::reproject(conn, index_id, &documents).await?;
    tidewell_jobs::enqueue(conn, &wake).await?;
    db::backlog::add(conn, index_id, documents.len() as i64).await
}
