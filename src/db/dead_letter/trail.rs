//! The trail: who did what to which letter. It outlives the letters.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

/// Who acts, as the trail names them.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    pub name: &'a str,
    pub request_id: &'a str,
}

/// What somebody did to a letter.
#[derive(Clone, Debug, FromRow, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterAct)]
pub struct Act {
    /// A write that dies again becomes a new letter; the trail is that of the write.
    pub dead_letter_id: Uuid,
    #[serde(skip)]
    pub organization_id: Option<Uuid>,
    #[serde(skip)]
    pub index_id: Option<Uuid>,
    /// `retry`, `mend`, `discard`, or `superseded` where a retry found a newer write of the document.
    pub act: String,
    pub actor: String,
    pub request_id: String,
    pub acted_at: DateTime<Utc>,
}

/// The acts on the write that a letter stands for, newest first, whether or not the letter is still there. A row of a sync job keeps
/// its letter for as long as it is refused, so the trail is that of the letter.
pub async fn trail(pool: &PgPool, letter_id: Uuid) -> Result<Vec<Act>, sqlx::Error> {
    sqlx::query_as(
        "with write as (
             select index_id, document_id, version from tidewell.dead_letters where id = $1
             union
             select index_id, document_id, version from tidewell.dead_letter_acts where dead_letter_id = $1
         ), found as (
             select id from tidewell.dead_letter_acts where dead_letter_id = $1
             union
             select acts.id
             from write join tidewell.dead_letter_acts as acts
                  on acts.index_id = write.index_id and acts.version = write.version
                     and acts.document_id is not distinct from write.document_id
         )
         select dead_letter_id, organization_id, index_id, act, actor, request_id, acted_at
         from found join tidewell.dead_letter_acts using (id)
         order by id desc
         limit 250",
    )
    .bind(letter_id)
    .fetch_all(pool)
    .await
}

/// Writes an act on letters into the trail; they must not have gone yet.
pub(super) async fn note(conn: &mut PgConnection, ids: &[Uuid], act: &str, by: Actor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.dead_letter_acts
             (dead_letter_id, organization_id, index_id, sync_job_id, document_id, version, act, actor, request_id)
         select id, organization_id, index_id, sync_job_id, document_id, version, $2, $3, $4
         from tidewell.dead_letters where id = any($1) order by id",
    )
    .bind(ids)
    .bind(act)
    .bind(by.name)
    .bind(by.request_id)
    .execute(conn)
    .await
    .map(drop)
}
