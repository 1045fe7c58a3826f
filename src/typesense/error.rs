//! What can go wrong between Tidewell and Typesense.

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node could not be reached or the connection broke: whether a write was applied is not known, unless it never connected.
    #[error("the Typesense node could not be reached: {}", root_cause(.0))]
    Transport(#[from] reqwest::Error),
    /// The node answered with a status that is not a success.
    #[error("Typesense answered {status}: {message}")]
    Status { status: u16, message: String },
    /// The node's answer was not what its protocol says.
    #[error("Typesense's answer could not be read: {0}")]
    Answer(serde_json::Error),
}

impl Error {
    pub(super) fn status(status: u16, body: &str) -> Self {
        #[derive(serde::Deserialize)]
        struct Message {
            message: String,
        }
        let message = match serde_json::from_str::<Message>(body) {
            Ok(Message { message }) => message,
            Err(_) => body.chars().take(300).collect(),
        };
        Self::Status { status, message }
    }

    /// True where the same call may succeed later: the fault is the node's or the network's, not the request's.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Answer(_) => true,
            // A refused key is the operator's to mend: nothing is wrong with what was sent.
            Self::Status { status, message } => {
                matches!(status, 401 | 403 | 408 | 429 | 500..) || message.contains("OUT_OF_")
            }
        }
    }

    /// True where the request certainly had no effect, for it never reached the node.
    pub fn never_arrived(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_connect())
    }

    /// The status, where the node answered with one.
    pub fn status_code(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
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
