//! The request id: taken from the caller or made here, in every log line, every answer and every job.

use std::{any::Any, sync::Arc};

use axum::{
    Json,
    extract::{FromRequestParts, Request},
    http::{HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;
use uuid::Uuid;

use super::error::{Error, Problem};
use crate::trace;

/// The id of the request being answered.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

const HEADER: &str = "x-request-id";

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Called within the process, a request has passed no `carry`.
        let sent = || parts.headers.get(HEADER).and_then(Self::sent);
        Ok(parts.extensions.get().cloned().or_else(sent).unwrap_or_else(Self::new))
    }
}

impl RequestId {
    fn new() -> Self {
        Self(Uuid::now_v7().simple().to_string())
    }

    /// The caller's own, where it is 1 to 128 visible characters.
    fn sent(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let usable = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| Self(text.to_owned()))
    }
}

/// Gives the request its id, and the answer.
pub(super) async fn carry(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).and_then(RequestId::sent).unwrap_or_else(RequestId::new);
    request.extensions_mut().insert(id.clone());
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        request.headers_mut().insert(HEADER, value);
    }
    let span =
        tracing::info_span!("request", request_id = id.0, method = %request.method(), path = request.uri().path());
    trace::adopt(&span, request.headers());
    let mut response = next.run(request).instrument(span).await;
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let problem = Problem { request_id: id.0.clone(), ..Arc::unwrap_or_clone(problem) };
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Json(problem).into_response().into_body();
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// A handler panicked: a 500 like any other.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    Error::Internal(format!("panicked: {}", message.unwrap_or("no message"))).into_response()
}
