use std::{sync::Arc, time::Duration};

use sqlx::PgPool;

use crate::{
    claim::{Claim, Holdings},
    wake::Bell,
};

/// The longest a handler's start is held up by writers that are still to commit ([`Store::settle`]).
const SETTLE_FOR: &str = "2s";
/// PostgreSQL's `lock_not_available`: the wait for a lock timed out.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What one worker of one queue says to the database. Times are judged by the database's clock alone.
///
/// `Pending` waits, `Running` is held by a worker, `Failed` waits for its retry, `Done` and `Killed`
/// have ended.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) pool: PgPool,
    pub(crate) queue: &'static str,
    /// Unique among all workers that ever ran.
    pub(crate) worker: Arc<str>,
    pub(crate) stale_after: Duration,
    pub(crate) bell: Arc<Bell>,
    pub(crate) holdings: Holdings,
}

/// How a run leaves its row.
#[derive(Debug)]
pub(crate) enum End {
    Done,
    /// Waits again, as if it had not been started.
    Again {
        after: Duration,
    },
    Failed {
        after: Duration,
        error: String,
    },
    Killed {
        error: String,
    },
}

impl Store {
    /// Claims the next row that is due. From then on its key is free for new wake-ups, and stays
    /// free whatever becomes of this run: a key never outlives the wait.
    ///
    /// Neither this commit nor that of [`finish`](Self::finish) waits for the disk: where the server
    /// crashes and forgets it the job runs again, which it must bear anyway. No wake-up is lost by
    /// that: one that found the key free was written after the claim, so it is not kept without it.
    pub(crate) async fn claim(&self) -> Result<Option<Claim>, sqlx::Error> {
        let row: Option<(String, Vec<u8>, i32, i32, String)> = sqlx::query_as(
            "update apalis.jobs set
                 status = 'Running', attempts = attempts + 1, idempotency_key = null,
                 lock_by = $1, lock_at = now()
             where id = (
                 select id from apalis.jobs
                 where (status = 'Pending' or (status = 'Failed' and attempts < max_attempts))
                   and run_at <= now() and job_type = $2
                 order by priority desc, run_at
                 limit 1 for update skip locked
             )
             returning id, job, attempts, max_attempts,
                       set_config('synchronous_commit', 'off', true)",
        )
        .bind(&*self.worker)
        .bind(self.queue)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(id, payload, attempt, max_attempts, _)| Claim {
            _held: self.holdings.hold(&id),
            id,
            payload,
            attempt,
            max_attempts,
        }))
    }

    /// Waits until every writer whose wake-up coalesced into the claimed row has ended
    /// ([`enqueue`](crate::enqueue()) has the argument). `false`: one of them takes too long, and the
    /// job must run once more after this run.
    pub(crate) async fn settle(&self, key: &str) -> Result<bool, sqlx::Error> {
        let locked = sqlx::query(
            "select set_config('lock_timeout', $1, true),
                    pg_advisory_xact_lock(hashtextextended($2 || ':' || $3, 0))",
        )
        .bind(SETTLE_FOR)
        .bind(self.queue)
        .bind(key)
        .execute(&self.pool)
        .await;
        match locked {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some(LOCK_NOT_AVAILABLE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes how the run ended, unless the row is no longer this run's.
    pub(crate) async fn finish(&self, claim: &Claim, end: &End) -> Result<(), sqlx::Error> {
        let (status, after, error, refund) = match end {
            End::Done => ("Done", None, None, 0),
            End::Again { after } => ("Pending", Some(after), None, 1),
            End::Failed { after, error } => ("Failed", Some(after), Some(error), 0),
            End::Killed { error } => ("Killed", None, Some(error), 0),
        };
        sqlx::query(
            "update apalis.jobs set
                 status = $4,
                 run_at = coalesce(
                     now() + make_interval(secs => $5 * (1 + random() / 5)), run_at),
                 done_at = case when $5 is null then now() end,
                 last_result = case when $6 is null then jsonb_build_object('Ok', null)
                                    else jsonb_build_object('Err', $6::text) end,
                 attempts = attempts - $7,
                 lock_by = null, lock_at = null
             where id = $1 and lock_by = $2 and attempts = $3
             returning set_config('synchronous_commit', 'off', true)",
        )
        .bind(&claim.id)
        .bind(&*self.worker)
        .bind(claim.attempt)
        .bind(status)
        .bind(after.map(Duration::as_secs_f64))
        .bind(error)
        .bind(refund)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
