//! `project_lane`: drains a lane, in its turn.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use tidewell_jobs::{Failure, ProjectLane};

use super::{
    Worker,
    drain::{Drain, Drained, Error},
    resolve_filter_delete,
};
use crate::{
    db::{self, lane::Lane},
    domain::lane::LANES,
    metrics::LANE_TURNS,
};

pub(super) async fn handle(worker: Arc<Worker>, job: ProjectLane) -> Result<(), Failure> {
    let lane = Lane { index_id: job.index_id, lane: job.lane };
    match worker.drain(lane).await? {
        Drained::More => Err(Failure::Snooze(Duration::ZERO)),
        // A paused lane is found by the scan once the backend is well; a held one has somebody who sees to it.
        Drained::Empty | Drained::Held | Drained::Lost | Drained::Paused => Ok(()),
    }
}

impl Worker {
    /// Rows of a lane that has little to do: as much of each lane is one import.
    pub(super) fn few(&self) -> i64 {
        i64::try_from(self.options.import_lines).unwrap_or(i64::MAX) / i64::from(LANES)
    }

    /// Drains a lane until it is empty, its turn is over or the backend refuses.
    pub(super) async fn drain(&self, lane: Lane) -> Result<Drained, sqlx::Error> {
        let drained = self.take_turn(lane).await?;
        counter!(LANE_TURNS.name, "outcome" => drained.name()).increment(1);
        Ok(drained)
    }

    async fn take_turn(&self, lane: Lane) -> Result<Drained, sqlx::Error> {
        let Ok(place) = self.drains.acquire().await else { return Ok(Drained::Held) };
        if self.gate.is_open() || self.shutdown.is_cancelled() {
            return Ok(Drained::Paused);
        }
        let leasing = db::lane::lease(&self.pool, lane, self.few(), &self.options.name, self.options.lease);
        let Some(lease) = leasing.await? else { return Ok(Drained::Held) };
        // Read under the lease: no other version becomes the live one meanwhile.
        let Some(index) = db::index::find(&self.pool, lane.index_id).await? else { return Ok(Drained::Empty) };
        let drained = Drain::new(self, &index, &lease).run().await;
        // Also where it broke off: whoever comes next knows by the flights what is in doubt. A lease that was lost is nobody's to
        // give back, and its old fence sees to that.
        db::lane::release(&self.pool, &lease).await?;
        let drained = match drained {
            Ok(drained) => drained,
            Err(Error::Database(error)) => return Err(error),
            Err(error @ (Error::LeaseLost | Error::AnsweredTooLate)) => {
                tracing::warn!(index_id = %lane.index_id, lanes = ?lease.lanes, fences = ?lease.fences, %error, "a drain broke off");
                return Ok(Drained::Lost);
            }
        };
        drop(place);
        let mut left = db::lane::left(&self.pool, &lease).await?;
        if left.is_barred {
            resolve_filter_delete::resolve_due(self).await?;
            left = db::lane::left(&self.pool, &lease).await?;
        }
        // A wake-up that came while a lane was held has ended without effect.
        Ok(if drained == Drained::Empty && left.has_work { Drained::More } else { drained })
    }
}
