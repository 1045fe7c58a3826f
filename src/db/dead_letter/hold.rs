//! What an act on many letters holds: they are counted once, and then taken owner by owner, batch by batch.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::{Selection, selecting};

/// Letters that one transaction acts on: a million of them must not make one giant transaction.
pub(super) const BATCH: i64 = 500;

/// Whose letters they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Index(Uuid),
    SyncJob(Uuid),
}

/// What one owner has of a selection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) owner: Owner,
    pub(super) count: i64,
    /// A bulk act stops there, so that what it revives and dies again is not revived for ever.
    counted_at: DateTime<Utc>,
}

impl<'a> Selection<'a> {
    /// What an owner has of it.
    pub(super) fn within(self, owner: Owner) -> Self {
        match owner {
            Owner::Index(id) => Self { index_id: Some(id), ..self },
            Owner::SyncJob(id) => Self { sync_job_id: Some(id), ..self },
        }
    }
}

/// How many letters of a selection there are, by owner.
pub(super) async fn count(pool: &PgPool, selection: Selection<'_>) -> Result<Vec<Share>, sqlx::Error> {
    #[derive(FromRow)]
    struct Counted {
        index_id: Option<Uuid>,
        sync_job_id: Option<Uuid>,
        count: i64,
        counted_at: DateTime<Utc>,
    }
    let counted: Vec<Counted> = selection
        .query(selecting!(
            "select letter.index_id, letter.sync_job_id, count(*) as count, now() as counted_at
             from tidewell.dead_letters as letter where",
            "group by letter.index_id, letter.sync_job_id order by letter.index_id, letter.sync_job_id"
        ))
        .fetch_all(pool)
        .await?;
    let share = |Counted { index_id, sync_job_id, count, counted_at }| {
        let owner = index_id.map(Owner::Index).or(sync_job_id.map(Owner::SyncJob))?;
        Some(Share { owner, count, counted_at })
    };
    Ok(counted.into_iter().filter_map(share).collect())
}

/// A letter as a bulk act holds it, locked; its body stays in the database.
#[derive(FromRow)]
pub(super) struct Held {
    pub(super) id: Uuid,
    pub(super) document_id: Option<String>,
    pub(super) job_id: Option<Uuid>,
    pub(super) version: i64,
}

/// Locks the next letters of an owner for an act. Those that another act holds are left to it.
pub(super) async fn hold(
    conn: &mut PgConnection,
    selection: Selection<'_>,
    share: Share,
    after: Option<Uuid>,
) -> Result<Vec<Held>, sqlx::Error> {
    selection
        .within(share.owner)
        .query(selecting!(
            "select id, document_id, job_id, version from tidewell.dead_letters as letter where",
            "and ($8::uuid is null or letter.id > $8) and letter.last_failed_at <= $9
             order by letter.id
             limit $10
             for update skip locked"
        ))
        .bind(after)
        .bind(share.counted_at)
        .bind(BATCH)
        .fetch_all(conn)
        .await
}

/// The ids of letters.
pub(super) fn ids(letters: &[Held]) -> Vec<Uuid> {
    letters.iter().map(|letter| letter.id).collect()
}

/// Takes letters away.
pub(super) async fn remove(conn: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query("delete from tidewell.dead_letters where id = any($1)").bind(ids).execute(conn).await.map(drop)
}
