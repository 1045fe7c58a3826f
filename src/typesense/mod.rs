//! A client of Typesense: just the calls that Tidewell makes, with errors that say whether trying again can help.

mod collection;
mod documents;
mod error;
mod search;

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use reqwest::{Body, Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;

pub use collection::NewCollection;
pub use documents::{Imported, LineResult};
pub use error::Error;
pub use search::{Found, SearchResult};

/// One Typesense backend: where it is and how to speak to it. Cheap to clone; connections are shared.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    api_key: String,
}

/// How long one call may take, unless the call says otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of JSON that are read of one answer.
const MAX_ANSWER_BYTES: usize = 32 << 20;

impl Client {
    /// `base_url` without a path, such as `http://127.0.0.1:8108`.
    pub fn new(base_url: &str, api_key: &str) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .timeout(CALL_TIMEOUT)
            .tcp_nodelay(true)
            // The node closes idle connections after 60 s.
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), api_key: api_key.to_owned() })
    }

    /// The address, as shown to operators.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Whether the node takes reads and writes now.
    pub async fn healthy(&self) -> bool {
        let call = self.request(Method::GET, "/health").timeout(Duration::from_secs(3));
        matches!(call.send().await, Ok(response) if response.status().is_success())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base_url)).header("x-typesense-api-key", &self.api_key)
    }
}

/// Sends, and turns every status that is not a success into [`Error::Status`].
async fn send(request: RequestBuilder) -> Result<Response, Error> {
    let response = request.send().await?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let body = response.text().await.unwrap_or_default();
    Err(Error::status(status, &body))
}

async fn send_json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Error> {
    read_json(send(request).await?).await
}

/// An answer's JSON, unless it is too large.
async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    let body = Limited::new(Body::from(response), MAX_ANSWER_BYTES);
    let bytes = body.collect().await.map_err(broken_off)?.to_bytes();
    serde_json::from_slice(&bytes).map_err(Error::Answer)
}

/// Why an answer was not read to its end.
fn broken_off(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => Error::Transport(*error),
        Err(error) if error.is::<LengthLimitError>() => Error::TooLarge,
        Err(error) => Error::Answer(serde::de::Error::custom(error)),
    }
}

/// A name as one segment of a path: everything but unreserved characters is percent-encoded.
fn segment(name: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // A dot too: a segment of dots alone would be resolved away.
            _ => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Error, MAX_ANSWER_BYTES, Response, read_json, segment};

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit() {
        let answer = |bytes: usize| {
            let mut json = vec![b' '; bytes - 1];
            json.push(b'7');
            read_json::<u8>(Response::from(axum::http::Response::new(json)))
        };
        assert!(matches!(answer(MAX_ANSWER_BYTES).await, Ok(7)));
        assert!(matches!(answer(MAX_ANSWER_BYTES + 1).await, Err(Error::TooLarge)));
    }

    #[test]
    fn a_path_segment_holds_any_id() {
        assert_eq!(segment("a/b ü.%"), "a%2Fb%20%C3%BC%2E%25");
    }
}
