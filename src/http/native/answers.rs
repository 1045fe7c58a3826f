//! The answers to writes, as `/openapi.json` lists them.

use utoipa::{IntoResponses, ToSchema};

/// The body of every error.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) struct Refused {
    message: String,
}

/// What any of these routes may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum Unwritten {
    /// The request is wrong
    #[response(status = 400)]
    Invalid(Refused),
    /// There is no such key, or it has expired
    #[response(status = 401)]
    Unauthorized(Refused),
    /// The key is not for this
    #[response(status = 403)]
    Forbidden(Refused),
    /// There is no such index or document, or it is another organization's
    #[response(status = 404)]
    NotFound(Refused),
    /// The body or the document is too large
    #[response(status = 413)]
    TooLarge(Refused),
    /// The body is in a coding other than gzip
    #[response(status = 415)]
    UnsupportedMediaType(Refused),
    /// The rate or the plan's units are used up: `Retry-After` says until when
    #[response(status = 429)]
    TooMany(Refused),
    /// The reason is in the log, under the `X-Request-Id`
    #[response(status = 500)]
    Internal(Refused),
    /// Not now: `Retry-After` says when to try again
    #[response(status = 503)]
    Unavailable(Refused),
}
