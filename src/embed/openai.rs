//! A model at an address that speaks OpenAI's protocol: OpenAI itself, Ollama, vLLM, TEI and others.

mod answer;
mod fault;

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use reqwest::{Client, Url, redirect::Policy};
use serde::Serialize;

use super::{Error, OpenAiOptions, Refusal, Vector};
use crate::reach;

use fault::Fault;

/// Requests that one call keeps under way.
const REQUESTS_AT_ONCE: usize = 4;
/// Tries of one request, and the longest wait between two of them; what takes longer is the breaker's to wait for.
const TRIES: usize = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(3);

type Vectors = Vec<Result<Vector, Refusal>>;

pub(super) struct OpenAi {
    model: String,
    options: OpenAiOptions,
    http: Client,
}

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

impl OpenAi {
    /// A text that every model takes.
    pub(super) const PROBE: &str = "word";

    pub(super) fn new(model: &str, options: &OpenAiOptions) -> Result<Self, Error> {
        let url = Url::parse(&options.base_url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        reach::policy().judge_host(host).map_err(|refused| Error::away(format!("openai_base_url: {refused}")))?;
        let http = Client::builder()
            .dns_resolver(reach::resolver())
            .connect_timeout(Duration::from_secs(5).min(options.timeout))
            .timeout(options.timeout)
            // Somebody else's address must not get the key.
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Error::away(format!("no HTTP client: {error}")))?;
        Ok(Self { model: model.to_owned(), options: options.clone(), http })
    }

    pub(super) fn name(&self) -> &str {
        &self.model
    }

    pub(super) fn asked_dimensions(&self) -> Option<usize> {
        self.options.dimensions
    }

    /// Texts after which their vectors are stored.
    pub(super) fn step(&self) -> usize {
        self.options.batch * REQUESTS_AT_ONCE
    }

    /// The vectors of texts, in order, which must be so long where it is known.
    pub(super) async fn embed(&self, texts: Vec<String>, dimensions: Option<usize>) -> Result<Vectors, Error> {
        let batches: Vec<_> = texts.chunks(self.options.batch).map(|batch| self.halving(batch, dimensions)).collect();
        let made: Vec<Vectors> = stream::iter(batches).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        let made: Vectors = made.into_iter().flatten().collect();
        // Where every text is refused, the fault may be the set-up's.
        if !made.iter().any(Result::is_ok)
            && let Some(Err(Refusal(message))) = made.first()
            && texts.first().is_none_or(|text| text != Self::PROBE)
            && let Err(fault) = self.ask(&[Self::PROBE.to_owned()], dimensions).await
        {
            return Err(match fault {
                Fault::Refused(_) => self.away(&Fault::Setup(message.clone())),
                other => self.away(&other),
            });
        }
        Ok(made)
    }

    /// As one request; where it is refused, in halves, until the texts to blame are alone.
    fn halving<'a>(&'a self, texts: &'a [String], dimensions: Option<usize>) -> BoxFuture<'a, Result<Vectors, Error>> {
        Box::pin(async move {
            match self.ask(texts, dimensions).await {
                Ok(vectors) => Ok(vectors.into_iter().map(Ok).collect()),
                Err(Fault::Refused(message)) if texts.len() == 1 => Ok(vec![Err(Refusal(message))]),
                Err(Fault::Refused(_)) => {
                    let (first, second) = texts.split_at(texts.len() / 2);
                    let mut vectors = self.halving(first, dimensions).await?;
                    vectors.extend(self.halving(second, dimensions).await?);
                    Ok(vectors)
                }
                Err(fault) => Err(self.away(&fault)),
            }
        })
    }

    fn away(&self, fault: &Fault) -> Error {
        let message = format!("the model {} at {}: {fault}", self.model, self.options.base_url);
        Error::Away { message, retry_after: fault.pause() }
    }

    /// One request, a few times while it may yet succeed.
    async fn ask(&self, texts: &[String], dimensions: Option<usize>) -> Result<Vec<Vector>, Fault> {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(TRIES - 1)
            .with_jitter();
        (|| self.ask_once(texts, dimensions))
            .retry(backoff)
            .when(|fault| fault.may_pass() && fault.pause().is_none_or(|pause| pause <= LONGEST_WAIT))
            .adjust(|fault, wait| wait.map(|wait| fault.pause().unwrap_or(wait)))
            .await
    }

    async fn ask_once(&self, texts: &[String], dimensions: Option<usize>) -> Result<Vec<Vector>, Fault> {
        let url = format!("{}/embeddings", self.options.base_url.trim_end_matches('/'));
        let question = Question {
            model: &self.model,
            input: texts,
            encoding_format: "float",
            dimensions: self.options.dimensions,
        };
        let mut request = self.http.post(url).json(&question);
        if let Some(key) = &self.options.api_key {
            request = request.bearer_auth(key.expose());
        }
        let response = request.send().await.map_err(Fault::unreachable)?;
        if !response.status().is_success() {
            return Err(Fault::of(response).await);
        }
        answer::read(response, texts.len(), dimensions.or(self.options.dimensions)).await
    }
}
