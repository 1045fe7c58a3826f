//! Requests counted and timed, and the process's recorder that keeps the numbers.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

const REQUESTS: &str = "tidewell_http_requests_total";
const DURATION: &str = "tidewell_http_request_duration_seconds";
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The recorder is the process's, as the `metrics` facade wants it, so its handle is, too.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Timings pile up in memory until they are put into their buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Installs the recorder that `/metrics` renders, once in a process, and keeps it up for as long as the process lives. To be
/// called within the runtime.
///
/// # Errors
/// Where the process has a recorder already.
pub fn install_recorder() -> Result<(), BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS)?
        .install_recorder()?;
    describe_counter!(REQUESTS, Unit::Count, "Requests answered.");
    describe_histogram!(DURATION, Unit::Seconds, "From a request's head to the head of its answer.");
    crate::embed::describe_metrics();
    crate::journal::describe_metrics();
    let handle = RECORDER.get_or_init(|| handle);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            handle.run_upkeep();
        }
    });
    Ok(())
}

/// What the process has counted, in Prometheus' text format; empty without a recorder.
pub(super) fn rendered() -> String {
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Counts, times and logs one request.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known(request.method());
    // The route, not the path: ids in a label would make a series of each.
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let took = began.elapsed();
    counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status.to_string()).increment(1);
    histogram!(DURATION, "method" => method, "route" => route.clone(), "status" => status.to_string()).record(took);
    tracing::debug!(route, status, took_ms = took.as_secs_f64() * 1000.0, "answered");
    response
}

/// Anybody can make up a method, and with it a series.
fn known(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    const NAMES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.iter().position(|one| one == method).map_or("OTHER", |position| NAMES[position])
}
