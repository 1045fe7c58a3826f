//! The answers that are not successes, as `/openapi.json` lists them: each route names the ones that it can give.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::Problem;

macro_rules! failure {
    ($(#[$response:meta])* $name:ident) => {
        #[derive(IntoResponses)]
        $(#[$response])*
        #[expect(dead_code, reason = "describes an answer")]
        pub(super) struct $name(Problem);
    };
}

failure! {
    /// `invalid_request`, `invalid_filter`, `invalid_sort`: the request can't be understood
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid
}
failure! {
    /// `not_found`, `index_not_found`: there is none, or it is another organization's
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound
}
failure! {
    /// `conflict`, `idempotency_in_progress`
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict
}
failure! {
    /// `payload_too_large`, `batch_too_large`
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge
}
failure! {
    /// `validation_failed` with a fault for each field, `idempotency_mismatch`
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable
}

failure! {
    /// `unavailable`: `Retry-After` says when to try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable
}

/// What any route behind authentication may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum Refused {
    /// `unauthorized`, `token_expired`
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// `forbidden`, `origin_not_allowed`, `key_does_not_match_index`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// `unsupported_media_type`: the body is in a coding other than gzip
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
    /// `rate_limit_exceeded`, and for writes `quota_exceeded`
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Problem),
    /// `internal`: the reason is in the log, under the `requestId`
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// `unavailable`: `Retry-After` says when to try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a route that takes a body for an index may answer: all of these.
pub(super) struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            Invalid::responses(),
            Refused::responses(),
            NotFound::responses(),
            Conflict::responses(),
            TooLarge::responses(),
            Unprocessable::responses(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
