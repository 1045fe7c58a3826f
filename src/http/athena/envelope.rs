//! Answers as Athena's callers read them.

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

use crate::http::{Fault, Problem};

/// A success.
#[derive(Serialize, ToSchema)]
pub(super) struct Success<T> {
    status: SuccessStatus,
    /// For a person.
    message: String,
    data: T,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SuccessStatus {
    Success,
}

/// `{"status": "success", "message", "data"}`.
pub(super) fn ok<T: Serialize>(message: impl Into<String>, data: T) -> Json<Success<T>> {
    Json(Success { status: SuccessStatus::Success, message: message.into(), data })
}

/// The body of every error of Athena's routes.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct AthenaError {
    status: ErrorStatus,
    /// For a person: what is wrong, and what to do.
    message: String,
    /// Stable, snake_case.
    error: String,
    /// Of `validation_failed`: what is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ErrorStatus {
    Error,
}

/// Turns a problem into Athena's envelope; headers such as `Retry-After` and `Allow` stay.
pub(super) async fn wrap(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() else { return response };
    let problem = Arc::unwrap_or_clone(problem);
    let (mut parts, _) = response.into_parts();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(name);
    }
    let body = AthenaError {
        status: ErrorStatus::Error,
        message: problem.in_a_sentence(),
        error: problem.code,
        errors: problem.errors,
    };
    (status, parts.headers, Json(body)).into_response()
}

/// What any of these routes may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
enum Described {
    /// `invalid_request`: the request can't be understood
    #[response(status = 400)]
    Invalid(AthenaError),
    /// `unauthorized`, `token_expired`
    #[response(status = 401)]
    Unauthorized(AthenaError),
    /// `forbidden`: the key lacks the right `gateway.typesense_proxy`
    #[response(status = 403)]
    Forbidden(AthenaError),
    /// `not_found`
    #[response(status = 404)]
    NotFound(AthenaError),
    /// `conflict`, `already_running`
    #[response(status = 409)]
    Conflict(AthenaError),
    /// `payload_too_large`
    #[response(status = 413)]
    TooLarge(AthenaError),
    /// `unsupported_media_type`: the body is in a coding other than gzip
    #[response(status = 415)]
    UnsupportedMediaType(AthenaError),
    /// `validation_failed` with a fault for each field, `backend_unreachable`, `backend_refused_key`, `address_not_allowed`
    #[response(status = 422)]
    Unprocessable(AthenaError),
    /// `internal`: the reason is in the log, under the id in `X-Request-Id`
    #[response(status = 500)]
    Internal(AthenaError),
    /// `unavailable`: `Retry-After` says when to try again
    #[response(status = 503)]
    Unavailable(AthenaError),
}

/// What any of these routes may answer: all of these.
pub(super) struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Description>> {
        Described::responses()
    }
}
