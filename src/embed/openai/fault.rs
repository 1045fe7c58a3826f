//! What can go wrong with a request to a model.

use std::{fmt, time::Duration};

use reqwest::{
    Response, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use serde_json::Value;

use super::answer;

/// How long is waited where somebody has to change something first.
const UNTIL_CHANGED: Duration = Duration::from_secs(300);
/// Bytes of a refusal that are read, and characters of it that are told.
const READ_BYTES: usize = 64 * 1024;
const TOLD_CHARS: usize = 300;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// The model does not take these texts.
    Refused(String),
    /// It is there, and won't work until somebody has changed something: a key, a name, an unpaid bill.
    Setup(String),
    /// It may work again in a moment, or when it says.
    Busy { message: String, retry_after: Option<Duration> },
    /// Its answer makes no sense.
    Nonsense(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(message) | Self::Setup(message) | Self::Busy { message, .. } => f.write_str(message),
            Self::Nonsense(message) => write!(f, "its answer {message}"),
        }
    }
}

impl Fault {
    /// Out of an answer that is no success.
    pub(super) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = answer::bytes(response, READ_BYTES).await.unwrap_or_default();
        Self::read(status, &headers, &body)
    }

    pub(super) fn unreachable(error: reqwest::Error) -> Self {
        let slow = if error.is_timeout() { "it did not answer in time" } else { "it can't be reached" };
        let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
        let message = cause.map_or_else(|| slow.to_owned(), |cause| format!("{slow} ({cause})"));
        Self::Busy { message, retry_after: None }
    }

    fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let said = ["/error/message", "/error", "/message", "/detail"];
        let said = said.iter().find_map(|place| parsed.pointer(place)?.as_str());
        let said = said.map_or_else(|| String::from_utf8_lossy(body), Into::into);
        let said: String = said.chars().filter(|c| !c.is_control()).take(TOLD_CHARS).collect();
        let message = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
        let unpaid = ["/error/code", "/error/type"]
            .iter()
            .any(|place| parsed.pointer(place).and_then(Value::as_str) == Some("insufficient_quota"));
        match status.as_u16() {
            _ if unpaid => Self::Setup(message),
            400 | 413 | 422 => Self::Refused(message),
            408 | 409 | 425 | 429 | 500.. => Self::Busy { message, retry_after: retry_after(headers) },
            300..400 => Self::Setup(format!("{message} (redirects are not followed)")),
            _ => Self::Setup(message),
        }
    }

    /// Whether the same request may succeed in a moment.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// How long the model is to be left alone, where that is known.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Setup(_) => Some(UNTIL_CHANGED),
            Self::Refused(_) | Self::Nonsense(_) => None,
        }
    }
}

/// Longer than this is not believed: somebody may have mended it by then.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// As seconds, or as a date, which is read by the clock of who answers: ours may be another.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let after = text(RETRY_AFTER)?.trim();
    let pause = match after.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let (then, now) = (httpdate::parse_http_date(after).ok()?, httpdate::parse_http_date(text(DATE)?).ok()?);
            then.duration_since(now).unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, headers: &[(&'static str, &str)], body: &str) -> Fault {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Fault::read(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn a_status_tells_whose_fault_it_is() {
        assert_eq!(
            fault(400, &[], r#"{"error":{"message":"too many tokens"}}"#),
            Fault::Refused("400 Bad Request: too many tokens".to_owned())
        );
        assert!(matches!(fault(413, &[], ""), Fault::Refused(_)));
        for status in [301, 401, 403, 404] {
            let fault = fault(status, &[], "");
            assert!(matches!(fault, Fault::Setup(_)) && !fault.may_pass(), "{status}");
            assert_eq!(fault.pause(), Some(UNTIL_CHANGED));
        }
        for status in [429, 500, 503] {
            assert!(fault(status, &[], "").may_pass(), "{status}");
        }
        assert!(matches!(fault(429, &[], r#"{"error":{"code":"insufficient_quota"}}"#), Fault::Setup(_)));
    }

    #[test]
    fn it_says_itself_when_it_is_back_in_seconds_or_as_a_date() {
        let pause = |headers: &[(&'static str, &str)]| fault(429, headers, "").pause();
        assert_eq!(pause(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(pause(&[("retry-after", "18446744073709551615")]), Some(LONGEST_PAUSE));
        let (now, then) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(pause(&[("retry-after", then), ("date", now)]), Some(Duration::from_secs(30)));
        assert_eq!(pause(&[("retry-after", now), ("date", then)]), Some(Duration::ZERO));
        assert_eq!(pause(&[("retry-after", "soon")]), None);
    }
}
