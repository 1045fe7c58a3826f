//! Sending documents of a run: several imports side by side, each embedded before it is sent, judged line by line.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::{self, BoxFuture},
    stream,
};
use tokio::sync::Semaphore;

use super::{Worker, embedding::Embeds, payload::with_vector, stop::Stop};
use crate::typesense::{self, LineResult};

/// Bytes of one import at most; a single larger document goes alone.
const IMPORT_BYTES: usize = 2 << 20;
/// How often a single line is tried that fails while the backend is well.
const TRIES: i32 = 4;
/// Between two tries of lines that failed.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Where documents go, and how many at once.
pub(super) struct Importer<'a> {
    pub(super) worker: &'a Worker,
    pub(super) typesense: typesense::Client,
    pub(super) collection: String,
    pub(super) timeout: Duration,
    /// Documents of one import.
    pub(super) batch_size: usize,
    /// After each import.
    pub(super) delay: Duration,
    /// Imports at once, all ranges together.
    pub(super) places: Semaphore,
    pub(super) at_once: usize,
    /// What documents are embedded from; `None` where they have no vectors. Whatever an index does without them, this waits.
    pub(super) embeds: Option<Embeds>,
}

/// A document that Typesense does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its place among those that were sent.
    pub(super) position: usize,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) attempts: i32,
}

/// What came of documents that were sent.
#[derive(Debug, Default)]
pub(super) struct Imported {
    pub(super) refused: Vec<Refusal>,
    /// A request was not answered in full: it may still take effect, and undo what is newer by then.
    pub(super) is_in_doubt: bool,
}

impl Imported {
    fn and(mut self, other: Self) -> Self {
        self.refused.extend(other.refused);
        self.is_in_doubt |= other.is_in_doubt;
        self
    }
}

/// A document and its place.
pub(super) type Line<'a> = (usize, Cow<'a, str>);

