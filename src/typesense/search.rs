//! Searching.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{Client, Error, error::told, send_json};

/// One search's answer within a multi-search: the node's JSON, or the error that it gave for this search alone.
pub type SearchResult = Result<Value, Error>;

impl Client {
    /// Runs searches in one call, each with its collection and parameters, and gives their answers in order. The parameters
    /// travel in the body, so that no limit on the length of a URL applies.
    pub async fn multi_search(&self, searches: &[Value]) -> Result<Vec<SearchResult>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            results: Vec<Value>,
        }
        let path = format!("/multi_search?limit_multi_searches={}", searches.len());
        let body = serde_json::json!({ "searches": searches });
        let answer: Answer = send_json(self.request(Method::POST, &path).json(&body)).await?;
        Ok(answer.results.into_iter().map(result).collect())
    }
}

fn result(value: Value) -> SearchResult {
    match (value.get("error"), value.get("code").and_then(Value::as_u64)) {
        (Some(error), code) => Err(Error::Status {
            status: code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500),
            message: told(error.as_str().unwrap_or("no reason given")),
        }),
        (None, _) => Ok(value),
    }
}
