//! Errors as Typesense's clients read them: `{"message"}`, with its statuses.

use std::sync::Arc;

use axum::{
    Json,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::http::Problem;

/// Turns a problem into Typesense's envelope; headers such as `Retry-After` stay.
pub(super) async fn wrap(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() else { return response };
    *response.status_mut() = status(&problem);
    let message = Json(json!({ "message": message(&problem) })).into_response();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, message.headers()[header::CONTENT_TYPE].clone());
    *response.body_mut() = message.into_body();
    response
}

/// Typesense knows one status for requests that are wrong.
pub(super) fn status(problem: &Problem) -> StatusCode {
    match problem.code.as_str() {
        "validation_failed" => StatusCode::BAD_REQUEST,
        _ => StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// What is wrong, in one sentence: each fault with its place.
pub(super) fn message(problem: &Problem) -> String {
    if problem.errors.is_empty() {
        return problem.detail.clone();
    }
    problem.errors.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect::<Vec<_>>().join("; ")
}
