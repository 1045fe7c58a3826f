//! Texts to numbers of tokens.

use tokenizers::{Tokenizer, TruncationParams};

use super::{Error, MAX_TOKENS};

pub(super) struct Tokens(Tokenizer);

impl Tokens {
    /// Reads a `tokenizer.json` for a model that knows so many tokens. What it says of padding and truncation is not followed.
    pub(super) fn read(json: &[u8], known: usize) -> Result<Self, Error> {
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(Error::Tokenizer)?;
        let tokens = tokenizer.get_vocab_size(true);
        if tokens > known {
            return Err(Error::OtherModel(format!("the tokenizer has {tokens} tokens, and the model {known}")));
        }
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(Error::Tokenizer)?;
        Ok(Self(tokenizer))
    }

    pub(super) fn of(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.0.encode_fast(text, true).map_err(Error::Tokenizer)?;
        Ok(encoding.get_ids().to_vec())
    }
}
