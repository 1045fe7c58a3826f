//! Every answer that is not a success: RFC 9457 problem details with a stable `code`.

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics::counter;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    backend,
    db::{self, plan::CapReached},
    ingest::permits::Denied,
    metrics::REFUSED_REQUESTS,
    sync::{drift, verify},
    typesense,
};

/// Seconds until it may be worth asking again for room that only people make.
const CAPS_CHANGE_IN: i64 = 3600;

/// What a handler may fail with. The request id is added where the answer leaves the router.
#[derive(Debug)]
pub enum Error {
    /// The request can't be understood: `invalid_request`, `invalid_filter`, `invalid_sort`.
    Invalid {
        code: &'static str,
        detail: String,
    },
    Unauthorized(&'static str),
    TokenExpired,
    Forbidden {
        code: &'static str,
        detail: &'static str,
    },
    NotFound {
        code: &'static str,
        detail: String,
    },
    /// The route takes other methods, which the router's `Allow` header lists.
    MethodNotAllowed,
    Conflict {
        code: &'static str,
        detail: String,
    },
    TooLarge {
        code: &'static str,
        detail: String,
    },
    /// A path with its query of more bytes than these.
    UriTooLong(usize),
    /// The body did not arrive in time.
    TooSlow(String),
    /// The body is in a coding that is not taken.
    UnsupportedMediaType(&'static str),
    /// Understood, and wrong: `validation_failed` with a fault for each field, `idempotency_mismatch`.
    Unprocessable {
        code: &'static str,
        detail: String,
        faults: Vec<Fault>,
    },
    RateLimited {
        limit: u32,
        retry_after: u32,
    },
    QuotaExceeded(db::quota::Month),
    /// The plan has no room for more of something.
    CapReached(CapReached),
    /// Not now: `Retry-After` says when, in seconds.
    Unavailable {
        detail: String,
        retry_after: u32,
    },
    Internal(String),
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// The field, or the position of the document.
    pub field: String,
    /// Stable, snake_case, where there is more than one reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub message: String,
}

impl Fault {
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), code: None, message: message.into() }
    }
}

/// The body of every error.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `about:blank`: the code says it all.
    #[serde(rename = "type")]
    pub type_: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Stable, snake_case.
    pub code: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    pub request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<Fault>,
    /// Of `quota_exceeded`: units a month, or how many of something the plan has room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Of `quota_exceeded`: how much of that is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
    /// Of `quota_exceeded`: when the next month begins, where that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Problem {
    /// What is wrong, in one sentence: each fault with its place.
    pub(super) fn in_a_sentence(&self) -> String {
        if self.errors.is_empty() {
            return self.detail.clone();
        }
        self.errors.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect::<Vec<_>>().join("; ")
    }
}

impl Error {
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid { code: "invalid_request", detail: detail.into() }
    }

    pub fn not_found(what: &str) -> Self {
        Self::NotFound { code: "not_found", detail: format!("there is no such {what}") }
    }

    pub fn index_not_found() -> Self {
        Self::NotFound { code: "index_not_found", detail: "there is no such index".to_owned() }
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict { code: "conflict", detail: detail.into() }
    }

    pub fn validation(faults: Vec<Fault>) -> Self {
        Self::Unprocessable { code: "validation_failed", detail: "see errors".to_owned(), faults }
    }

    /// Whether another request, or another caller, may fare better.
    pub(super) fn is_the_callers(&self) -> bool {
        self.status().is_client_error()
    }

    fn may_pass(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Unavailable { .. } | Self::Internal(_) | Self::TooSlow(_))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) | Self::TokenExpired => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited { .. } | Self::QuotaExceeded(_) | Self::CapReached(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The error as its body.
    pub(super) fn problem(self) -> Problem {
        let status = self.status();
        let (code, detail) = match &self {
            Self::Invalid { code, detail }
            | Self::NotFound { code, detail }
            | Self::Conflict { code, detail }
            | Self::TooLarge { code, detail }
            | Self::Unprocessable { code, detail, .. } => (*code, detail.clone()),
            Self::Unauthorized(detail) => ("unauthorized", (*detail).to_owned()),
            Self::TokenExpired => ("token_expired", "this credential has expired: ask for a new one".to_owned()),
            Self::Forbidden { code, detail } => (*code, (*detail).to_owned()),
            Self::UnsupportedMediaType(detail) => ("unsupported_media_type", (*detail).to_owned()),
            Self::UriTooLong(limit) => {
                ("uri_too_long", format!("the address has more than {limit} bytes: send what is long in a body"))
            }
            Self::TooSlow(detail) => ("request_timeout", detail.clone()),
            Self::MethodNotAllowed => {
                ("method_not_allowed", "see the Allow header for what this route takes".to_owned())
            }
            Self::RateLimited { limit, retry_after } => (
                "rate_limit_exceeded",
                format!("this key may make {limit} requests a minute: try again in {retry_after} s"),
            ),
            Self::QuotaExceeded(_) => (
                "quota_exceeded",
                "the plan's units of this month are used up, and the wallet does not cover more".to_owned(),
            ),
            Self::CapReached(reached) => ("quota_exceeded", reached.to_string()),
            Self::Unavailable { detail, .. } => ("unavailable", detail.clone()),
            // The reason is logged with the request id, never sent.
            Self::Internal(_) => {
                ("internal", "something failed on our side: give the requestId to the operator".to_owned())
            }
        };
        let retryable = self.may_pass() || code == "idempotency_in_progress" || code == "already_running";
        let mut problem = Problem {
            type_: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail,
            code: code.to_owned(),
            retryable,
            ..Problem::default()
        };
        match self {
            Self::Unprocessable { faults, .. } => problem.errors = faults,
            Self::QuotaExceeded(month) => {
                problem.limit = month.limit;
                problem.used = Some(month.used);
                problem.resets_at = Some(month.resets_at);
            }
            Self::CapReached(reached) => {
                problem.limit = Some(reached.limit);
                problem.used = Some(reached.used);
            }
            _ => {}
        }
        problem
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Self::Internal(reason) = &self {
            tracing::error!(reason, "a request failed");
        }
        let retry_after = match &self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                Some(i64::from(*retry_after))
            }
            Self::Conflict { code: "idempotency_in_progress", .. } => Some(1),
            Self::QuotaExceeded(month) => Some(month.resets_in_seconds),
            Self::CapReached(_) => Some(CAPS_CHANGE_IN),
            _ => None,
        };
        let status = self.status();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let problem = self.problem();
        let body = Json(&problem).into_response().into_body();
        let mut response = (status, headers, body).into_response();
        // For the layer that fills the request id in.
        response.extensions_mut().insert(Arc::new(problem));
        response
    }
}

