//! Sends a batch to the backend and tells what it said of each document.

use uuid::Uuid;

use super::{
    Worker,
    batch::{Action, Batch, Item},
    payload::push_line,
    reconcile::Outcome,
};
use crate::{
    db::{self, index::Index, lane::Lane},
    domain::filter,
    typesense::{self, LineResult},
};

/// What came of a batch: an outcome for each item and, where a request failed as a whole, why.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) fault: Option<typesense::Error>,
}

/// A batch ready to be sent: nothing more is to be read or decided.
pub(super) struct Request {
    collection: String,
    lines: String,
    /// Items by their place in the batch.
    upserts: Vec<usize>,
    deletes: Vec<usize>,
    outcomes: Vec<Outcome>,
}

impl Request {
    /// Builds the request; decides the conditional deletes by asking the backend what their documents hold.
    pub(super) async fn build(
        worker: &Worker,
        index: &Index,
        collection: String,
        lane: Lane,
        batch: &mut Batch,
    ) -> Result<Self, BuildError> {
        let bytes = batch.items.iter().map(|item| match &item.action {
            Action::Upsert(body) => body.len() + 128,
            _ => 0,
        });
        let mut request = Self {
            collection,
            lines: String::with_capacity(bytes.sum()),
            upserts: Vec::new(),
            deletes: Vec::new(),
            outcomes: vec![Outcome::Unknown; batch.items.len()],
        };
        for (n, item) in batch.items.iter_mut().enumerate() {
            match &mut item.action {
                Action::Upsert(body) => {
                    // Taken, so that a body is held once.
                    let body = std::mem::take(body);
                    push_line(&mut request.lines, index.organization_id, item.document_version, &body);
                    request.upserts.push(n);
                }
                Action::Delete => request.deletes.push(n),
                Action::DeleteIfMatches(_) => match decide(worker, index, &request.collection, lane, item).await? {
                    Decision::Delete => request.deletes.push(n),
                    Decision::Keep => request.outcomes[n] = Outcome::NothingToDo,
                    Decision::NotYet => request.outcomes[n] = Outcome::Wait,
                },
            }
        }
        Ok(request)
    }

    /// Whether anything has to be asked of the backend.
    pub(super) fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.deletes.is_empty()
    }

    /// Sends it. Upserts and deletes go side by side: no document is in both.
    pub(super) async fn send(mut self, worker: &Worker, batch: &Batch) -> Sent {
        let timeout = worker.options.import_timeout;
        let ids: Vec<&str> = self.deletes.iter().map(|n| &*batch.items[*n].document_id).collect();
        let import = async {
            match self.upserts.len() {
                0 => Ok(Vec::new()),
                lines => worker.typesense.import(&self.collection, self.lines.into(), lines, timeout).await,
            }
        };
        let (imported, deleted) = tokio::join!(import, worker.typesense.delete(&self.collection, &ids, timeout));
        let mut fault = None;
        match imported {
            Ok(results) => {
                for (n, result) in self.upserts.iter().zip(results) {
                    self.outcomes[*n] = outcome(result, &mut fault);
                }
            }
            Err(error) => fault = Some(error),
        }
        match deleted {
            Ok(()) => self.deletes.iter().for_each(|n| self.outcomes[*n] = Outcome::Projected),
            Err(error) => fault = Some(error),
        }
        Sent { outcomes: self.outcomes, fault }
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

/// Why a request could not be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error(transparent)]
    Typesense(#[from] typesense::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

enum Decision {
    Delete,
    Keep,
    NotYet,
}

/// Whether a document that was undecided when its delete by filter was resolved is to be deleted.
async fn decide(
    worker: &Worker,
    index: &Index,
    collection: &str,
    lane: Lane,
    item: &Item,
) -> Result<Decision, BuildError> {
    let Action::DeleteIfMatches(wanted) = &item.action else { return Ok(Decision::Delete) };
    if db::filter_delete::is_unsettled(&worker.pool, lane, &item.document_id, item.document_version).await? {
        return Ok(Decision::NotYet);
    }
    worker.typesense.catch_up(collection).await?;
    let confined = filter::confine(Some(wanted), index.organization_id);
    Ok(match worker.typesense.matches(collection, &item.document_id, &confined).await? {
        true => Decision::Delete,
        false => Decision::Keep,
    })
}

/// The flight of a batch: what it is about to change.
pub(super) fn flight(index: &Index, collection: String, batch: &Batch) -> db::flight::Flight {
    db::flight::Flight {
        id: Uuid::now_v7(),
        index_id: index.id,
        collection,
        document_ids: batch.items.iter().map(|item| item.document_id.clone()).collect(),
        versions: batch.items.iter().map(|item| item.document_version).collect(),
    }
}
