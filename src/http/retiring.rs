//! A front end that is about to stop: it still answers, and sends whoever comes elsewhere.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use tokio_util::sync::CancellationToken;

/// Ends each connection with its next answer, so that none is idle when the process ends: a request that is sent on one just then
/// would be lost, and its sender could not tell whether it was taken.
pub(super) async fn end_connections(
    State(retiring): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if retiring.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
