//! HTTP to a `tidewell serve`, kept alive.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use reqwest::{
    Client, Method, RequestBuilder, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

/// One caller; its connections are kept.
#[derive(Clone)]
pub(crate) struct Connection {
    http: Client,
    base: String,
}

impl Connection {
    /// With a header in every request that says who calls.
    pub(crate) fn new(base: &str, (name, value): (&'static str, &str)) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        let http = Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .default_headers(headers)
            .timeout(Duration::from_secs(600))
            .build()?;
        Ok(Self { http, base: base.to_owned() })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        self.send(Method::GET, path, Bytes::new(), StatusCode::OK).await
    }

    /// Makes something, as the operator; what was made.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.send(Method::POST, path, body.to_string().into(), StatusCode::CREATED).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    pub(crate) async fn search(&self, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        self.send(Method::POST, path, body, StatusCode::OK).await
    }

    /// Asks for a run, as the operator; it may have ended, or be under way.
    pub(crate) async fn run(&self, path: &str) -> anyhow::Result<Bytes> {
        let (status, answer) = self.call(Method::POST, path, Bytes::new()).await?;
        if !status.is_success() {
            bail!("POST {path}: {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }

    /// A write, which must be accepted.
    pub(crate) async fn write(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<()> {
        self.send(method, path, body, StatusCode::ACCEPTED).await.map(drop)
    }

    /// A write; one that is answered 503, or cut off while its body is sent, is tried again until it is accepted. The key sees to
    /// it that it is accepted once.
    pub(crate) async fn write_patiently(&self, path: &str, body: Bytes, key: &str) -> anyhow::Result<()> {
        const PAUSE: Duration = Duration::from_millis(100);
        loop {
            let request = self.request(Method::POST, path).header("idempotency-key", key).body(body.clone());
            match request.send().await {
                Ok(answer) if answer.status() == StatusCode::ACCEPTED => return Ok(()),
                Ok(answer) if !matches!(answer.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT) => {
                    bail!("POST {path}: {}: {}", answer.status(), answer.text().await?)
                }
                Err(error) if !error.is_request() => return Err(error.into()),
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn send(&self, method: Method, path: &str, body: Bytes, wanted: StatusCode) -> anyhow::Result<Bytes> {
        let (status, answer) = self.call(method.clone(), path, body).await?;
        if status != wanted {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = self.request(method, path).body(body).send().await?;
        Ok((answer.status(), answer.bytes().await?))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header(CONTENT_TYPE, "application/json")
    }
}

/// The body of a batch of documents.
pub(crate) fn batch(documents: &[String]) -> Bytes {
    format!("{{\"documents\":[{}]}}", documents.join(",")).into()
}

/// Documents as batches, ready to be sent.
pub(crate) fn batches(documents: &[String], size: usize) -> Vec<Bytes> {
    documents.chunks(size).map(batch).collect()
}
