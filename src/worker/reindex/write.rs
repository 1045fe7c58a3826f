//! Importing documents to a version that is not live: with their vectors, under a flight, judged line by line.

use std::borrow::Cow;

use uuid::Uuid;

use super::Run;
use crate::{
    db::reindex::{
        Phase,
        changes::{self, Changed},
        flight,
        lease::{self, Step},
        refusal::{self, Refusal},
    },
    worker::{
        import::{Imported, Importer},
        payload::push_line,
        stop::Stop,
    },
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
    /// A request was not answered in full, and what it carried sent again.
    is_in_doubt: bool,
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
    pub(super) async fn write(&self, importer: &Importer<'_>, documents: Vec<Document>) -> Result<Written, Stop> {
        let (mut lines, mut sent, mut deleted) = (vec![], vec![], vec![]);
        for document in &documents {
            let Some(body) = &document.body else {
                deleted.push(document.id.as_str());
                continue;
            };
            let mut line = String::with_capacity(body.len() + 128);
            push_line(&mut line, self.index.organization_id, document.version, None, body);
            line.truncate(line.trim_end().len());
            lines.push(Cow::Owned(line));
            sent.push(document.id.as_str());
        }
        // Before the flight is opened: while a model is away nothing is in doubt.
        let (lines, mut refused) = importer.embed(lines.into_iter().enumerate().collect()).await?;
        let ids: Vec<&str> = documents.iter().map(|document| document.id.as_str()).collect();
        let flight = flight::open(&self.worker.pool, self.lease, self.id(), &ids).await?.ok_or(Stop::LeaseLost)?;
        let (imported, ()) = futures::try_join!(importer.import(lines), async {
            match deleted.is_empty() {
                true => Ok(()),
                false => importer.delete(&deleted).await,
            }
        })?;
        let Imported { refused: others, is_in_doubt } = imported;
        refused.extend(others);
        let refused = refused.into_iter().map(|refused| Refusal {
            document_id: sent[refused.position].to_owned(),
            code: refused.code,
            message: refused.message,
        });
        let refused = refused.collect();
        Ok(Written { ids: ids.into_iter().map(str::to_owned).collect(), flight, is_in_doubt, refused })
    }

    /// Writes down what became of documents, in one transaction.
    pub(super) async fn settle(&self, written: Written, progress: Progress<'_>) -> Result<(), Stop> {
        let Written { ids, flight, is_in_doubt, refused } = written;
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
        match is_in_doubt {
            true => flight::doubt(&mut tx, flight, self.worker.reindex_doubt()).await?,
            false => flight::close(&mut tx, flight).await?,
        }
        Ok(tx.commit().await?)
    }
}
