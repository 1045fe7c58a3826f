//! Calls of the HTTP API, each sent again until its fate is known.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{bail, ensure};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(240);
/// One that is answered so often as no fault explains is not sent again.
const STRANGE_AT_MOST: usize = 10;

/// Answers that no fault explains.
#[derive(Clone, Default)]
pub(crate) struct Strange(Arc<Mutex<Vec<String>>>);

impl Strange {
    fn note(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Calls any of the front ends with one credential.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    fronts: Arc<[String]>,
    credential: (&'static str, String),
    strange: Strange,
}

/// What is asked.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Option<(&'static str, String)>,
    pub(crate) idempotency_key: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, idempotency_key: None }
    }

    pub(crate) fn json(method: Method, path: &'a str, body: &Value) -> Self {
        Self { method, path, body: Some(("application/json", body.to_string())), idempotency_key: None }
    }
}

/// A definite answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    /// How often it was sent before without an answer: each of these may have been done, too.
    pub(crate) unanswered: u64,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Api {
    pub(crate) fn new(
        fronts: Vec<String>,
        header: &'static str,
        value: String,
        strange: Strange,
    ) -> anyhow::Result<Self> {
        // A front end's own limits are shorter.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(100)).build()?;
        Ok(Self { http, fronts: fronts.into(), credential: (header, value), strange })
    }

    /// The same front ends with another credential.
    pub(crate) fn with(&self, header: &'static str, value: String) -> Self {
        Self { credential: (header, value), ..self.clone() }
    }

    /// Sends a call to one front end, once.
    pub(crate) async fn once(&self, random: &mut StdRng, call: &Call<'_>) -> Result<(u16, String), reqwest::Error> {
        let front = self.fronts.choose(random).map(String::as_str).unwrap_or_default();
        let mut request = self.http.request(call.method.clone(), format!("{front}{}", call.path));
        request = request.header(self.credential.0, &self.credential.1);
        if let Some((content_type, body)) = &call.body {
            request = request.header("content-type", *content_type).body(body.clone());
        }
        if let Some(key) = call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Sends a call until it is answered with one of these statuses. What no fault explains is noted.
    pub(crate) async fn call(&self, random: &mut StdRng, call: Call<'_>, expected: &[u16]) -> anyhow::Result<Answer> {
        let until = Instant::now() + PATIENCE;
        let (mut unanswered, mut strange) = (0, 0);
        while Instant::now() < until {
            match self.once(random, &call).await {
                Ok((status, text)) if expected.contains(&status) => return Ok(Answer { status, text, unanswered }),
                Ok((503, _)) => {}
                Ok((409, text)) if text.contains("idempotency_in_progress") => {}
                Ok((status, text)) => {
                    let what = format!("{} {} was answered {status}: {text}", call.method, call.path);
                    self.strange.note(what.clone());
                    strange += 1;
                    ensure!(strange < STRANGE_AT_MOST, what);
                }
                Err(error) if error.is_connect() => {}
                Err(_) => unanswered += 1,
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(30..150))).await;
        }
        bail!("{} {} had no definite answer in {} s", call.method, call.path, PATIENCE.as_secs())
    }
}
