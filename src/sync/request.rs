//! Asking for a run: the run and the wake-up of a worker belong into one transaction.

use sqlx::PgConnection;
use tidewell_jobs::RunSync;
use uuid::Uuid;

use crate::db::sync::run::{self, Run, Trigger};

/// Queues a run and wakes a worker for it, as the last statements of a transaction; `None` where the job has a run that has not ended, or
/// is disabled.
pub async fn queue(conn: &mut PgConnection, job_id: Uuid, trigger: Trigger) -> Result<Option<Run>, sqlx::Error> {
    let queued = run::queue(&mut *conn, job_id, trigger).await?;
    if queued.is_some() {
        tidewell_jobs::enqueue(conn, &[RunSync { job_id }]).await?;
    }
    Ok(queued)
}
