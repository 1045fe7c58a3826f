//! Requests counted, timed and logged.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};
use metrics::{counter, gauge, histogram};
use tracing::Span;

use crate::{
    metrics::{HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_REQUESTS},
    trace,
};

/// A request that is being answered, or was given up by its sender before it was.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        gauge!(HTTP_IN_FLIGHT.name).increment(1);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(HTTP_IN_FLIGHT.name).decrement(1);
    }
}

/// Counts, times and logs one request.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let _in_flight = InFlight::begin();
    let began = Instant::now();
    let method = known(request.method());
    // The route, not the path: ids in a label would make a series of each.
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let took = began.elapsed();
    trace::answered(&Span::current(), method, &route, status);
    tracing::debug!(route, status, took_ms = took.as_secs_f64() * 1000.0, "answered");
    counter!(HTTP_REQUESTS.name, "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    histogram!(HTTP_DURATION.name, "method" => method, "route" => route).record(took);
    response
}

/// Anybody can make up a method, and with it a series.
fn known(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    const NAMES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.iter().position(|one| one == method).map_or("OTHER", |position| NAMES[position])
}
