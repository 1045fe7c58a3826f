//! Errors as Typesense's clients read them: `{"message"}`, and `{"code", "error"}` for one of several searches or lines.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{RefOr, Response as Description},
};

use crate::http::{Error, Problem};

/// The body of every error of these routes.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Message {
    message: String,
}

/// One of several searches or lines that can't be done.
#[derive(Clone, Serialize)]
pub(super) struct Refused {
    pub(super) code: u16,
    pub(super) error: String,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        if let Error::Internal(reason) = &error {
            tracing::error!(reason, "a part of a request failed");
        }
        let problem = error.problem();
        Self { code: status(&problem).as_u16(), error: problem.in_a_sentence() }
    }
}

/// Turns a problem into Typesense's envelope; headers such as `Retry-After` stay.
pub(super) async fn wrap(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() else { return response };
    let (mut parts, _) = response.into_parts();
    parts.status = status(&problem);
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(name);
    }
    (parts.status, parts.headers, Json(Message { message: problem.in_a_sentence() })).into_response()
}

/// Typesense knows one status for requests that are wrong.
pub(super) fn status(problem: &Problem) -> StatusCode {
    match problem.code.as_str() {
        "validation_failed" => StatusCode::BAD_REQUEST,
        _ => StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// What any of these routes may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
enum Described {
    /// The request is wrong
    #[response(status = 400)]
    Invalid(Message),
    /// The key is missing, wrong, revoked or expired
    #[response(status = 401)]
    Unauthorized(Message),
    /// The key may not do this, or the call is not offered
    #[response(status = 403)]
    Forbidden(Message),
    /// There is no such index or document, or it is another organization's
    #[response(status = 404)]
    NotFound(Message),
    /// To be created and there already, or several organizations have an index of that name
    #[response(status = 409)]
    Conflict(Message),
    /// The body is too large
    #[response(status = 413)]
    TooLarge(Message),
    /// The body is in a coding other than gzip
    #[response(status = 415)]
    UnsupportedMediaType(Message),
    /// The key's rate or the plan's units are used up: `Retry-After` says when to try again
    #[response(status = 429)]
    TooMany(Message),
    /// The reason is in the log, under the request's id
    #[response(status = 500)]
    Internal(Message),
    /// `Retry-After` says when to try again
    #[response(status = 503)]
    Unavailable(Message),
}

/// What any of these routes may answer: all of these.
pub(super) struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Description>> {
        Described::responses()
    }
}
