//! A stream of changed keys, as its owner sees it.

use std::time::Duration;

use pgwire_replication::Lsn;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Batch, Error, Target, batch::Gatherer, connection::Connection, pump::Pump};

/// How a stream is cut into batches.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keys of one batch; a transaction of more comes in several.
    pub max_keys: usize,
    /// How long a transaction waits for others, to come in one batch with them.
    pub linger: Duration,
    /// [`Stream::next`] returns without a batch after so long.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_keys: 2_000, linger: Duration::from_millis(20), patience: Duration::from_secs(5) }
    }
}

/// The changes of a table, behind the last one that was confirmed.
///
/// It takes two batches ahead of its owner, and keeps its connection while the owner is busy. Nevertheless, who can't go on for long
/// should close it: until everything is confirmed, a source that is being shut down waits for us.
pub struct Stream {
    batches: mpsc::Receiver<Result<Batch, Error>>,
    confirmed: watch::Sender<Lsn>,
    /// The largest position that was given away.
    given: Lsn,
    patience: Duration,
    pump: JoinHandle<()>,
    stop: DropGuard,
}

impl Stream {
    /// Opens the stream at this source; [`prepare`](super::prepare) must have gone before.
    ///
    /// # Errors
    /// [`Error::SlotInUse`] where it is open already, perhaps of a worker that died: at most a minute later the source has noticed.
    /// See [`Error`] for the rest.
    pub async fn open(url: &str, target: &Target, options: &Options) -> Result<Self, Error> {
        let connection = Connection::open(url, &target.name, &target.name).await?;
        let (give, batches) = mpsc::channel(1);
        let (confirmed, confirmations) = watch::channel(Lsn::ZERO);
        let stop = CancellationToken::new();
        let pump = Pump {
            connection,
            gatherer: Gatherer::new(target.key_columns.clone(), options.max_keys),
            linger: options.linger,
            batches: give,
            confirmed: confirmations,
            stop: stop.clone(),
        };
        Ok(Self {
            batches,
            confirmed,
            given: Lsn::ZERO,
            patience: options.patience,
            pump: tokio::spawn(pump.run()),
            stop: stop.drop_guard(),
        })
    }

    /// The next batch; `None` where there was none for a while. May be dropped and asked again: nothing is lost.
    ///
    /// # Errors
    /// The stream has ended, and why.
    pub async fn next(&mut self) -> Result<Option<Batch>, Error> {
        match timeout(self.patience, self.batches.recv()).await {
            Err(_) => Ok(None),
            Ok(Some(batch)) => {
                let batch = batch?;
                self.given = self.given.max(batch.position.unwrap_or_default());
                Ok(Some(batch))
            }
            Ok(None) => Err(Error::Connection(std::io::ErrorKind::NotConnected.into())),
        }
    }

    /// All that was given up to this position is in its place: the source need not keep it. Positions that are older than one
    /// confirmed before, or that no batch had, say nothing.
    pub fn confirm(&self, position: Lsn) {
        self.confirmed.send_if_modified(|confirmed| {
            let later = position > *confirmed && position <= self.given;
            if later {
                *confirmed = position;
            }
            later
        });
    }

    /// Tells the source what was confirmed, and lets go of the slot: when this returns it can be opened again, unless the source was
    /// slow to answer. A stream that is dropped does the same in its own time.
    pub async fn close(self) {
        let Self { batches, confirmed: _confirmed, pump, stop, .. } = self;
        // A last error must not wait for somebody to take it.
        drop((stop, batches));
        let _ = pump.await;
    }
}
