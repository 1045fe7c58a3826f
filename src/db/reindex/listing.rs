//! Reindexes beside the jobs of writes.

use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{Reindex, columns};
use crate::db::job::{Listing, Status};

/// One with the names of what it belongs to.
#[derive(Clone, Debug, FromRow)]
pub struct Named {
    #[sqlx(flatten)]
    pub reindex: Reindex,
    pub organization_slug: String,
    pub index_slug: String,
}

macro_rules! named {
    ($which:literal) => {
        concat!(
            "select reindex.*, organizations.slug as organization_slug, indexes.slug as index_slug
             from (select ",
            columns!(),
            "      from tidewell.reindexes where ",
            $which,
            ") as reindex
             join tidewell.organizations on organizations.id = reindex.organization_id
             join tidewell.indexes on indexes.id = reindex.index_id
             order by reindex.id desc"
        )
    };
}

/// One, by its id.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Named>, sqlx::Error> {
    sqlx::query_as(named!("id = $1")).bind(id).fetch_optional(pool).await
}

/// Those that are asked for as jobs are, newest first. One whose schema has refused documents is partial, and one that was cancelled
/// has failed.
pub async fn list(pool: &PgPool, listing: Listing) -> Result<Vec<Named>, sqlx::Error> {
    sqlx::query_as(named!(
        "($1::uuid is null or organization_id = $1)
         and ($2::uuid is null or index_id = $2)
         and ($3::uuid is null or id < $3)
         and ($4::text is null or $4 = case
                 when status = 'succeeded' and refused > 0 then 'partial'
                 when status = 'cancelled' then 'failed'
                 else status end)
         order by id desc
         limit $5"
    ))
    .bind(listing.organization_id)
    .bind(listing.index_id)
    .bind(listing.before)
    .bind(listing.status.map(Status::name))
    .bind(listing.limit)
    .fetch_all(pool)
    .await
}
