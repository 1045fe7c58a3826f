//! Vectors that were made before.

use std::collections::HashMap;

use sqlx::PgPool;

/// A hash of a text and of all that decides its vector.
pub type Key = [u8; 32];

/// Those of these that are known; they count as used today.
pub async fn find(pool: &PgPool, keys: impl IntoIterator<Item = &Key>) -> Result<HashMap<Key, Vec<f32>>, sqlx::Error> {
    let keys: Vec<&[u8]> = keys.into_iter().map(|key| key.as_slice()).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    // Written only where it is another day. Whoever else holds a row writes the same into it.
    let rows: Vec<(Key, Vec<u8>)> = sqlx::query_as(
        "with stale as (
             select key from tidewell.embeddings where key = any($1) and used_on < current_date
             for no key update skip locked
         ), used as (
             update tidewell.embeddings set used_on = current_date from stale where embeddings.key = stale.key
         )
         select key, vector from tidewell.embeddings where key = any($1)",
    )
    .bind(keys)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|(key, bytes)| (key, floats(&bytes))).collect())
}

/// Keeps vectors; those that somebody else has stored meanwhile stay as they are.
pub async fn store<'a>(
    pool: &PgPool,
    vectors: impl IntoIterator<Item = (&'a Key, &'a Vec<f32>)>,
) -> Result<(), sqlx::Error> {
    let mut rows: Vec<(&[u8], Vec<u8>)> =
        vectors.into_iter().map(|(key, vector)| (key.as_slice(), bytes(vector))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    // In one order everywhere: two that store the same ones wait for each other, but not in a circle.
    rows.sort_unstable();
    let (keys, vectors): (Vec<&[u8]>, Vec<Vec<u8>>) = rows.into_iter().unzip();
    let insert = "insert into tidewell.embeddings (key, vector)
                  select key, vector from unnest($1::bytea[], $2::bytea[]) as row (key, vector)
                  on conflict do nothing";
    sqlx::query(insert).bind(keys).bind(vectors).execute(pool).await.map(drop)
}

/// Removes the least recently used beyond `kept`, at most `step` of them; gives how many went.
pub async fn prune(pool: &PgPool, kept: i64, step: i64) -> Result<u64, sqlx::Error> {
    /// Less a row never takes, its vector being elsewhere.
    const ROW_BYTES: i64 = 84;
    // The size is known at once, and tells most of the time that there is nothing to count.
    let possible: i64 = sqlx::query_scalar("select pg_relation_size('tidewell.embeddings') / $1")
        .bind(ROW_BYTES)
        .fetch_one(pool)
        .await?;
    if possible <= kept {
        return Ok(0);
    }
    let there: i64 = sqlx::query_scalar("select count(*) from tidewell.embeddings").fetch_one(pool).await?;
    if there <= kept {
        return Ok(0);
    }
    let delete = "delete from tidewell.embeddings where key in (
                      select key from tidewell.embeddings order by used_on limit $1 for update skip locked)";
    let removed = sqlx::query(delete).bind(step.min(there - kept)).execute(pool).await?;
    Ok(removed.rows_affected())
}

fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
}
