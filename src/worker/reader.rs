//! Reads lanes from their beginning to their end, batch by batch: the retries that are due, then what was never tried.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sqlx::PgPool;

use super::batch::{Batch, compose};
use crate::db::{
    lane::Lease,
    outbox::{self, Reading},
};

/// A pass that takes longer begins anew: writes of a smaller version may have been committed behind the reader, and retries have
/// come due.
const PASS: Duration = Duration::from_secs(3);

/// Where a reader stands in its lanes. The position is a shortcut past rows that are in flight, never a reason to miss one: every
/// pass begins at the beginning, and a lane is left only after a whole pass has found nothing.
pub(super) struct Reader {
    retrying: bool,
    after: i64,
    began: Instant,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { retrying: true, after: 0, began: Instant::now() }
    }

    /// Begins at the beginning. Only between requests: rows in flight would be read again.
    pub(super) fn restart(&mut self) {
        *self = Self::new();
    }

    /// The next batch of this pass, `None` at its end. `in_flight` are the versions that are being sent meanwhile.
    pub(super) async fn next(
        &mut self,
        pool: &PgPool,
        lease: &Lease,
        max_rows: usize,
        max_bytes: usize,
        in_flight: &HashMap<String, i64>,
    ) -> Result<Option<Batch>, sqlx::Error> {
        while self.began.elapsed() < PASS || in_flight.is_empty() {
            let reading = Reading {
                retrying: self.retrying,
                after: self.after,
                max_rows: max_rows.try_into().unwrap_or(i64::MAX),
                max_bytes: max_bytes.try_into().unwrap_or(i64::MAX),
            };
            let rows = outbox::read(pool, lease, reading).await?;
            match rows.last() {
                Some(last) => {
                    self.after = last.version;
                    let batch = compose(rows, self.retrying, in_flight);
                    if !batch.is_empty() {
                        return Ok(Some(batch));
                    }
                }
                None if self.retrying => (self.retrying, self.after) = (false, 0),
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}
