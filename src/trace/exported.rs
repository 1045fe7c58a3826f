//! With the feature `otel`: spans go to a collector by OTLP over HTTP.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::http::HeaderMap;
use opentelemetry::{
    KeyValue,
    propagation::TextMapPropagator,
    trace::{Status, TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, registry::LookupSpan};

use super::Error;

const TRACE_PARENT: &str = "traceparent";

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Sends spans to a collector, from a thread of its own. What the collector does not take in time is dropped.
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// `endpoint` is the collector's address without a path. Of requests whose callers bring no trace, `percent` are traced.
    ///
    /// # Errors
    /// Where the endpoint is no address.
    pub fn open(endpoint: &str, percent: u32) -> Result<Self, Error> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()
            .map_err(|error| Error::Exporter { endpoint: endpoint.to_owned(), reason: error.to_string() })?;
        let resource = Resource::builder_empty()
            .with_service_name("tidewell")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let sampled = Sampler::TraceIdRatioBased(f64::from(percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(sampled)))
            .with_resource(resource)
            .build();
        IS_ON.store(true, Ordering::Relaxed);
        Ok(Self(provider))
    }

    /// What hears of spans.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync>(&self) -> Box<dyn Layer<S> + Send + Sync> {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("tidewell"));
        Box::new(layer.with_location(false).with_threads(false).with_tracked_inactivity(false))
    }

    /// Sends what is left.
    pub fn close(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

/// Whether spans are exported.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Puts a request's span into the trace that its caller brought along, if there is one.
pub fn adopt(span: &Span, headers: &HeaderMap) {
    if !is_on() {
        return;
    }
    if let Some(parent) = headers.get(TRACE_PARENT).and_then(|value| value.to_str().ok()) {
        // A span that is not sampled has no place for a parent.
        let _ = span.set_parent(context(parent));
    }
}

/// Notes how a request was answered.
pub fn answered(span: &Span, method: &'static str, route: &str, status: u16) {
    if !is_on() {
        return;
    }
    span.set_attribute("http.request.method", method);
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// The current span as W3C's `traceparent`, to be kept with what it causes; `None` where it is not traced.
pub fn parent() -> Option<String> {
    if !is_on() {
        return None;
    }
    let context = Span::current().context();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACE_PARENT)
}

/// Lets a span go on in the trace of the first of those that caused it, and links it to the others.
pub fn link(span: &Span, parents: &[String]) {
    let Some((first, others)) = parents.split_first() else { return };
    let _ = span.set_parent(context(first));
    for parent in others {
        span.add_link(context(parent).span().span_context().clone());
    }
}

fn context(parent: &str) -> opentelemetry::Context {
    let carrier = HashMap::from([(TRACE_PARENT.to_owned(), parent.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &carrier)
}
