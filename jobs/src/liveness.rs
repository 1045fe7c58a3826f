use sqlx::postgres::PgQueryResult;

use crate::store::Store;

/// Being there, and noticing who no longer is.
impl Store {
    pub(crate) async fn register(&self) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into apalis.workers
                 (id, worker_type, storage_name, layers, last_seen, started_at)
             values ($1, $2, 'tidewell-jobs', '', now(), now())
             on conflict (id) do update set last_seen = now()",
        )
        .bind(&*self.worker)
        .bind(self.queue)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says that this worker lives, and puts back what others left behind. A worker that comes late
    /// itself accuses nobody this time: most likely the database was away, and the others are about
    /// to be heard of too.
    pub(crate) async fn heartbeat(&self) -> Result<(), sqlx::Error> {
        let in_time: Option<bool> = sqlx::query_scalar(
            "update apalis.workers w set last_seen = now()
             from (select id, last_seen from apalis.workers where id = $1) before
             where w.id = before.id
             returning before.last_seen > now() - make_interval(secs => $2)",
        )
        .bind(&*self.worker)
        .bind(self.stale_after.as_secs_f64())
        .fetch_optional(&self.pool)
        .await?;
        if in_time.is_none() {
            self.register().await?;
        }
        let orphans = self.put_back_orphans(in_time == Some(true)).await?;
        if orphans.rows_affected() > 0 {
            tracing::warn!(queue = self.queue, jobs = orphans.rows_affected(), "put back jobs whose worker was lost");
        }
        Ok(())
    }

    /// A lost worker spent the attempt: a job that kills its process each time is dead in the end.
    ///
    /// `lock_by is not null` says no more than the join does, but it lets the planner find the few
    /// rows that are held by the index of `lock_by`; without it every row of the queue is read.
    async fn put_back_orphans(&self, of_others: bool) -> Result<PgQueryResult, sqlx::Error> {
        sqlx::query(
            r#"with lost as (
                   select j.id from apalis.jobs j join apalis.workers w on w.id = j.lock_by
                   where j.job_type = $1 and j.lock_by is not null
                     and j.status in ('Running', 'Queued')
                     and case when w.id = $2 then j.id <> all ($3)
                              else $4 and w.last_seen < now() - make_interval(secs => $5) end
                   for update of j skip locked
               )
               update apalis.jobs j set
                   status = case when attempts < max_attempts then 'Pending' else 'Killed' end,
                   done_at = case when attempts < max_attempts then null else now() end,
                   last_result = '{"Err": "the worker was lost"}',
                   lock_by = null, lock_at = null
               from lost where j.id = lost.id"#,
        )
        .bind(self.queue)
        .bind(&*self.worker)
        .bind(self.holdings.ids())
        .bind(of_others)
        .bind(self.stale_after.as_secs_f64())
        .execute(&self.pool)
        .await
    }

    /// At the end of a graceful stop: whatever is still claimed was not started, and goes back.
    pub(crate) async fn leave(&self) -> Result<(), sqlx::Error> {
        sqlx::query(
            "with back as (
                 update apalis.jobs set
                     status = 'Pending', attempts = attempts - 1, lock_by = null, lock_at = null
                 where lock_by = $1 and status in ('Running', 'Queued')
                   and id <> all ($2)
             )
             update apalis.workers set last_seen = 'epoch' where id = $1",
        )
        .bind(&*self.worker)
        .bind(self.holdings.ids())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
