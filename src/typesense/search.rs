//! Searching.

use std::time::Instant;

use bytes::Bytes;
use metrics::histogram;
use reqwest::{Method, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use tracing::Instrument;

use super::{Client, Error, error::told};
use crate::metrics::SEARCH_ENGINE_DURATION;

/// One search's answer within a multi-search, or the error that the node gave for this search alone.
pub type SearchResult<T> = Result<T, Error>;

/// What a search found; the parts that are passed on are the node's own text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Found {
    pub found: u64,
    pub page: u64,
    pub search_time_ms: u64,
    pub search_cutoff: bool,
    pub hits: Option<Box<RawValue>>,
    pub grouped_hits: Option<Box<RawValue>>,
    pub facet_counts: Option<Box<RawValue>>,
    /// Instead of all that, of a search that can't be run.
    code: Option<u16>,
    error: Option<String>,
}

impl Found {
    /// As of a collection without documents.
    pub fn nothing(page: u64) -> Self {
        Self { page, ..Self::default() }
    }

    /// Bytes that it holds, about.
    pub fn bytes(&self) -> usize {
        let texts = [&self.hits, &self.grouped_hits, &self.facet_counts];
        size_of::<Self>() + texts.into_iter().flatten().map(|text| text.get().len()).sum::<usize>()
    }
}

impl Client {
    /// Runs searches in one call, each a JSON object with its collection and parameters, and gives their answers in order. The
    /// parameters travel in the body, so that no limit on the length of a URL applies.
    pub async fn search(&self, searches: &[&str]) -> Result<Vec<SearchResult<Found>>, Error> {
        let results: Vec<Found> = self.search_as(searches).await?;
        Ok(results
            .into_iter()
            .map(|found| match &found.error {
                Some(error) => Err(refused(found.code, error)),
                None => Ok(found),
            })
            .collect())
    }

    /// As [`Client::search`], with answers of any shape.
    pub async fn multi_search(&self, searches: &[Value]) -> Result<Vec<SearchResult<Value>>, Error> {
        let searches: Vec<String> = searches.iter().map(Value::to_string).collect();
        let searches: Vec<&str> = searches.iter().map(String::as_str).collect();
        let results: Vec<Value> = self.search_as(&searches).await?;
        Ok(results
            .into_iter()
            .map(|value| match value.get("error") {
                Some(error) => {
                    let code = value.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
                    Err(refused(code, error.as_str().unwrap_or("no reason given")))
                }
                None => Ok(value),
            })
            .collect())
    }

    async fn search_as<T: DeserializeOwned>(&self, searches: &[&str]) -> Result<Vec<T>, Error> {
        #[derive(Deserialize)]
        struct Answer<T> {
            results: Vec<T>,
        }
        let path = format!("/multi_search?limit_multi_searches={}", searches.len());
        let body = Bytes::from(format!("{{\"searches\":[{}]}}", searches.join(",")));
        let call = || {
            let call = self.request(Method::POST, &path).header(header::CONTENT_TYPE, "application/json");
            self.send_json::<Answer<T>>(call.body(body.clone()))
        };
        let began = Instant::now();
        let asking = async {
            match call().await {
                // The node has just died, and another one may be well.
                Err(error) if error.broke_off() => call().await,
                answer => answer,
            }
        };
        let answer = asking.instrument(tracing::info_span!("engine", searches = searches.len())).await;
        histogram!(SEARCH_ENGINE_DURATION.name, "backend" => self.addresses.to_string()).record(began.elapsed());
        answer.map(|answer| answer.results)
    }
}

fn refused(code: Option<u16>, error: &str) -> Error {
    Error::Status { status: code.unwrap_or(500), message: told(error) }
}
