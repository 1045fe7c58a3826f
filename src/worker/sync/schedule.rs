//! `enqueue_due_syncs`: gives each job that is due a run.

use std::sync::Arc;

use tidewell_jobs::Failure;

use crate::{
    db::sync::{job, run::Trigger},
    domain::schedule::Schedule,
    sync::request,
    worker::Worker,
};

pub(in crate::worker) async fn handle(worker: Arc<Worker>) -> Result<(), Failure> {
    while enqueue_next(&worker).await? {}
    Ok(())
}

/// One job in one transaction, so that replicas share the work.
async fn enqueue_next(worker: &Worker) -> Result<bool, sqlx::Error> {
    let mut tx = worker.pool.begin().await?;
    let Some(due) = job::take_due(&mut tx).await? else { return Ok(false) };
    let (id, spec) = (due.job.id, &due.job.spec);
    if !due.for_repair {
        let schedule = Schedule::parse(spec.sync_interval_minutes, spec.cron.as_deref(), &spec.timezone);
        if let Err((field, fault)) = &schedule {
            tracing::error!(job_id = %id, field, fault, "the schedule of a sync job can't be read");
        }
        // What was missed is made good by this one run.
        job::set_next_sync(&mut tx, id, schedule.ok().and_then(|schedule| schedule.next_after(due.now))).await?;
    }
    let trigger = if due.for_repair { Trigger::Repair } else { Trigger::Schedule };
    if let Some(run) = request::queue(&mut tx, id, trigger).await? {
        tracing::info!(job_id = %id, run_id = %run.id, ?trigger, "a sync is due");
    }
    tx.commit().await?;
    Ok(true)
}
