//! A model at an address, in OpenAI's protocol, whose vectors can be foreseen: each word that it knows stands for one of four things.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Words of one thing on each line.
const THINGS: [&[&str]; 4] = [
    &["sea", "ocean", "tide", "waves"],
    &["kettle", "teapot", "boil"],
    &["lamp", "lantern", "light"],
    &["book", "novel", "story"],
];

pub struct Meanings {
    /// For the setting of the address.
    pub url: String,
    away: Arc<AtomicBool>,
}

impl Meanings {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let away = Arc::new(AtomicBool::new(false));
        let app = Router::new().route("/embeddings", post(embeddings)).with_state(away.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, away }
    }

    /// Whether it answers 503.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }
}

async fn embeddings(State(away): State<Arc<AtomicBool>>, Json(asked): Json<Value>) -> Result<Json<Value>, StatusCode> {
    if away.load(Ordering::SeqCst) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let texts = match &asked["input"] {
        Value::Array(texts) => texts.clone(),
        text => vec![text.clone()],
    };
    let vectors = texts.iter().enumerate().map(|(n, text)| {
        let text = text.as_str().unwrap_or_default();
        json!({ "object": "embedding", "index": n, "embedding": vector(text) })
    });
    Ok(Json(json!({ "object": "list", "data": vectors.collect::<Vec<_>>(), "model": asked["model"] })))
}

/// How often each thing is spoken of; the last place keeps texts of nothing known apart from zero, and longer texts farther away.
fn vector(text: &str) -> Vec<f32> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let known = THINGS.iter().map(|thing| words.iter().filter(|word| thing.contains(word)).count() as f32);
    known.chain([0.01 * words.len() as f32]).collect()
}
