//! Vectors of the documents that are about to be written.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Worker;
use crate::{
    domain::embedding::{Embedding, Outage},
    embed::{Error, Refusal, Vector},
};

/// For how long what documents wait for is told of, once none does any more.
const TOLD_FOR: Duration = Duration::from_secs(5);

/// What documents wait for that have no vectors yet, as it was last seen.
#[derive(Default)]
pub(super) struct Trouble(Mutex<Option<(String, Instant)>>);

impl Trouble {
    pub(super) fn note(&self, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((reason.to_owned(), Instant::now()));
    }

    pub(super) fn current(&self) -> Option<String> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().filter(|(_, at)| at.elapsed() < TOLD_FOR).map(|(reason, _)| reason.clone())
    }
}

/// What an index's documents are embedded from, where its collection takes vectors of the model as it is now.
#[derive(Clone, Debug)]
pub(super) struct Embeds {
    pub(super) embedding: Embedding,
    /// Why there are none at present, of an index whose documents go without.
    pub(super) without: Option<String>,
}

/// The vectors of some documents, in their order.
#[derive(Debug)]
pub(super) enum Vectors {
    /// Of a document without text none.
    Made(Vec<Option<Result<Vector, Refusal>>>),
    /// The documents go without, and are to be embedded later.
    Later,
    /// The index has none.
    None,
}

impl Vectors {
    /// The vector of the document at a place, if it has one.
    pub(super) fn of(&self, place: usize) -> Option<&[f32]> {
        match self {
            Self::Made(vectors) => vectors.get(place)?.as_ref()?.as_ref().ok().map(Vec::as_slice),
            Self::Later | Self::None => None,
        }
    }

    /// Whether documents go without the vectors that they should have.
    pub(super) fn are_due(&self) -> bool {
        matches!(self, Self::Later)
    }

    /// Why the document at a place can't be embedded.
    pub(super) fn refusal(&self, place: usize) -> Option<&str> {
        match self {
            Self::Made(vectors) => match vectors.get(place)? {
                Some(Err(Refusal(message))) => Some(message),
                _ => None,
            },
            Self::Later | Self::None => None,
        }
    }
}

impl Worker {
    /// The vectors of documents, given as JSON; empty where there is none.
    ///
    /// # Errors
    /// [`Error::Away`] where the model is away and the documents are to wait for it.
    pub(super) async fn vectors(
        &self,
        embeds: Option<&Embeds>,
        bodies: impl Iterator<Item = &str>,
    ) -> Result<Vectors, Error> {
        let Some(Embeds { embedding, without }) = embeds else { return Ok(Vectors::None) };
        if let Some(reason) = without {
            self.trouble.note(reason);
            return Ok(Vectors::Later);
        }
        // What is no JSON has no text: Typesense has the word on it.
        let texts: Vec<String> = bodies
            .map(|body| serde_json::from_str(body).map(|body: Value| embedding.text_of(&body)).unwrap_or_default())
            .collect();
        match self.embedders.documents(&self.pool, embedding, &texts).await {
            Ok(vectors) => Ok(Vectors::Made(vectors)),
            Err(Error::Away { message, .. }) if embedding.outage == Outage::Skip => {
                self.trouble.note(&message);
                Ok(Vectors::Later)
            }
            Err(error) => Err(error),
        }
    }
}
