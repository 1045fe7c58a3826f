//! The journal: what the processes log of one job, reindex, sync job or run, kept in the database for whoever looks into it.
//!
//! A [`Layer`] picks the events out that carry such an id. It only ever puts them on a bounded channel, so logging waits for nothing;
//! what does not fit is lost, and counted. A [`Journal`] writes them down beside the work of its process.

mod heard;
mod layer;
mod writer;

use std::time::{Duration, Instant};

use metrics::counter;
use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::layer::Layer;
use crate::metrics::LOG_LINES_LOST;

/// Lines that may wait to be written.
const ROOM: usize = 4096;
/// How long a write may take: one that hangs must not hold up the process's end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was said of something.
#[derive(Debug, PartialEq)]
struct Line {
    subject: Uuid,
    said: Instant,
    level: &'static str,
    message: String,
    fields: serde_json::Map<String, serde_json::Value>,
}

/// Writes down what its layer picks out.
pub struct Journal {
    lines: Mutex<mpsc::Receiver<Line>>,
}

/// A journal, and the layer that fills it.
pub fn open() -> (Journal, Layer) {
    let (layer, lines) = mpsc::channel(ROOM);
    (Journal { lines: Mutex::new(lines) }, Layer::new(layer))
}

impl Journal {
    /// Does some work, and writes meanwhile what is said of it, as `process`. Its end waits a moment for the last words.
    pub async fn beside<T>(&self, pool: &PgPool, process: &str, work: impl Future<Output = T>) -> T {
        let ended = CancellationToken::new();
        let work = async {
            let _ended = ended.clone().drop_guard();
            work.await
        };
        tokio::join!(work, writer::write(&self.lines, pool, process, &ended)).0
    }
}

fn lose(lines: usize) {
    counter!(LOG_LINES_LOST.name).increment(lines as u64);
}
