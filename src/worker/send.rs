//! Sends a batch to the backend and tells what it said of each document.

use uuid::Uuid;

use super::{
    Worker,
    batch::{Action, Batch, Item},
    decide::decide,
    embedding::Vectors,
    error::Error,
    payload::push_line,
    reconcile::Outcome,
};
use crate::{
    db::{self, index::Index, lane::Lease},
    typesense::{self, LineResult},
};

/// What came of a batch: an outcome for each item and, where a request failed as a whole, why.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) fault: Option<typesense::Error>,
    /// False where nothing of it can have had an effect.
    pub(super) left: bool,
}

/// A batch ready to be sent: nothing more is to be read or decided.
pub(super) struct Request {
    collection: String,
    /// Rows whose condition was decided: to be written down as plain deletes before this is sent.
    pub(super) decided: Vec<i64>,
    lines: String,
    /// Items by their place in the batch.
    upserts: Vec<usize>,
    deletes: Vec<usize>,
    outcomes: Vec<Outcome>,
}

impl Request {
    /// Builds the request, with a vector for each document that has one; decides the conditional deletes by asking the backend what their documents hold.
    pub(super) async fn build(
        worker: &Worker,
        index: &Index,
        collection: String,
        vectors: &Vectors,
        lease: &Lease,
        batch: &mut Batch,
    ) -> Result<Self, Error> {
        let mut outcomes = vec![Outcome::Unknown; batch.items.len()];
        let deciding = decide(worker, index, &collection, lease, batch, &mut outcomes);
        let decided = tokio::time::timeout(worker.options.import_timeout, deciding).await;
        let decided = decided.unwrap_or(Err(typesense::Error::TimedOut.into()))?;
        let bytes = batch.items.iter().map(|item| match &item.action {
            Action::Upsert(body) => body.len() + 128,
            _ => 0,
        });
        let mut lines = String::with_capacity(bytes.sum());
        let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
        for (n, item) in batch.items.iter_mut().enumerate() {
            match &mut item.action {
                Action::Upsert(body) => {
                    if let Some(message) = vectors.refusal(n) {
                        let (code, message) = ("embedding_refused".to_owned(), message.to_owned());
                        outcomes[n] = Outcome::Refused { code, message };
                        continue;
                    }
                    // Taken, so that a body is held once.
                    let body = std::mem::take(body);
                    push_line(&mut lines, index.organization_id, item.document_version, vectors.of(n), &body);
                    upserts.push(n);
                }
                Action::Delete => deletes.push(n),
                // Has its outcome.
                Action::DeleteIfMatches(_) => {}
            }
        }
        Ok(Self { collection, decided, lines, upserts, deletes, outcomes })
    }

    /// Whether anything has to be asked of the backend.
    pub(super) fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.deletes.is_empty()
    }

    /// The flight of the request: what it is about to change.
    pub(super) fn flight(&self, index: &Index, batch: &Batch) -> db::flight::Flight {
        let items: Vec<&Item> = self.upserts.iter().chain(&self.deletes).map(|n| &batch.items[*n]).collect();
        db::flight::Flight {
            id: Uuid::now_v7(),
            index_id: index.id,
            collection: self.collection.clone(),
            document_ids: items.iter().map(|item| item.document_id.clone()).collect(),
            versions: items.iter().map(|item| item.document_version).collect(),
        }
    }

    /// The documents that are about to be written without a vector that they should have.
    pub(super) fn without_vectors(&self, vectors: &Vectors, batch: &Batch) -> Vec<String> {
        match vectors.are_due() {
            true => self.upserts.iter().map(|n| batch.items[*n].document_id.clone()).collect(),
            false => vec![],
        }
    }

    /// What is known without asking.
    pub(super) fn into_outcomes(self) -> Vec<Outcome> {
        self.outcomes
    }

    /// Sends it. Upserts and deletes go side by side: no document is in both. Nothing of it is sent after the time is up.
    pub(super) async fn send(mut self, worker: &Worker, batch: &Batch) -> Sent {
        let timeout = worker.options.import_timeout;
        let ids: Vec<&str> = self.deletes.iter().map(|n| &*batch.items[*n].document_id).collect();
        let import = async {
            match self.upserts.len() {
                0 => Ok(Vec::new()),
                lines => worker.typesense.import(&self.collection, self.lines.into(), lines, timeout).await,
            }
        };
        let delete = tokio::time::timeout(timeout, worker.typesense.delete(&self.collection, &ids, timeout));
        let (imported, deleted) = tokio::join!(import, delete);
        let mut fault = None;
        match imported {
            Ok(results) => {
                for (n, result) in self.upserts.iter().zip(results) {
                    self.outcomes[*n] = outcome(result, &mut fault);
                }
            }
            Err(error) => fault = Some(error),
        }
        match deleted.unwrap_or(Err(typesense::Error::TimedOut)) {
            Ok(()) => self.deletes.iter().for_each(|n| self.outcomes[*n] = Outcome::Projected),
            Err(error) => fault = Some(error),
        }
        // Of several calls one may have arrived though another did not.
        let only_call = self.deletes.is_empty();
        let left = !(only_call && fault.as_ref().is_some_and(typesense::Error::never_arrived));
        Sent { outcomes: self.outcomes, fault, left }
    }
}

fn outcome(result: LineResult, fault: &mut Option<typesense::Error>) -> Outcome {
    match result {
        LineResult::Imported => Outcome::Projected,
        LineResult::Refused { code: code @ (408 | 429 | 500..), message } => {
            Outcome::Failed { code: format!("typesense_{code}"), message }
        }
        LineResult::Refused { message, .. } => Outcome::Refused { code: "document_refused".to_owned(), message },
        // A node that is stopped in the middle of an import cuts its answer off, and has yet applied every line.
        LineResult::Unanswered => {
            fault.get_or_insert_with(|| {
                typesense::Error::Answer(serde::de::Error::custom("the import's answer broke off"))
            });
            Outcome::Unknown
        }
    }
}
