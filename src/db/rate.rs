//! Grants of a key's minute to replicas.

use std::{collections::HashMap, time::Duration};

use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// Permits that a replica may spend.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct Grant {
    pub id: i64,
    #[sqlx(try_from = "i32")]
    pub permits: u32,
    /// What is left of the minute for anybody.
    #[sqlx(try_from = "i32")]
    pub left: u32,
    /// Seconds until the oldest grant leaves the minute.
    pub free_after: f64,
}

/// Takes permits for a replica that may spend them for `lives`: a hundredth of the limit, but no more than an eighth of what the
/// minute has left, at least one, none where it has none (a `Grant` of 0 permits, which writes nothing). What idle replicas sit on is
/// so small a part that five of them cost the one that is busy no more than 5% of the limit. `given_back` is a former grant and how many of it were spent.
pub async fn grant(
    pool: &PgPool,
    key_id: Uuid,
    limit: u32,
    lives: Duration,
    given_back: Option<(i64, u32)>,
) -> Result<Grant, sqlx::Error> {
    let mut tx = pool.begin().await?;
    // One replica at a time reads the minute and takes of it.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 1))")
        .bind(key_id.to_string())
        .execute(&mut *tx)
        .await?;
    if let Some((id, spent)) = given_back {
        sqlx::query("update tidewell.rate_grants set permits = $2 where id = $1")
            .bind(id)
            .bind(i64::from(spent))
            .execute(&mut *tx)
            .await?;
    }
    let grant = sqlx::query_as(
        "with minute as (
             select coalesce(sum(permits), 0)::int as taken, min(granted_at) filter (where permits > 0) as oldest
             from tidewell.rate_grants
             where key_id = $1 and granted_at > clock_timestamp() - make_interval(secs => 60 + $3)
         ), taken as (
             insert into tidewell.rate_grants (key_id, permits)
             select $1, greatest(1, least($2 / 100, ($2 - taken) / 8)) from minute where taken < $2
             returning id, permits
         )
         select coalesce((select id from taken), 0) as id,
                coalesce((select permits from taken), 0) as permits,
                greatest(0, $2 - taken - coalesce((select permits from taken), 0)) as left,
                coalesce(extract(epoch from oldest + make_interval(secs => 60 + $3) - clock_timestamp()), 60)::float8
                    as free_after
         from minute",
    )
    .bind(key_id)
    .bind(i32::try_from(limit).unwrap_or(i32::MAX))
    .bind(lives.as_secs_f64())
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(grant)
}

/// What front ends have taken of the last minute of these keys; one that is missing has not been used in it.
pub async fn taken(pool: &PgPool, key_ids: &[Uuid]) -> Result<HashMap<Uuid, i64>, sqlx::Error> {
    let taken: Vec<(Uuid, i64)> = sqlx::query_as(
        "select key_id, sum(permits) from tidewell.rate_grants
         where key_id = any($1) and granted_at > clock_timestamp() - interval '1 minute'
         group by key_id",
    )
    .bind(key_ids)
    .fetch_all(pool)
    .await?;
    Ok(taken.into_iter().collect())
}
