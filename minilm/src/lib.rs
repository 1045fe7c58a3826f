//! all-MiniLM-L6-v2: vectors of texts, computed on the processor.
//!
//! Texts are laid end to end: every step but the attention looks at one token at a time, so no text is padded to the length of
//! another, and a text's vector does not depend on what it is computed with. One call runs on one thread: callers use several
//! processors by several calls.

mod layer;
mod math;
mod tokens;
mod weights;

use layer::{Layer, Scratch};
use math::Norm;
use tokens::Tokens;
use weights::Weights;

/// Numbers of a vector.
pub const DIMENSIONS: usize = 384;
/// Tokens of a text that count; what comes after them is left out.
pub const MAX_TOKENS: usize = 256;

/// Why the model's files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the weights can't be read: {0}")]
    Weights(#[from] safetensors::SafeTensorError),
    #[error("the weights are not those of all-MiniLM-L6-v2: {0}")]
    OtherModel(String),
    #[error("the tokenizer can't be read: {0}")]
    Tokenizer(tokenizers::Error),
}

/// The model, ready to be used by any number of threads.
pub struct Model {
    tokens: Tokens,
    words: Vec<f32>,
    /// Of each place in a text; what all tokens of a single text get is added already.
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Model {
    /// Reads the contents of `model.safetensors` and of `tokenizer.json`.
    ///
    /// # Errors
    /// Where they are not this model's; see [`Error`].
    pub fn new(weights: &[u8], tokenizer: &[u8]) -> Result<Self, Error> {
        let weights = Weights::read(weights)?;
        let mut places = weights.get("embeddings.position_embeddings.weight", &[512, DIMENSIONS])?;
        let kind = weights.get("embeddings.token_type_embeddings.weight", &[2, DIMENSIONS])?;
        for place in places.chunks_exact_mut(DIMENSIONS) {
            math::add(place, &kind[..DIMENSIONS]);
        }
        let words = weights.get("embeddings.word_embeddings.weight", &[30522, DIMENSIONS])?;
        Ok(Self {
            tokens: Tokens::read(tokenizer, words.len() / DIMENSIONS)?,
            words,
            places,
            norm: weights.norm("embeddings.LayerNorm")?,
            layers: (0..6).map(|n| Layer::read(&weights, n)).collect::<Result<_, _>>()?,
        })
    }

    /// The vectors of texts, each of length 1, in order. Memory grows with the texts: some 10 KB a token.
    ///
    /// # Errors
    /// What the tokenizer says of a text that it can't take.
    pub fn embed<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<f32>>, Error> {
        let texts = texts.iter().map(|text| self.tokens.of(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let mut states = self.looked_up(&texts);
        let mut scratch = Scratch::default();
        for layer in &self.layers {
            layer.apply(&mut states, &lengths, &mut scratch);
        }
        let mut rest = states.as_slice();
        let vectors = lengths.iter().map(|length| {
            let (own, others) = rest.split_at(length * DIMENSIONS);
            rest = others;
            mean(own)
        });
        Ok(vectors.collect())
    }

    /// What the tokens are before any of them has looked at another.
    fn looked_up(&self, texts: &[Vec<u32>]) -> Vec<f32> {
        let mut states = Vec::new();
        for (place, token) in texts.iter().flat_map(|tokens| tokens.iter().enumerate()) {
            let (word, place) = (*token as usize * DIMENSIONS, place * DIMENSIONS);
            let at = states.len();
            states.extend_from_slice(&self.words[word..word + DIMENSIONS]);
            math::add(&mut states[at..], &self.places[place..place + DIMENSIONS]);
        }
        self.norm.apply(&mut states);
        states
    }
}

/// The mean of a text's tokens, made as long as 1.
fn mean(states: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0; DIMENSIONS];
    for token in states.chunks_exact(DIMENSIONS) {
        math::add(&mut sum, token);
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    sum.iter_mut().for_each(|x| *x /= length);
    sum
}
