//! What can go wrong between Tidewell and Typesense.

use serde_json::{Map, Value};

/// In place of a message, where a node answers with something that Typesense does not.
const NOT_ITS_WORDS: &str = "an answer that is not Typesense's";

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node could not be reached or the connection broke: whether a write was applied is not known, unless it never connected.
    #[error("the Typesense node could not be reached: {}", root_cause(.0))]
    Transport(#[from] reqwest::Error),
    /// The whole of several calls took too long: any of them may have been applied.
    #[error("Typesense did not answer in time")]
    TimedOut,
    /// None of a cluster's nodes leads now, so that nothing can be written.
    #[error(
        "none of the Typesense nodes leads the cluster: name all of its nodes, and see to it that most of them run"
    )]
    NoLeader,
    /// The node answered with a status that is not a success.
    #[error("Typesense answered {status}: {message}")]
    Status { status: u16, message: String },
    /// The node's answer was not what its protocol says.
    #[error("Typesense's answer could not be read: {0}")]
    Answer(serde_json::Error),
    /// The node's answer was longer than what is read of it.
    #[error("Typesense's answer is too large")]
    TooLarge,
}

impl Error {
    pub(super) fn status(status: u16, body: &str) -> Self {
        // What else stands there may be another server's, and is not for whoever has named its address to read.
        let said = serde_json::from_str::<Map<String, Value>>(body).unwrap_or_default();
        let message = said.get("message").and_then(Value::as_str).unwrap_or(NOT_ITS_WORDS);
        Self::Status { status, message: told(message) }
    }

    /// True where the same call may succeed later: the fault is the node's, the network's or the set-up's (a wrong key, a wrong
    /// address), not the request's.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) | Self::TimedOut | Self::Answer(_) | Self::NoLeader => true,
            // Of a field that is missing Typesense says 404, too.
            Self::TooLarge => false,
            Self::Status { status: 404, message } => message.trim_end_matches('.').eq_ignore_ascii_case("not found"),
            Self::Status { status, message } => !matches!(status, 400 | 413 | 422) || message.contains("OUT_OF_"),
        }
    }

    /// True where the fault is certainly not one document's: the node turns all work away, can't be reached at all, or is not the
    /// one that it should be.
    pub fn refuses_work(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_connect(),
            Self::NoLeader => true,
            Self::TimedOut | Self::Answer(_) | Self::TooLarge => false,
            Self::Status { status, .. } => self.is_transient() && *status != 500,
        }
    }

    /// True where the request certainly had no effect, for it never reached the node.
    pub fn never_arrived(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_connect())
    }

    /// True where the connection broke: what only reads may be asked of another node.
    pub(super) fn broke_off(&self) -> bool {
        matches!(self, Self::Transport(error) if !error.is_timeout() && !error.is_connect())
    }

    /// The status, where the node answered with one.
    pub fn status_code(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A message of the node's as it may be stored and shown: it can hold whatever a document held, and be as long.
pub(super) fn told(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(1000).collect()
}

/// The innermost reason, which alone says something to a person ("connection refused"); never the URL.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_typesenses_own_words_are_told_and_no_others() {
        let told = |body: &str| Error::status(500, body).to_string();
        assert!(told(r#"{"message":"Not Ready or Lagging"}"#).contains("Not Ready or Lagging"));
        for other in ["<h1>inner</h1>", r#"{"password":"inner"}"#, r#"["inner"]"#, ""] {
            assert!(!told(other).contains("inner") && told(other).contains("not Typesense's"), "{other}");
        }
    }
}
