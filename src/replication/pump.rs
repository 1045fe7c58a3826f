//! What keeps a stream alive while its owner is busy: reads as much as one batch holds, gives it away, answers the source.

use std::{future::pending, time::Duration};

use pgwire_replication::{Lsn, protocol::replication::ReplicationCopyData};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Batch, Error, batch::Gatherer, connection::Connection};

/// How often the source hears of us, and is asked to answer. Well within the time after which it gives up on us.
const SPEAKS_EVERY: Duration = Duration::from_secs(5);
/// After so long without an answer the connection is given up. Long, for PostgreSQL before 15 says nothing while it reads through a
/// large transaction of other tables; cut off then, it would begin anew each time.
const SILENT_FOR: Duration = Duration::from_secs(300);
/// How often a position is given away where nothing changes but that.
const MOVES_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Pump {
    pub(super) connection: Connection,
    pub(super) gatherer: Gatherer,
    /// How long a change waits for more.
    pub(super) linger: Duration,
    pub(super) batches: mpsc::Sender<Result<Batch, Error>>,
    pub(super) confirmed: watch::Receiver<Lsn>,
    pub(super) stop: CancellationToken,
}

impl Pump {
    /// Runs until it is stopped or the stream breaks.
    pub(super) async fn run(mut self) {
        match self.stream().await {
            Ok(()) => {
                let position = *self.confirmed.borrow();
                let _ = self.connection.confirm(position).await;
                self.connection.close().await;
            }
            Err(error) => {
                // The slot is let go before the owner learns of it.
                drop(self.connection);
                let _ = self.batches.send(Err(error)).await;
            }
        }
    }

    async fn stream(&mut self) -> Result<(), Error> {
        let Self { connection, gatherer, linger, batches, confirmed, stop } = self;
        let mut ticks = interval_at(Instant::now() + SPEAKS_EVERY, SPEAKS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        // When what has been gathered is to be given away.
        let mut due: Option<Instant> = None;
        loop {
            let is_full = gatherer.is_full();
            let is_due = is_full || due.is_some_and(|due| due <= Instant::now());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                changed = confirmed.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let position = *confirmed.borrow_and_update();
                    connection.confirm(position).await?;
                }
                _ = ticks.tick() => {
                    if !is_full && heard_at.elapsed() > SILENT_FOR {
                        return Err(Error::Silent);
                    }
                    let position = *confirmed.borrow();
                    connection.confirm(position).await?;
                }
                place = batches.reserve(), if is_due => {
                    let Ok(place) = place else { return Ok(()) };
                    place.send(Ok(gatherer.take()));
                    due = None;
                    // While it was full nothing was listened to.
                    heard_at = Instant::now();
                }
                () = at(due), if !is_due => {}
                said = connection.next(), if !is_full => {
                    heard_at = Instant::now();
                    match said? {
                        ReplicationCopyData::XLogData { data, .. } => gatherer.message(&data)?,
                        ReplicationCopyData::KeepAlive { wal_end, reply_requested, .. } => {
                            gatherer.read_up_to(wal_end);
                            if reply_requested {
                                let position = *confirmed.borrow();
                                connection.confirm(position).await?;
                            }
                        }
                    }
                    if let Some(wait) = wait(gatherer, *linger) {
                        let then = Instant::now() + wait;
                        due = Some(due.map_or(then, |due| due.min(then)));
                    }
                }
            }
        }
    }
}

/// How long what has been gathered may wait; `None`: there is nothing that could be given away.
fn wait(gatherer: &Gatherer, linger: Duration) -> Option<Duration> {
    if gatherer.has_changes() && !gatherer.is_within_transaction() {
        Some(linger)
    } else if gatherer.has_moved() {
        Some(MOVES_EVERY)
    } else {
        None
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
