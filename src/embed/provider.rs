//! One model, whoever runs it.

use std::time::Instant;

use tokio::sync::OnceCell;

use super::{
    Error, Options, Refusal, Vector,
    breaker::Breaker,
    fingerprint::{Fingerprint, LocalFingerprint},
    local::Local,
    openai::OpenAi,
};
use crate::domain::embedding::Prefixes;

/// Who waits for a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody who searches.
    Query,
    /// Documents.
    Bulk,
}

pub(super) struct Provider {
    runner: Runner,
    breaker: Breaker,
    /// What its vectors are like, once it has said so.
    kind: OnceCell<Kind>,
}

enum Runner {
    Local(Local),
    OpenAi(OpenAi),
}

/// A fingerprint without prefixes.
#[derive(Clone)]
struct Kind {
    dimensions: usize,
    local: Option<LocalFingerprint>,
}

impl Provider {
    pub(super) fn local(name: &str, options: &Options) -> Self {
        Self::new(Runner::Local(Local::new(name, options)), options)
    }

    pub(super) fn openai(name: &str, options: &Options) -> Result<Self, Error> {
        Ok(Self::new(Runner::OpenAi(OpenAi::new(name, &options.openai)?), options))
    }

    fn new(runner: Runner, options: &Options) -> Self {
        Self { runner, breaker: Breaker::new(options.backoff), kind: OnceCell::new() }
    }

    /// Texts that are worth being embedded together.
    pub(super) fn step(&self) -> usize {
        match &self.runner {
            Runner::Local(_) => Local::STEP,
            Runner::OpenAi(openai) => openai.step(),
        }
    }

    /// What is wrong with it, while it is away.
    pub(super) fn trouble(&self) -> Option<String> {
        self.breaker.trouble()
    }

    pub(super) async fn fingerprint(&self, prefixes: &Prefixes) -> Result<Fingerprint, Error> {
        let Kind { dimensions, local } = self.kind.get_or_try_init(|| self.ask_for_kind()).await?.clone();
        let (provider, model) = match &self.runner {
            Runner::Local(local) => ("local", local.name()),
            Runner::OpenAi(openai) => ("openai", openai.name()),
        };
        let (provider, model, prefixes) = (provider.to_owned(), model.to_owned(), prefixes.clone());
        Ok(Fingerprint { provider, model, dimensions, local, prefixes })
    }

    async fn ask_for_kind(&self) -> Result<Kind, Error> {
        match &self.runner {
            Runner::Local(local) => {
                let (dimensions, own) = self.guarded(local.fingerprint()).await?;
                Ok(Kind { dimensions, local: Some(own) })
            }
            Runner::OpenAi(openai) => {
                if let Some(dimensions) = openai.asked_dimensions() {
                    return Ok(Kind { dimensions, local: None });
                }
                let made = self.guarded(openai.embed(vec![OpenAi::PROBE.to_owned()], None)).await?;
                match made.into_iter().next() {
                    Some(Ok(vector)) => Ok(Kind { dimensions: vector.len(), local: None }),
                    Some(Err(Refusal(message))) => Err(Error::away(message)),
                    None => Err(Error::away("the model gave no vector")),
                }
            }
        }
    }

    /// The vectors of texts, in order, none of which is empty; each of so many numbers.
    pub(super) async fn embed(
        &self,
        texts: Vec<String>,
        urgency: Urgency,
        dimensions: usize,
    ) -> Result<Vec<Result<Vector, Refusal>>, Error> {
        match &self.runner {
            Runner::Local(local) => self.guarded(local.embed(texts, urgency)).await,
            Runner::OpenAi(openai) => self.guarded(openai.embed(texts, Some(dimensions))).await,
        }
    }

    /// Makes a call only where the model is not known to be away, and remembers how it went.
    async fn guarded<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let permit = self.breaker.enter(Instant::now())?;
        match call.await {
            Ok(made) => {
                permit.worked();
                Ok(made)
            }
            Err(Error::Away { message, retry_after }) => {
                tracing::warn!(fault = message, "a model is away");
                Err(permit.failed(Instant::now(), message, retry_after))
            }
            Err(other) => Err(other),
        }
    }
}
