//! What is turned away before anything looks at it: addresses that nobody means, and requests beyond what one process does at a time.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;

use super::Error;

/// Bytes of a path with its query: Typesense takes 4,000 of a query.
const MAX_URI_BYTES: usize = 16 << 10;
/// Parameters of a query.
const MAX_PARAMETERS: usize = 500;
/// What a platform asks, however much there is to do.
const ASKED_BY_PLATFORMS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// `places` are as many as requests may be under way.
pub(super) async fn judge(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    if uri.path().len() + query.len() > MAX_URI_BYTES {
        return Error::UriTooLong(MAX_URI_BYTES).into_response();
    }
    if query.bytes().filter(|byte| *byte == b'&').count() >= MAX_PARAMETERS {
        return Error::invalid(format!("the query has more than {MAX_PARAMETERS} parameters")).into_response();
    }
    if ASKED_BY_PLATFORMS.contains(&uri.path()) {
        return next.run(request).await;
    }
    let Ok(_place) = places.try_acquire() else {
        let detail = "too many requests are under way: try again".to_owned();
        return Error::Unavailable { detail, retry_after: 1 }.into_response();
    };
    next.run(request).await
}
