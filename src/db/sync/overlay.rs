//! What is known of single documents beside the chunks, and newer than they are.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::sync_entry::Entry;

/// What is known of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What was sent last; `None`: nothing is there, as far as is known.
    pub entry: Option<Entry>,
    /// It must be written or deleted, whatever is known of it.
    pub look: bool,
    /// A request that carried it was in doubt: another row than the last one may be there.
    pub may_be_there: bool,
    /// It still is: it must be looked at again.
    pub is_doubted: bool,
}

/// Documents that one pass takes in at most, so that it needs no more memory; more make another pass due.
const AT_ONCE: i64 = 100_000;

/// What is known beside the chunks of a collection, as of a moment.
#[derive(Debug, Default)]
pub struct Overlay {
    pub documents: HashMap<String, Known>,
    /// By the database's clock.
    pub read_at: DateTime<Utc>,
}

/// Everything that is known beside the chunks of a collection, up to a limit.
pub async fn read(pool: &PgPool, job_id: Uuid, collection: &str) -> Result<Overlay, sqlx::Error> {
    #[derive(FromRow)]
    struct Stored {
        document_id: String,
        entry: Option<Vec<u8>>,
        look: bool,
        may_be_there: bool,
        is_doubted: bool,
    }
    let read_at = sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await?;
    let stored: Vec<Stored> = sqlx::query_as(
        "select document_id, entry, look or doubted_until is not null as look, doubted_until is not null as may_be_there,
                coalesce(doubted_until > clock_timestamp(), false) as is_doubted
         from tidewell.sync_overlay where job_id = $1 and collection = $2 and changed_at <= $4
         order by document_id limit $3",
    )
    .bind(job_id)
    .bind(collection)
    .bind(AT_ONCE)
    .bind(read_at)
    .fetch_all(pool)
    .await?;
    let known = |stored: Stored| {
        let Stored { document_id, entry, look, may_be_there, is_doubted } = stored;
        let entry = entry.as_deref().and_then(Entry::unpack);
        (document_id, Known { entry, look, may_be_there, is_doubted })
    };
    Ok(Overlay { documents: stored.into_iter().map(known).collect(), read_at })
}

/// Forgets what a pass has taken in of what it had read at that moment.
pub async fn remove(
    conn: &mut PgConnection,
    job_id: Uuid,
    collection: &str,
    ids: &[String],
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from tidewell.sync_overlay
         where job_id = $1 and collection = $2 and document_id = any($3) and changed_at <= $4",
    )
    .bind(job_id)
    .bind(collection)
    .bind(ids)
    .bind(read_at)
    .execute(conn)
    .await
    .map(drop)
}

/// Notes what a flight sent of documents beside a pass; `None`: they were deleted. What came up about them since it was opened stays.
pub async fn put(
    conn: &mut PgConnection,
    job_id: Uuid,
    collection: &str,
    flight: Uuid,
    entries: &[(&str, Option<Entry>)],
) -> Result<(), sqlx::Error> {
    let ids: Vec<&str> = entries.iter().map(|(id, _)| *id).collect();
    let packed: Vec<Option<Vec<u8>>> =
        entries.iter().map(|(_, entry)| entry.map(|entry| entry.pack().to_vec())).collect();
    sqlx::query(
        "insert into tidewell.sync_overlay (job_id, collection, changed_at, document_id, entry)
         select $1, $2, opened_at, sent.* from tidewell.sync_flights, unnest($3::text[], $4::bytea[]) as sent where id = $5
         on conflict (job_id, collection, document_id) do update
         set entry = excluded.entry, changed_at = clock_timestamp(),
             look = sync_overlay.look and sync_overlay.changed_at > excluded.changed_at,
             doubted_until = case when sync_overlay.doubted_until > excluded.changed_at then sync_overlay.doubted_until end",
    )
    .bind(job_id)
    .bind(collection)
    .bind(ids)
    .bind(packed)
    .bind(flight)
    .execute(conn)
    .await
    .map(drop)
}

/// Notes what a chunk said of documents before it goes: it is older than whatever is known of them beside the chunks, which stays, and
/// the pass that notes it takes it in.
pub async fn keep(
    conn: &mut PgConnection,
    job_id: Uuid,
    collection: &str,
    entries: &[(String, Entry)],
) -> Result<(), sqlx::Error> {
    let (ids, packed): (Vec<&str>, Vec<Vec<u8>>) =
        entries.iter().map(|(id, entry)| (id.as_str(), entry.pack().to_vec())).unzip();
    sqlx::query(
        "insert into tidewell.sync_overlay (job_id, collection, changed_at, document_id, entry)
         select $1, $2, '-infinity', * from unnest($3::text[], $4::bytea[])
         on conflict (job_id, collection, document_id) do update set entry = coalesce(sync_overlay.entry, excluded.entry)
         where sync_overlay.look or sync_overlay.doubted_until is not null",
    )
    .bind(job_id)
    .bind(collection)
    .bind(ids)
    .bind(packed)
    .execute(conn)
    .await
    .map(drop)
}

