//! Writes lines down, a batch at a time.

use std::time::Duration;

use sqlx::PgPool;
use tokio::{
    sync::{Mutex, mpsc::Receiver},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Line, PATIENCE, ROOM, lose};
use crate::db::log_line::{self, NewLine};

/// Lines of a batch, and the time between two: together what the database is asked to bear of one process.
const BATCH: usize = 500;
const PACE: Duration = Duration::from_millis(500);

/// Writes what comes until the work has ended, then what is left.
pub(super) async fn write(lines: &Mutex<Receiver<Line>>, pool: &PgPool, process: &str, ended: &CancellationToken) {
    let mut lines = lines.lock().await;
    let mut batch = Vec::new();
    let mut is_well = true;
    while !ended.is_cancelled() {
        tokio::select! {
            () = ended.cancelled() => {}
            received = lines.recv_many(&mut batch, BATCH) => if received == 0 { return },
        }
        is_well = keep(pool, process, &mut batch, is_well).await;
        tokio::select! {
            () = ended.cancelled() => {}
            () = sleep(PACE) => {}
        }
    }
    batch.extend(std::iter::from_fn(|| lines.try_recv().ok()).take(ROOM));
    keep(pool, process, &mut batch, is_well).await;
}

/// Writes a batch, or loses it; whether the database took it. That it does not is said once.
async fn keep(pool: &PgPool, process: &str, batch: &mut Vec<Line>, was_well: bool) -> bool {
    if batch.is_empty() {
        return was_well;
    }
    let fault = match timeout(PATIENCE, log_line::write(pool, process, batch.iter().map(new_line))).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the database takes too long".to_owned()),
    };
    if let Some(error) = &fault {
        lose(batch.len());
        if was_well {
            tracing::warn!(error, "log lines of jobs can't be kept: they are here alone");
        }
    }
    batch.clear();
    fault.is_none()
}

fn new_line(line: &Line) -> NewLine<'_> {
    let Line { subject, said, level, message, fields } = line;
    NewLine { subject: *subject, age: said.elapsed(), level, message, fields }
}
