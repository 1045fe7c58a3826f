//! What decides a vector.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{db::embedding::Key, domain::embedding::Prefixes};

/// Everything that decides what vector a text gets: vectors of different fingerprints can't be compared. Where a model is reached
/// is no part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub provider: String,
    pub model: String,
    pub dimensions: usize,
    /// What is known of a model that runs in the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalFingerprint>,
    #[serde(default)]
    pub prefixes: Prefixes,
}

/// How a model in the process makes vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalFingerprint {
    /// Hexadecimal sha256 of its weights.
    pub weights: String,
    /// Hexadecimal sha256 of its tokenizer.
    pub tokenizer: String,
    /// How one vector is made of those of the tokens.
    pub pooling: String,
    /// Whether vectors are made as long as 1.
    pub normalised: bool,
    /// Tokens of a text that count.
    pub max_tokens: usize,
}

impl Fingerprint {
    /// Under which the vector of a text, prefix included, is kept.
    pub(super) fn key(&self, text: &str) -> Key {
        let own = serde_json::to_vec(self).unwrap_or_default();
        let mut digest = Sha256::new();
        digest.update(Sha256::digest(own));
        digest.update([0]);
        digest.update(text);
        digest.finalize().into()
    }
}
