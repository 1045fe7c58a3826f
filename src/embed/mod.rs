//! Vectors of texts.

use std::time::Duration;

use sqlx::PgPool;

use crate::domain::embedding::Embedding;

/// One vector.
pub type Vector = Vec<f32>;

/// Everything that decides what vector a text gets: vectors of different fingerprints can't be compared.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    pub provider: String,
    pub model: String,
    pub dimensions: usize,
}

/// Why there are no vectors now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It passes by itself, or once somebody has changed the set-up: nothing is wrong with the texts.
    #[error("{message}")]
    Away { message: String, retry_after: Option<Duration> },
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A text that its model does not take, with what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// All models, each made ready when it is first asked for.
pub struct Embedders {}

impl Embedders {
    /// The fingerprint of the vectors that an index's documents get now.
    pub async fn fingerprint(&self, _embedding: &Embedding) -> Result<Fingerprint, Error> {
        Err(Error::Away { message: "no model".to_owned(), retry_after: None })
    }

    /// The vectors of documents' texts, in order, out of the cache where they are known; `None` of an empty text.
    pub async fn documents(
        &self,
        _pool: &PgPool,
        _embedding: &Embedding,
        _texts: &[String],
    ) -> Result<Vec<Option<Result<Vector, Refusal>>>, Error> {
        Err(Error::Away { message: "no model".to_owned(), retry_after: None })
    }

    /// The vector of what is searched for.
    pub async fn query(&self, _embedding: &Embedding, _text: &str) -> Result<Vector, Error> {
        Err(Error::Away { message: "no model".to_owned(), retry_after: None })
    }
}
