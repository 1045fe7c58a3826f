//! What a job has written, in ranges of the source's keys.

use std::collections::HashSet;

use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::sync_entry::{self, Entry};

/// A chunk's place in the order of keys: newer generations come first, since the pass that writes them begins at the first key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub generation: i64,
    pub ordinal: i64,
}

/// What was written of a range of keys, up to `upper` and with it; `None`: to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub place: Place,
    pub upper: Option<Vec<String>>,
    pub entries: Vec<(String, Entry)>,
}

#[derive(FromRow)]
struct Stored {
    generation: i64,
    ordinal: i64,
    upper: Option<Vec<String>>,
    ids: Vec<String>,
    entries: Vec<u8>,
}

/// The chunks of older passes that follow a place (`None`: the first ones), in the order of keys.
pub async fn following(
    pool: &PgPool,
    job_id: Uuid,
    collection: &str,
    before_generation: i64,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Chunk>, sqlx::Error> {
    let stored: Vec<Stored> = sqlx::query_as(
        "select generation, ordinal, upper, ids, entries from tidewell.sync_chunks
         where job_id = $1 and collection = $2 and generation < $3
           and ($4::bigint is null or generation < $4 or (generation = $4 and ordinal > $5))
         order by generation desc, ordinal
         limit $6",
    )
    .bind(job_id)
    .bind(collection)
    .bind(before_generation)
    .bind(after.map(|place| place.generation))
    .bind(after.map(|place| place.ordinal))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(stored.into_iter().map(unpack).collect())
}

fn unpack(stored: Stored) -> Chunk {
    let Stored { generation, ordinal, upper, ids, entries } = stored;
    let entries = entries.chunks_exact(sync_entry::BYTES).map(Entry::unpack);
    let entries = ids.into_iter().zip(entries).filter_map(|(id, entry)| Some((id, entry?))).collect();
    Chunk { place: Place { generation, ordinal }, upper, entries }
}

/// Those of the ids that chunks of a pass hold.
pub async fn holding(
    pool: &PgPool,
    job_id: Uuid,
    collection: &str,
    generation: i64,
    ids: &[&str],
) -> Result<HashSet<String>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let held: Vec<String> = sqlx::query_scalar(
        "select id from tidewell.sync_chunks cross join lateral unnest(ids) as id
         where job_id = $1 and collection = $2 and generation = $3 and id = any($4)",
    )
    .bind(job_id)
    .bind(collection)
    .bind(generation)
    .bind(ids)
    .fetch_all(pool)
    .await?;
    Ok(held.into_iter().collect())
}

/// Writes a chunk, over one at its place.
pub async fn put(conn: &mut PgConnection, job_id: Uuid, collection: &str, chunk: &Chunk) -> Result<(), sqlx::Error> {
    let ids: Vec<&str> = chunk.entries.iter().map(|(id, _)| id.as_str()).collect();
    let entries: Vec<u8> = chunk.entries.iter().flat_map(|(_, entry)| entry.pack()).collect();
    sqlx::query(
        "insert into tidewell.sync_chunks (job_id, collection, generation, ordinal, upper, ids, entries)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (job_id, collection, generation, ordinal) do update
         set upper = excluded.upper, ids = excluded.ids, entries = excluded.entries",
    )
    .bind(job_id)
    .bind(collection)
    .bind(chunk.place.generation)
    .bind(chunk.place.ordinal)
    .bind(&chunk.upper)
    .bind(ids)
    .bind(entries)
    .execute(conn)
    .await
    .map(drop)
}

/// Takes a chunk over into a newer pass as it is.
pub async fn carry(
    conn: &mut PgConnection,
    job_id: Uuid,
    collection: &str,
    from: Place,
    to: Place,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update tidewell.sync_chunks set generation = $5, ordinal = $6
         where job_id = $1 and collection = $2 and generation = $3 and ordinal = $4",
    )
    .bind(job_id)
    .bind(collection)
    .bind(from.generation)
    .bind(from.ordinal)
    .bind(to.generation)
    .bind(to.ordinal)
    .execute(conn)
    .await
    .map(drop)
}

/// Removes chunks whose ranges a newer pass has read.
pub async fn remove(
    conn: &mut PgConnection,
    job_id: Uuid,
    collection: &str,
    places: &[Place],
) -> Result<(), sqlx::Error> {
    let (generations, ordinals): (Vec<i64>, Vec<i64>) =
        places.iter().map(|place| (place.generation, place.ordinal)).unzip();
    sqlx::query(
        "delete from tidewell.sync_chunks
         where job_id = $1 and collection = $2
           and (generation, ordinal) in (select * from unnest($3::bigint[], $4::bigint[]))",
    )
    .bind(job_id)
    .bind(collection)
    .bind(generations)
    .bind(ordinals)
    .execute(conn)
    .await
    .map(drop)
}
