//! One pass over a source: reading goes ahead, several ranges are written side by side, and each is settled in the order of keys.

use std::time::{Duration, Instant};

use futures::FutureExt;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    compare::Piece,
    count_rows,
    import::{Imported, Importer, Refusal},
    scan::Scan,
    stop::Stop,
};
use crate::{
    db::sync::{
        chunk::Chunk,
        flight::{self, Settled},
        lease::Lease,
        settle::{self, Counts, Letter, Settlement},
    },
    domain::sync_entry::Entry,
    worker::pipeline::write_in_order,
};

/// What a pass writes by.
pub(super) struct Pass<'a> {
    pub(super) pool: &'a PgPool,
    pub(super) lease: &'a Lease,
    pub(super) run_id: Uuid,
    pub(super) importer: &'a Importer<'a>,
    /// For how long a request that was given up may still take effect.
    pub(super) doubted_for: Duration,
    /// No further range is begun.
    pub(super) stop: &'a CancellationToken,
}

impl Pass<'_> {
    /// Reads, writes and settles every range. What has been settled stays, however the pass ends.
    pub(super) async fn run(&self, mut scan: Scan<'_>) -> Result<(), Stop> {
        let (found, to_write) = mpsc::channel::<Piece>(1);
        let (written, mut to_settle) = mpsc::channel::<Settlement>(1);
        // Who can't pass something on stops: why is told by whoever does not take it.
        let reading = async move {
            while !self.stop.is_cancelled()
                && let Some(piece) = scan.next().await?
                && found.send(piece).await.is_ok()
            {}
            Ok(())
        };
        // Boxed, or the compiler can't prove that the run is `Send`.
        let writing = write_in_order(to_write, written, |piece| self.write(piece).boxed());
        let settling = async move {
            let mut spent = Duration::ZERO;
            while let Some(mut settlement) = to_settle.recv().await {
                settlement.counts.reconcile_ms = millis(spent);
                let began = Instant::now();
                let mut conn = self.pool.acquire().await?;
                if !settle::settle(&mut conn, self.lease, &settlement).await? {
                    return Err(Stop::LeaseLost);
                }
                self.tell(&settlement.letters);
                let Counts { rows, unchanged, imported, deleted, failed, .. } = settlement.counts;
                count_rows([
                    ("read", rows),
                    ("unchanged", unchanged),
                    ("written", imported),
                    ("deleted", deleted),
                    ("refused", failed),
                ]);
                spent = began.elapsed();
            }
            Ok(())
        };
        let (read, written, settled): (Result<(), Stop>, Result<(), Stop>, Result<(), Stop>) =
            futures::join!(reading, writing, settling);
        settled.and(written).and(read)
    }

    /// Tells of rows that were refused, with the first of them as an example.
    fn tell(&self, refused: &[Letter]) {
        let Some(Letter { document_id, code, message, .. }) = refused.first() else { return };
        tracing::warn!(job_id = %self.lease.job_id, run_id = %self.run_id, rows = refused.len(), document_id, code,
            reason = message, "rows were refused: they are dead letters");
    }

    /// Writes what a range has to write.
    async fn write(&self, piece: Piece) -> Result<Settlement, Stop> {
        let began = Instant::now();
        let Piece { mut entries, writes, deletes, mut letters, mut healed, mut counts, .. } = piece;
        let sent: Vec<&str> = writes.iter().map(|write| entries[write.entry].0.as_str()).collect();
        let ids: Vec<&str> = sent.iter().copied().chain(deletes.iter().map(String::as_str)).collect();
        let flight = match ids.is_empty() {
            true => None,
            false => {
                let collection = &self.importer.collection;
                let opened = flight::open(self.pool, self.lease, collection, &ids, self.doubted_for).await?;
                Some(opened.ok_or(Stop::LeaseLost)?)
            }
        };
        let documents: Vec<&str> = writes.iter().map(|write| write.document.as_str()).collect();
        let deleted: Vec<&str> = deletes.iter().map(String::as_str).collect();
        let (imported, ()) = futures::try_join!(self.importer.upsert(&documents), async {
            match deleted.is_empty() {
                true => Ok(()),
                false => self.importer.delete(&deleted).await,
            }
        })?;
        let Imported { refused, is_in_doubt } = imported;
        counts.imported += (writes.len() - refused.len()) as i64;
        counts.failed += refused.len() as i64;
        counts.deleted += deletes.len() as i64;
        for Refusal { position, code, message, attempts } in refused {
            let write = &writes[position];
            let (id, entry) = &mut entries[write.entry];
            *entry = Entry::refused(write.before, entry.hash);
            healed.retain(|healed| healed != id);
            let document = Some(write.document.clone());
            letters.push(Letter { document_id: id.clone(), document, code, message, attempts });
        }
        counts.import_ms = millis(began.elapsed());
        Ok(Settlement {
            run_id: self.run_id,
            collection: self.importer.collection.clone(),
            chunk: Chunk { place: piece.place, upper: piece.upper, entries },
            same_as: piece.same_as,
            consumed: piece.consumed,
            left_over: piece.left_over,
            overlay_taken: piece.overlay_taken,
            overlay_read_at: piece.overlay_read_at,
            flight: flight.map(|id| Settled { id, is_in_doubt }),
            letters,
            healed,
            counts,
        })
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
