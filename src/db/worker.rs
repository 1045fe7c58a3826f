//! Workers as they report themselves.

use sqlx::PgPool;

use super::status::ALIVE_FOR_SECONDS;

/// One report.
#[derive(Debug)]
pub struct Beat<'a> {
    pub name: &'a str,
    /// The Typesense that it writes to.
    pub backend: &'a str,
    /// `closed`, `open` or `half_open`.
    pub breaker: &'a str,
    pub breaker_reason: Option<&'a str>,
    /// Imports that it sends side by side at present.
    pub concurrency: i32,
    /// Why documents have no vectors now, where some should.
    pub embedding_trouble: Option<&'a str>,
}

/// Says that a worker lives.
pub async fn beat(pool: &PgPool, beat: &Beat<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tidewell.workers (name, backend, breaker, breaker_reason, concurrency, embedding_trouble)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (name) do update
         set breaker = excluded.breaker, breaker_reason = excluded.breaker_reason, concurrency = excluded.concurrency,
             embedding_trouble = excluded.embedding_trouble, last_seen_at = now()",
    )
    .bind(beat.name)
    .bind(beat.backend)
    .bind(beat.breaker)
    .bind(beat.breaker_reason)
    .bind(beat.concurrency)
    .bind(beat.embedding_trouble)
    .execute(pool)
    .await
    .map(drop)
}

/// Whether a worker has reported lately.
pub async fn is_alive(pool: &PgPool, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from tidewell.workers
                        where name = $1 and last_seen_at > clock_timestamp() - make_interval(secs => $2))",
    )
    .bind(name)
    .bind(ALIVE_FOR_SECONDS)
    .fetch_one(pool)
    .await
}

/// Takes a worker that stops off the list.
pub async fn leave(pool: &PgPool, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from tidewell.workers where name = $1").bind(name).execute(pool).await.map(drop)
}

/// Gives back everything that workers whose names begin with `prefix` hold: lanes, sync jobs and reindexes; how many those were. All of
/// them must be dead.
pub async fn release_all(pool: &PgPool, prefix: &str) -> Result<u64, sqlx::Error> {
    macro_rules! release {
        ($table:literal) => {
            concat!(
                "update ",
                $table,
                " set leased_until = '-infinity' where starts_with(leased_by, $1) and leased_until > clock_timestamp()"
            )
        };
    }
    let mut released = 0;
    for statement in [release!("tidewell.lanes"), release!("tidewell.sync_states"), release!("tidewell.reindexes")] {
        released += sqlx::query(statement).bind(prefix).execute(pool).await?.rows_affected();
    }
    Ok(released)
}

/// Takes workers whose names begin with `prefix` off the list. All of them must be dead.
pub async fn forget_all(pool: &PgPool, prefix: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from tidewell.workers where starts_with(name, $1)").bind(prefix).execute(pool).await.map(drop)
}
