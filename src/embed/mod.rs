//! Vectors of texts, out of models in the process or elsewhere, and none of them made twice.
//!
//! What must hold: two vectors are compared only where their [`Fingerprint`]s are the same; a text that a model refuses holds up
//! no other; a model that is away is asked again by one call at a time, after a pause; what is searched for does not wait behind
//! documents.

mod breaker;
mod fingerprint;
mod local;
mod openai;
mod options;
mod provider;
mod threads;
mod weights;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use metrics::{counter, histogram};
use moka::future::Cache;
use sqlx::PgPool;

use crate::{
    db::embedding::{self, Key},
    domain::embedding::{Embedding, Model},
    metrics::{EMBEDDED_TEXTS, EMBEDDING_DURATION, EMBEDDING_HITS, EMBEDDING_REFUSED},
};

use provider::{Provider, Urgency};

pub use fingerprint::Fingerprint;
pub use options::{OpenAiOptions, Options};

/// One vector.
pub type Vector = Vec<f32>;

/// Why there are no vectors now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It passes by itself, or once somebody has changed the set-up: nothing is wrong with the texts.
    #[error("{message}")]
    Away { message: String, retry_after: Option<Duration> },
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Error {
    fn away(message: impl Into<String>) -> Self {
        Self::Away { message: message.into(), retry_after: None }
    }
}

/// A text that its model does not take, with what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// All models, each made ready when it is first asked for.
pub struct Embedders {
    options: Options,
    models: Mutex<BTreeMap<String, Arc<Provider>>>,
    /// What was searched for lately.
    queries: Cache<Key, Vector>,
}

/// Searches whose vectors are remembered, each of some kilobytes.
const QUERIES: u64 = 10_000;

impl Embedders {
    pub fn new(options: Options) -> Self {
        Self { options, models: Mutex::default(), queries: Cache::new(QUERIES) }
    }

    /// The fingerprint of the vectors that an index's documents get now.
    ///
    /// # Errors
    /// [`Error::Away`] where only the model could tell, and it can't be reached.
    pub async fn fingerprint(&self, embedding: &Embedding) -> Result<Fingerprint, Error> {
        self.provider(embedding)?.fingerprint(&embedding.prefixes).await
    }

    /// The vectors of documents' texts, in order, out of the cache where they are known; `None` of an empty text.
    ///
    /// # Errors
    /// [`Error::Away`] where the model can't be reached; what it has made before is in the cache by then.
    pub async fn documents(
        &self,
        pool: &PgPool,
        embedding: &Embedding,
        texts: &[String],
    ) -> Result<Vec<Option<Result<Vector, Refusal>>>, Error> {
        let provider = self.provider(embedding)?;
        let fingerprint = provider.fingerprint(&embedding.prefixes).await?;
        let prefix = &embedding.prefixes.document;
        let keys: Vec<Option<Key>> = texts
            .iter()
            .map(|text| (!text.trim().is_empty()).then(|| fingerprint.key(&format!("{prefix}{text}"))))
            .collect();
        let mut wanted: HashMap<Key, &String> =
            keys.iter().zip(texts).filter_map(|(key, text)| Some(((*key)?, text))).collect();
        let mut vectors: HashMap<Key, Result<Vector, Refusal>> = HashMap::with_capacity(wanted.len());
        for (key, vector) in embedding::find(pool, wanted.keys()).await? {
            if vector.len() == fingerprint.dimensions && wanted.remove(&key).is_some() {
                vectors.insert(key, Ok(vector));
            }
        }
        counter!(EMBEDDING_HITS.name, "model" => embedding.model.clone()).increment(vectors.len() as u64);
        let mut misses: Vec<(Key, String)> =
            wanted.into_iter().map(|(key, text)| (key, format!("{prefix}{text}"))).collect();
        while !misses.is_empty() {
            let (keys, texts): (Vec<Key>, Vec<String>) =
                misses.split_off(misses.len().saturating_sub(provider.step())).into_iter().unzip();
            let made = self.embed(&provider, &fingerprint, texts, Urgency::Bulk).await?;
            let made: Vec<_> = keys.into_iter().zip(made).collect();
            let good = made.iter().filter_map(|(key, vector)| Some((key, vector.as_ref().ok()?)));
            embedding::store(pool, good).await?;
            vectors.extend(made);
        }
        Ok(keys.iter().map(|key| vectors.get(key.as_ref()?).cloned()).collect())
    }

    /// The vector of what is searched for.
    ///
    /// # Errors
    /// [`Error::Away`], also where the model does not take the text.
    pub async fn query(&self, embedding: &Embedding, text: &str) -> Result<Vector, Error> {
        if text.trim().is_empty() {
            return Err(Error::away("an empty text has no vector"));
        }
        let provider = self.provider(embedding)?;
        let fingerprint = provider.fingerprint(&embedding.prefixes).await?;
        let text = format!("{}{text}", embedding.prefixes.query);
        let key = fingerprint.key(&text);
        if let Some(vector) = self.queries.get(&key).await {
            return Ok(vector);
        }
        let made = self.embed(&provider, &fingerprint, vec![text], Urgency::Query).await?;
        match made.into_iter().next() {
            Some(Ok(vector)) => {
                self.queries.insert(key, vector.clone()).await;
                Ok(vector)
            }
            Some(Err(Refusal(message))) => Err(Error::away(message)),
            None => Err(Error::away("the model gave no vector")),
        }
    }

    /// Whether the local model's files are on this machine: else they are fetched when it is first asked for.
    pub fn has_local_model(&self) -> bool {
        weights::are_there(self.options.local_model.as_deref(), &self.options.cache)
    }

    /// The models that are away, each with what is wrong.
    pub fn troubles(&self) -> Vec<(String, String)> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.iter().filter_map(|(name, provider)| Some((name.clone(), provider.trouble()?))).collect()
    }

    async fn embed(
        &self,
        provider: &Provider,
        fingerprint: &Fingerprint,
        texts: Vec<String>,
        urgency: Urgency,
    ) -> Result<Vec<Result<Vector, Refusal>>, Error> {
        let model = || format!("{}:{}", fingerprint.provider, fingerprint.model);
        let began = Instant::now();
        let made = provider.embed(texts, urgency, fingerprint.dimensions).await?;
        histogram!(EMBEDDING_DURATION.name, "model" => model()).record(began.elapsed());
        let refused = made.iter().filter(|vector| vector.is_err()).count();
        counter!(EMBEDDED_TEXTS.name, "model" => model()).increment((made.len() - refused) as u64);
        counter!(EMBEDDING_REFUSED.name, "model" => model()).increment(refused as u64);
        Ok(made)
    }

    fn provider(&self, embedding: &Embedding) -> Result<Arc<Provider>, Error> {
        let model = embedding.model().ok_or_else(|| Error::away(format!("there is no model {:?}", embedding.model)))?;
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(provider) = models.get(&embedding.model) {
            return Ok(provider.clone());
        }
        let provider = Arc::new(match model {
            Model::Local(name) => Provider::local(name, &self.options),
            Model::OpenAi(name) => Provider::openai(name, &self.options)?,
        });
        models.insert(embedding.model.clone(), provider.clone());
        Ok(provider)
    }
}
