//! A service that speaks OpenAI's protocol for embeddings, with vectors that follow from the words of a text, and bad days when
//! told to.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Numbers of a vector.
pub const DIMENSIONS: usize = 64;
/// A text that holds this is refused.
pub const UNWANTED: &str = "unwanted";

/// What it does to requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fault {
    #[default]
    None,
    /// 503.
    Unavailable,
    /// 429, with the seconds after which to come again.
    BusySeconds(u64),
    /// 429, with the date at which to come again, so many seconds from now.
    BusyUntil(u64),
    /// 413 for more texts than this.
    TooLarge(usize),
    /// 429 of a kind that does not pass.
    Unpaid,
    /// 401.
    Unauthorized,
    /// One vector too few.
    WrongCount,
    /// Vectors of one number less.
    OtherDimensions,
    /// No answer.
    Hanging,
}

#[derive(Debug, Default)]
struct Seen {
    fault: Fault,
    requests: usize,
    embedded: Vec<String>,
    keys: Vec<Option<String>>,
}

/// The service; it ends with the test.
pub struct OpenAi {
    /// What is to be set as the base URL.
    pub url: String,
    seen: Arc<Mutex<Seen>>,
}

impl OpenAi {
    pub async fn start() -> Self {
        Self::with(vector).await
    }

    /// One that makes vectors of its own kind.
    pub async fn with(vector: fn(&str) -> Vec<f32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let seen = Arc::<Mutex<Seen>>::default();
        let router = Router::new().route("/v1/embeddings", post(answer)).with_state((seen.clone(), vector));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    pub fn set(&self, fault: Fault) {
        self.seen.lock().expect("unbroken").fault = fault;
    }

    /// Requests so far, failed ones too.
    pub fn requests(&self) -> usize {
        self.seen.lock().expect("unbroken").requests
    }

    /// The texts that it has made vectors of, in no certain order.
    pub fn embedded(&self) -> Vec<String> {
        self.seen.lock().expect("unbroken").embedded.clone()
    }

    /// What requests carried as `Authorization`.
    pub fn authorizations(&self) -> Vec<Option<String>> {
        self.seen.lock().expect("unbroken").keys.clone()
    }
}

/// The vector of a text: texts with words in common are near each other.
pub fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIMENSIONS];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let hash = xxhash_rust::xxh3::xxh3_64(word.to_lowercase().as_bytes());
        vector[(hash % DIMENSIONS as u64) as usize] += 1.0;
        vector[(hash / 64 % DIMENSIONS as u64) as usize] += 0.5;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter().map(|x| x / length).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[expect(dead_code, reason = "any model is there")]
    model: String,
    input: Vec<String>,
    encoding_format: String,
    dimensions: Option<usize>,
}

/// What it has seen, and how it makes a vector.
type Service = (Arc<Mutex<Seen>>, fn(&str) -> Vec<f32>);

async fn answer(State((seen, vector)): State<Service>, headers: HeaderMap, Json(question): Json<Question>) -> Response {
    let fault = {
        let mut seen = seen.lock().expect("unbroken");
        seen.requests += 1;
        let key = headers.get(header::AUTHORIZATION).and_then(|key| key.to_str().ok());
        seen.keys.push(key.map(str::to_owned));
        seen.fault
    };
    assert_eq!(question.encoding_format, "float");
    let texts = question.input;
    let busy = |after: String| {
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, after)], refusal("rate_limit_exceeded")).into_response()
    };
    match fault {
        Fault::Unavailable => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fault::BusySeconds(seconds) => return busy(seconds.to_string()),
        Fault::BusyUntil(seconds) => return busy(httpdate::fmt_http_date(now() + Duration::from_secs(seconds))),
        Fault::TooLarge(most) if texts.len() > most => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Fault::Unpaid => return (StatusCode::TOO_MANY_REQUESTS, refusal("insufficient_quota")).into_response(),
        Fault::Unauthorized => return (StatusCode::UNAUTHORIZED, refusal("invalid_api_key")).into_response(),
        Fault::Hanging => std::future::pending::<()>().await,
        _ => {}
    }
    if texts.iter().any(|text| text.is_empty() || text.contains(UNWANTED)) {
        return (StatusCode::BAD_REQUEST, refusal("invalid_input")).into_response();
    }
    let numbers = |text: &str| {
        let mut vector = vector(text);
        let dimensions = question.dimensions.unwrap_or(vector.len()) - usize::from(fault == Fault::OtherDimensions);
        vector.truncate(dimensions);
        vector
    };
    let mut items: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({ "object": "embedding", "index": index, "embedding": numbers(text) }))
        .collect();
    // In an order of its own.
    items.reverse();
    if fault == Fault::WrongCount {
        items.pop();
    }
    seen.lock().expect("unbroken").embedded.extend(texts);
    Json(json!({ "object": "list", "data": items })).into_response()
}

fn refusal(code: &str) -> Json<Value> {
    Json(json!({ "error": { "message": format!("it says {code}"), "type": code, "code": code } }))
}

#[expect(clippy::disallowed_methods, reason = "a service elsewhere has a clock of its own")]
fn now() -> SystemTime {
    SystemTime::now()
}
