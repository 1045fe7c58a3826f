//! `enqueue_due_syncs`: gives each job that is due a run.

use std::sync::Arc;

use tidewell_jobs::{Failure, RunSync};

use crate::{
    db::sync::{
        job::{self, Due},
        run::{self, Trigger},
    },
    domain::schedule::Schedule,
    worker::Worker,
};

/// Jobs of one transaction: a look at what is due reads every job, and replicas share what it finds.
const AT_ONCE: usize = 64;

pub(in crate::worker) async fn handle(worker: Arc<Worker>) -> Result<(), Failure> {
    while enqueue_some(&worker).await? == AT_ONCE {}
    Ok(())
}

/// Gives some of the jobs that are due their runs; how many jobs that were.
async fn enqueue_some(worker: &Worker) -> Result<usize, sqlx::Error> {
    let mut tx = worker.pool.begin().await?;
    let due = job::take_due(&mut tx, AT_ONCE as i64).await?;
    let mut wake_ups = Vec::with_capacity(due.len());
    for Due { job: job::Job { id, spec, .. }, for_repair, now } in &due {
        if !for_repair {
            let schedule = Schedule::parse(spec.sync_interval_minutes, spec.cron.as_deref(), &spec.timezone);
            if let Err((field, fault)) = &schedule {
                tracing::error!(job_id = %id, field, fault, "the schedule of a sync job can't be read");
            }
            // What was missed is made good by this one run.
            job::set_next_sync(&mut tx, *id, schedule.ok().and_then(|schedule| schedule.next_after(*now))).await?;
        }
        let trigger = if *for_repair { Trigger::Repair } else { Trigger::Schedule };
        if let Some(run) = run::queue(&mut tx, *id, trigger).await? {
            tracing::info!(job_id = %id, run_id = %run.id, ?trigger, "a sync is due");
            wake_ups.push(RunSync { job_id: *id });
        }
    }
    tidewell_jobs::enqueue(&mut tx, &wake_ups).await?;
    tx.commit().await?;
    Ok(due.len())
}
