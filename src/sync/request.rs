//! Asking for a run: the run and the wake-up of a worker belong into one transaction.

use sqlx::{PgConnection, PgPool};
use tidewell_jobs::RunSync;
use uuid::Uuid;

use crate::{
    db::sync::{
        job::Job,
        run::{self, Run, Trigger},
        state,
    },
    domain::sync_job::Mode,
};

/// Queues a run and wakes a worker for it, as the last statements of a transaction; `None` where the job has a run that has not ended, or
/// is disabled.
pub async fn queue(conn: &mut PgConnection, job_id: Uuid, trigger: Trigger) -> Result<Option<Run>, sqlx::Error> {
    let queued = run::queue(&mut *conn, job_id, trigger).await?;
    if queued.is_some() {
        tidewell_jobs::enqueue(conn, &[RunSync { job_id }]).await?;
    }
    Ok(queued)
}

/// Why no run of a job can build its collection anew; `None` where one can.
pub async fn bar_to_building_anew(pool: &PgPool, job: &Job) -> Result<Option<&'static str>, sqlx::Error> {
    if job.spec.mode == Mode::Live {
        return Ok(Some("a live job follows its table: give it the mode scheduled first"));
    }
    let is_shared = |known: state::State| known.collection.is_some() && !known.owns_collection;
    let is_shared = state::find(pool, job.id).await?.is_some_and(is_shared);
    Ok(is_shared.then_some("the job writes into a collection that it did not make, and can't build it anew"))
}
