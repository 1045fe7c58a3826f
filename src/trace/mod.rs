//! Traces: what belongs together of a request, from its acceptance to its import, for whoever collects spans by OpenTelemetry.
//!
//! Built in with the feature `otel`; without it nothing here does anything. A write's trace is kept with its job as W3C's
//! `traceparent`. An import carries the writes of many requests: its span goes on in the trace of one, and links to the others'.

#[cfg_attr(feature = "otel", path = "exported.rs")]
#[cfg_attr(not(feature = "otel"), path = "off.rs")]
mod imp;

pub use imp::{Exporter, adopt, answered, is_on, link, parent};

/// Traces that one span goes on in or links to at most.
pub const MAX_LINKS: i64 = 64;

/// Why spans can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "TIDEWELL_OTLP_ENDPOINT is set, and this tidewell was built without the feature `otel`: build it with the default features"
    )]
    NotBuiltIn,
    #[error("spans can't be exported to {endpoint}: {reason}")]
    Exporter { endpoint: String, reason: String },
}
