//! What the settings say of models.

use std::{path::PathBuf, time::Duration};

use crate::domain::{backoff::Backoff, sensitive::Sensitive};

/// How models are reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// The machine's cache, into which the local model is fetched when it is first asked for.
    pub cache: PathBuf,
    /// A folder with the local model's `model.safetensors` and `tokenizer.json`, where it is not to be fetched.
    pub local_model: Option<PathBuf>,
    pub openai: OpenAiOptions,
    /// How long a model that is away is left alone, unless it says itself.
    pub backoff: Backoff,
}

/// How a service that speaks OpenAI's protocol is reached.
#[derive(Clone, Debug)]
pub struct OpenAiOptions {
    /// What `/embeddings` is appended to. Checked already: plain http only where it is allowed.
    pub base_url: String,
    pub api_key: Option<Sensitive>,
    /// Texts of one request at most.
    pub batch: usize,
    /// Asked for where set; else the model's own number is taken.
    pub dimensions: Option<usize>,
    /// How long a request may take.
    pub timeout: Duration,
}