/// Takes what the chunks of a collection say out of them: their ranges are of another key.
pub async fn keep_all(conn: &mut PgConnection, job_id: Uuid, collection: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with gone as (
             delete from tidewell.sync_chunks where job_id = $1 and collection = $2 returning ids, entries
         )
         insert into tidewell.sync_overlay (job_id, collection, changed_at, document_id, entry)
         select distinct on (id) $1, $2, '-infinity'::timestamptz, id, substring(entries from (9 * (place - 1) + 1)::int for 9)
         from gone cross join lateral unnest(ids) with ordinality as each (id, place)
         on conflict (job_id, collection, document_id) do update set entry = coalesce(sync_overlay.entry, excluded.entry)
         where sync_overlay.look or sync_overlay.doubted_until is not null",
    )
    .bind(job_id)
    .bind(collection)
    .execute(conn)
    .await
    .map(drop)
}

/// Asks for documents to be written or deleted by the next pass, whatever is known of them.
pub async fn look_at(conn: &mut PgConnection, job_id: Uuid, collection: &str, ids: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.sync_overlay (job_id, collection, document_id, look)
         select distinct $1, $2, id, true from unnest($3::text[]) as id
         on conflict (job_id, collection, document_id) do update set look = true, changed_at = clock_timestamp()",
    )
    .bind(job_id)
    .bind(collection)
    .bind(ids)
    .execute(conn)
    .await
    .map(drop)
}

/// Documents that are to be looked at now, some of them where there are many.
pub async fn due(pool: &PgPool, job_id: Uuid, collection: &str, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select document_id from tidewell.sync_overlay
         where job_id = $1 and collection = $2 and (look or doubted_until <= clock_timestamp())
         limit $3",
    )
    .bind(job_id)
    .bind(collection)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Whether there is so much beside the chunks that a pass should take it in.
pub async fn is_large(pool: &PgPool, job_id: Uuid, collection: &str) -> Result<bool, sqlx::Error> {
    let counted: i64 = sqlx::query_scalar(
        "select count(*) from (select from tidewell.sync_overlay where job_id = $1 and collection = $2 limit $3) as counted",
    )
    .bind(job_id)
    .bind(collection)
    .bind(AT_ONCE)
    .fetch_one(pool)
    .await?;
    Ok(counted >= AT_ONCE)
}

/// Turns the flights of a job into doubt of each document that they carried, and makes a look at them due for when they can no longer
/// take effect. Nobody else may be working on the job.
pub async fn doubt_flights(conn: &mut PgConnection, job_id: Uuid) -> Result<(), sqlx::Error> {
    doubt(conn, job_id, None).await
}

/// As [`doubt_flights`], of one that is settled: what it carried has been sent since, so it need be looked at no sooner than that.
pub(super) async fn doubt_flight(conn: &mut PgConnection, job_id: Uuid, settled: Uuid) -> Result<(), sqlx::Error> {
    doubt(conn, job_id, Some(settled)).await
}

async fn doubt(conn: &mut PgConnection, job_id: Uuid, settled: Option<Uuid>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with lost as (
             -- The last of its requests may have been sent just now.
             delete from tidewell.sync_flights where job_id = $1 and coalesce(id = $2, true)
             returning collection, document_ids, clock_timestamp() + (doubted_until - opened_at) as doubted_until
         ),
         due as (
             update tidewell.sync_states as state
             set repair_at = greatest(repair_at, (select max(doubted_until) from lost))
             where job_id = $1 and exists (select from lost where lost.collection = state.collection)
         )
         insert into tidewell.sync_overlay (job_id, collection, document_id, look, doubted_until)
         select $1, collection, document_id, $2 is null, max(doubted_until)
         from lost cross join lateral unnest(document_ids) as document_id
         group by collection, document_id
         on conflict (job_id, collection, document_id) do update
         set look = sync_overlay.look or excluded.look, changed_at = clock_timestamp(),
             doubted_until = greatest(sync_overlay.doubted_until, excluded.doubted_until)",
    )
    .bind(job_id)
    .bind(settled)
    .execute(conn)
    .await
    .map(drop)
}
