//! Writing documents to a version that is not live: with their vectors, under a flight, judged line by line.

use uuid::Uuid;

use super::{Run, Writing};
use crate::{
    db::reindex::{
        Phase,
        changes::{self, Changed},
        flight,
        lease::{self, Step},
        refusal::{self, Refusal},
    },
    worker::{payload::push_line, stop::Stop},
};

/// A document as the record has it.
pub(super) struct Document {
    pub(super) id: String,
    pub(super) version: i64,
    /// `None`: it is to be deleted.
    pub(super) body: Option<String>,
}

/// Documents that were written, and not settled yet.
pub(super) struct Written {
    ids: Vec<String>,
    flight: Uuid,
    refused: Vec<Refusal>,
}

/// What is settled together with documents that were written.
pub(super) struct Progress<'a> {
    pub(super) phase: Phase,
    /// The id behind which the record has not been copied.
    pub(super) position: Option<&'a str>,
    /// The changes that were written.
    pub(super) changed: &'a [Changed],
}

impl Run<'_> {
    /// Upserts and deletes documents of different ids.
    pub(super) async fn write(&self, writing: &Writing<'_>, documents: Vec<Document>) -> Result<Written, Stop> {
        let worker = self.worker;
        let bodies = documents.iter().map(|document| document.body.as_deref().unwrap_or_default());
        let vectors = worker.vectors(writing.embeds.as_ref(), bodies).await?;
        if vectors.are_due() {
            return Err(Stop::Pause("the model is away".to_owned()));
        }
        let ids: Vec<&str> = documents.iter().map(|document| document.id.as_str()).collect();
        let flight = flight::open(&worker.pool, self.lease, self.id(), &ids).await?.ok_or(Stop::LeaseLost)?;
        let (mut lines, mut sent, mut deleted, mut refused) = (vec![], vec![], vec![], vec![]);
        for (place, document) in documents.iter().enumerate() {
            let Some(body) = &document.body else {
                deleted.push(document.id.as_str());
                continue;
            };
            if let Some(message) = vectors.refusal(place) {
                refused.push(refusal(&document.id, "embedding_refused".to_owned(), message.to_owned()));
                continue;
            }
            let mut line = String::with_capacity(body.len() + 128);
            push_line(&mut line, self.index.organization_id, document.version, vectors.of(place), body);
            lines.push(line);
            sent.push(document.id.as_str());
        }
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        let (answers, ()) = futures::try_join!(writing.importer.upsert(&lines), async {
            match deleted.is_empty() {
                true => Ok(()),
                false => writing.importer.delete(&deleted).await,
            }
        })?;
        refused.extend(answers.into_iter().map(|answer| refusal(sent[answer.position], answer.code, answer.message)));
        Ok(Written { ids: ids.into_iter().map(str::to_owned).collect(), flight, refused })
    }

    /// Writes down what became of documents, in one transaction.
    pub(super) async fn settle(&self, written: Written, progress: Progress<'_>) -> Result<(), Stop> {
        let Written { ids, flight, refused } = written;
        let mut tx = self.worker.pool.begin().await?;
        let step = Step { phase: progress.phase, done: ids.len() as i64, position: progress.position };
        if !lease::step(&mut tx, self.lease, step).await? {
            return Err(Stop::LeaseLost);
        }
        let sent: Vec<&str> = ids.iter().map(String::as_str).collect();
        refusal::note(&mut tx, self.lease, self.id(), &sent, &refused).await?;
        if !progress.changed.is_empty() {
            changes::strike(&mut tx, self.id(), progress.changed).await?;
        }
        flight::close(&mut tx, flight).await?;
        Ok(tx.commit().await?)
    }
}

fn refusal(id: &str, code: String, message: String) -> Refusal {
    Refusal { document_id: id.to_owned(), code, message }
}
