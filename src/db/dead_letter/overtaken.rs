//! Which letters a newer write of their document has overtaken.
//!
//! A write first waits in the outbox and then is in the record, so who looks in this order misses none that was accepted before
//! the first look. One accepted later is no danger: the worker never puts an older version over a newer one.

use std::collections::HashSet;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Selection,
    hold::{Held, Owner},
    selecting,
};

/// Letters of an index with a newer write of their document in the outbox. Repairs and conditional deletes are no writes: the
/// first send what is there, the second are judged after the letter's own version. One pass over what waits in the index.
pub(super) async fn by_waiting(
    pool: &PgPool,
    selection: Selection<'_>,
    index_id: Uuid,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    // After a mass death the planner thinks of few letters yet, and would go through the outbox once for each.
    sqlx::query("set local enable_nestloop = off").execute(&mut *tx).await?;
    let ids: Vec<(Uuid,)> = selection
        .within(Owner::Index(index_id))
        .query(selecting!(
            "select distinct letter.id
             from tidewell.dead_letters as letter
             join tidewell.outbox on outbox.document_id = letter.document_id
                                 and coalesce(outbox.document_version, outbox.version) > letter.version
             where",
            "and outbox.index_id = $8 and outbox.operation in ('upsert', 'delete')"
        ))
        .bind(index_id)
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

/// Letters of an index with a newer write of their document in the record: projected, or dead as well.
pub(super) async fn by_settled(
    conn: &mut PgConnection,
    index_id: Uuid,
    letters: &[Held],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let of_documents = || letters.iter().filter_map(|letter| letter.document_id.as_deref().map(|id| (letter, id)));
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select letter.id
         from unnest($2::uuid[], $3::text[], $4::bigint[]) as letter (id, document_id, version)
         join tidewell.documents on documents.index_id = $1 and documents.document_id = letter.document_id
         where accepted_version > letter.version",
    )
    .bind(index_id)
    .bind(of_documents().map(|(letter, _)| letter.id).collect::<Vec<_>>())
    .bind(of_documents().map(|(_, document_id)| document_id).collect::<Vec<_>>())
    .bind(of_documents().map(|(letter, _)| letter.version).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().collect())
}