impl From<&sqlx::Error> for Error {
    fn from(error: &sqlx::Error) -> Self {
        if db::is_unavailable(error) {
            tracing::warn!(%error, "the database is unavailable");
            return Self::Unavailable { detail: "the database does not answer: try again".to_owned(), retry_after: 2 };
        }
        if db::is_unstorable(error) {
            tracing::info!(%error, "the database can't take a value of the request");
            return Self::invalid("a text holds a NUL character, or a moment lies beyond what can be stored");
        }
        Self::Internal(error.to_string())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}

/// One that several requests have waited for.
impl From<Arc<sqlx::Error>> for Error {
    fn from(error: Arc<sqlx::Error>) -> Self {
        Self::from(&*error)
    }
}

/// Counts a request that a limit, or its idempotency key, has refused.
pub(super) fn refused_by(reason: &'static str) {
    counter!(REFUSED_REQUESTS.name, "reason" => reason).increment(1);
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Quota(month) => {
                refused_by("quota");
                Self::QuotaExceeded(month)
            }
            Denied::Database(error) => error.into(),
        }
    }
}

impl From<CapReached> for Error {
    fn from(reached: CapReached) -> Self {
        refused_by("plan_cap");
        Self::CapReached(reached)
    }
}

impl From<typesense::Error> for Error {
    fn from(error: typesense::Error) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, "the search backend is unavailable");
            return Self::Unavailable {
                detail: "the search backend does not answer: try again".to_owned(),
                retry_after: 2,
            };
        }
        Self::Internal(error.to_string())
    }
}

impl From<backend::Error> for Error {
    fn from(error: backend::Error) -> Self {
        match error {
            // Until the settings are mended.
            backend::Error::Sealed(error) => Self::Unavailable { detail: error.to_string(), retry_after: 60 },
            backend::Error::Unusable(error) => Self::Internal(error.to_string()),
            backend::Error::Refused(refused) => backend::Refusal::NotConnectedTo(refused).into(),
        }
    }
}

impl From<drift::Error> for Error {
    fn from(error: drift::Error) -> Self {
        match error {
            drift::Error::Database(error) | drift::Error::Comparison(verify::Error::Database(error)) => error.into(),
            drift::Error::Comparison(verify::Error::Typesense(error)) => error.into(),
            drift::Error::Comparison(verify::Error::Source(error)) if error.is_transient() => {
                Self::Unavailable { detail: error.to_string(), retry_after: 5 }
            }
            drift::Error::Backend(error) => error.into(),
            drift::Error::Sealed(error) => Self::Unavailable { detail: error.to_string(), retry_after: 60 },
            error => Self::conflict(error.to_string()),
        }
    }
}

impl From<crate::drift::Error> for Error {
    fn from(error: crate::drift::Error) -> Self {
        use crate::drift::Error as Of;
        match error {
            Of::Database(error) => error.into(),
            Of::Typesense(error) => error.into(),
            Of::Gone => Self::index_not_found(),
            Of::Unsettled => Self::conflict(error.to_string()),
        }
    }
}

impl From<backend::Refusal> for Error {
    fn from(refusal: backend::Refusal) -> Self {
        Self::Unprocessable { code: refusal.code(), detail: refusal.to_string(), faults: Vec::new() }
    }
}
