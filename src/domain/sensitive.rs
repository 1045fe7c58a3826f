//! Texts that must not be seen by accident: passwords, keys, and URLs that hold them.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error};

/// A text that no log line and no message shows; [`Sensitive::expose`] says where it is meant to be seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive(String);

impl Sensitive {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sensitive")
    }
}

impl FromStr for Sensitive {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl<'de> Deserialize<'de> for Sensitive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde's own message would repeat what stands there instead.
        String::deserialize(deserializer).map(Self).map_err(|_| D::Error::custom("a key or URL must be a text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_a_message_shows_the_text() {
        let given: Sensitive = serde_json::from_str(r#""hush""#).unwrap();
        assert_eq!((given.expose(), format!("{:?}", Some(&given))), ("hush", "Some(Sensitive)".to_owned()));
        let message = serde_json::from_str::<Sensitive>("4711").unwrap_err().to_string();
        assert!(!message.contains("4711"), "{message}");
    }
}