impl Importer<'_> {
    /// Gives documents their vectors and upserts them.
    ///
    /// # Errors
    /// Where the backend or the model is away: what was sent may or may not have been applied.
    pub(super) async fn upsert(&self, documents: &[&str]) -> Result<Imported, Stop> {
        let lines = documents.iter().copied().map(Cow::Borrowed).enumerate();
        let batches = batches(lines, self.batch_size).into_iter();
        self.side_by_side(batches.map(|batch| self.embed_and_send(batch).boxed())).await
    }

    /// As [`Importer::upsert`], of documents that bring their vectors along.
    pub(super) async fn import(&self, lines: Vec<Line<'_>>) -> Result<Imported, Stop> {
        let batches = batches(lines, self.batch_size).into_iter();
        self.side_by_side(batches.map(|batch| self.send_in_turn(batch).boxed())).await
    }

    // Boxed, or the compiler can't prove that the run is `Send`.
    async fn side_by_side<'a>(
        &self,
        sends: impl Iterator<Item = BoxFuture<'a, Result<Imported, Stop>>>,
    ) -> Result<Imported, Stop> {
        let sends: Vec<_> = sends.collect();
        let imported = stream::iter(sends).buffer_unordered(self.at_once);
        imported.try_fold(Imported::default(), |all, one| future::ok(all.and(one))).await
    }

    /// Without a place while it embeds: meanwhile other batches are imported.
    async fn embed_and_send(&self, batch: Vec<Line<'_>>) -> Result<Imported, Stop> {
        let (lines, refused) = self.embed(batch).await?;
        let mut imported = Imported { refused, is_in_doubt: false };
        // Vectors may be much larger than what they are made of.
        for batch in batches(lines, self.batch_size) {
            imported = imported.and(self.send_in_turn(batch).await?);
        }
        Ok(imported)
    }

    /// Gives documents their vectors; those whose texts the model does not take are refused.
    pub(super) async fn embed<'a>(&self, batch: Vec<Line<'a>>) -> Result<(Vec<Line<'a>>, Vec<Refusal>), Stop> {
        if self.embeds.is_none() {
            return Ok((batch, vec![]));
        }
        let bodies: Vec<&str> = batch.iter().map(|(_, document)| document.as_ref()).collect();
        let vectors = self.worker.vectors(self.embeds.as_ref(), bodies.into_iter()).await?;
        if vectors.are_due() {
            return Err(Stop::Pause("the model is away".to_owned()));
        }
        let (mut lines, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        for (place, (position, document)) in batch.into_iter().enumerate() {
            if let Some(message) = vectors.refusal(place) {
                let (code, message) = ("embedding_refused".to_owned(), message.to_owned());
                refused.push(Refusal { position, code, message, attempts: 1 });
                continue;
            }
            let line = vectors.of(place).map(|vector| Cow::Owned(with_vector(&document, vector)));
            lines.push((position, line.unwrap_or(document)));
        }
        Ok((lines, refused))
    }

    async fn send_in_turn(&self, batch: Vec<Line<'_>>) -> Result<Imported, Stop> {
        let _place = self.places.acquire().await.map_err(|_| Stop::Shutdown)?;
        let imported = self.send(batch, 1).await;
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        imported
    }

    /// Deletes documents; those that are not there are no error.
    pub(super) async fn delete(&self, ids: &[&str]) -> Result<(), Stop> {
        let _place = self.places.acquire().await.map_err(|_| Stop::Shutdown)?;
        Ok(self.typesense.delete(&self.collection, ids, self.timeout).await?)
    }

    fn send<'a>(&'a self, batch: Vec<Line<'a>>, attempt: i32) -> BoxFuture<'a, Result<Imported, Stop>> {
        Box::pin(async move {
            let mut body = Vec::with_capacity(batch.iter().map(|(_, document)| document.len() + 1).sum());
            for (_, document) in &batch {
                body.extend_from_slice(document.as_bytes());
                body.push(b'\n');
            }
            match self.typesense.import(&self.collection, Bytes::from(body), batch.len(), self.timeout).await {
                Ok(results) => self.judge(batch, results, attempt).await,
                Err(error) => self.divide(batch, error, attempt).await,
            }
        })
    }

    /// Tries lines again that may pass.
    async fn judge<'a>(
        &'a self,
        batch: Vec<Line<'a>>,
        results: Vec<LineResult>,
        attempt: i32,
    ) -> Result<Imported, Stop> {
        let (mut imported, mut again) = (Imported::default(), Vec::new());
        for ((position, document), result) in batch.into_iter().zip(results) {
            let (code, message, may_pass) = match result {
                LineResult::Imported => continue,
                LineResult::Refused { code: code @ (408 | 429 | 500..), message } => {
                    (format!("typesense_{code}"), message, true)
                }
                LineResult::Refused { message, .. } => ("document_refused".to_owned(), message, false),
                LineResult::Unanswered => {
                    imported.is_in_doubt = true;
                    ("unanswered".to_owned(), "the answer had no line for it".to_owned(), true)
                }
            };
            match may_pass && attempt < TRIES {
                true => again.push((position, document)),
                false => imported.refused.push(Refusal { position, code, message, attempts: attempt }),
            }
        }
        if !again.is_empty() {
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
            imported = imported.and(self.send(again, attempt + 1).await?);
        }
        Ok(imported)
    }

    /// Whether the backend is well: a health check says little of what becomes of writes. This line is refused, and changes nothing.
    async fn takes_imports(&self) -> bool {
        self.typesense.import(&self.collection, Bytes::from_static(b"[]\n"), 1, self.timeout).await.is_ok()
    }

    /// A request failed as a whole. While the backend is well, one of its documents is to blame: halves find it.
    async fn divide<'a>(
        &'a self,
        mut batch: Vec<Line<'a>>,
        error: typesense::Error,
        attempt: i32,
    ) -> Result<Imported, Stop> {
        if error.refuses_work() || error.is_transient() && !self.takes_imports().await {
            return Err(Stop::Pause(error.to_string()));
        }
        // Who has turned it down is done with it.
        let given_up = Imported { refused: vec![], is_in_doubt: error.status_code().is_none() };
        if batch.len() > 1 {
            let second = batch.split_off(batch.len() / 2);
            let halves = self.send(batch, attempt).await?.and(self.send(second, attempt).await?);
            return Ok(given_up.and(halves));
        }
        if error.is_transient() && attempt < TRIES {
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
            return Ok(given_up.and(self.send(batch, attempt + 1).await?));
        }
        let code = error.status_code().map_or_else(|| "unanswered".to_owned(), |status| format!("typesense_{status}"));
        let message = error.to_string();
        let refusal = |(position, _): Line<'_>| Refusal {
            position,
            code: code.clone(),
            message: message.clone(),
            attempts: attempt,
        };
        Ok(Imported { refused: batch.into_iter().map(refusal).collect(), ..given_up })
    }
}

/// Cuts lines into imports by number and bytes.
fn batches<'a>(lines: impl IntoIterator<Item = Line<'a>>, most: usize) -> Vec<Vec<Line<'a>>> {
    let mut batches: Vec<Vec<Line<'a>>> = Vec::new();
    let mut bytes = 0;
    for line in lines {
        let length = line.1.len();
        bytes += length;
        match batches.last_mut().filter(|batch| batch.len() < most && bytes <= IMPORT_BYTES) {
            Some(batch) => batch.push(line),
            None => {
                batches.push(vec![line]);
                bytes = length;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_bounded_in_documents_and_bytes() {
        let large = "x".repeat(IMPORT_BYTES - 2);
        let documents = ["a", "b", "c", &large, "d", "e"];
        let lines: Vec<Line<'_>> = documents.into_iter().map(Cow::Borrowed).enumerate().collect();
        let cut = |most| batches(lines.clone(), most).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(cut(2), [2, 2, 2]);
        assert_eq!(cut(100), [3, 3]);
        assert_eq!(batches([], 5).len(), 0);
    }
}
