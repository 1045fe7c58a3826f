//! What the record says a collection should hold, read to be compared with it.

use futures::{Stream, stream};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// Documents of one page.
const PAGE: i64 = 10_000;

/// The ids and versions of all documents that an index should hold, page by page in the order of ids. Each page is a statement of its
/// own, so that no snapshot is kept open for as long as a million documents take.
pub fn expected(pool: &PgPool, index_id: Uuid) -> impl Stream<Item = Result<Vec<(String, i64)>, sqlx::Error>> {
    // No document has an empty id.
    stream::try_unfold(String::new(), move |after| async move {
        let page: Vec<(String, i64)> = sqlx::query_as(
            "select document_id, version from tidewell.documents
             where index_id = $1 and document_id > $2 and body is not null
             order by document_id limit $3",
        )
        .bind(index_id)
        .bind(after)
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        let last = page.last().map(|(id, _)| id.clone());
        Ok(last.map(|last| (page, last)))
    })
}

/// How a document stands in Tidewell's own tables.
#[derive(Debug, PartialEq, FromRow)]
pub struct Standing {
    pub document_id: String,
    /// The version that was projected last; 0: none.
    pub version: i64,
    /// The newest version known, dead ones too.
    pub accepted_version: i64,
    /// Whether there should be a document.
    pub is_there: bool,
    /// Something of it waits in the outbox, or is in a request whose end is not known.
    pub is_under_way: bool,
}

/// How documents stand, in the order asked. It is one statement, for a row that is settled moves from the outbox and its flight into the
/// record in one transaction: it is seen in its old place or in its new one.
pub async fn standings(pool: &PgPool, index_id: Uuid, document_ids: &[String]) -> Result<Vec<Standing>, sqlx::Error> {
    sqlx::query_as(
        "with under_way as materialized (
             select outbox.document_id
             from tidewell.lanes join tidewell.outbox using (index_id, lane)
             where lanes.index_id = $1 and retrying in (false, true) and outbox.document_id = any($2)
             union
             select unnest(document_ids) from tidewell.flights where index_id = $1
         )
         select asked.id as document_id, coalesce(version, 0) as version, coalesce(accepted_version, 0) as accepted_version,
                coalesce(is_there, false) as is_there, under_way.document_id is not null as is_under_way
         from unnest($2::text[]) with ordinality as asked (id, position)
         left join under_way on under_way.document_id = asked.id
         left join lateral (
             select version, accepted_version, body is not null as is_there from tidewell.documents
             where index_id = $1 and document_id = asked.id limit 1) as record on true
         order by position",
    )
    .bind(index_id)
    .bind(document_ids)
    .fetch_all(pool)
    .await
}
