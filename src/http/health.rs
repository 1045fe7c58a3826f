//! Whether the process lives, whether it can serve, and its numbers. For probes and scrapers: without authentication.

use std::{fmt::Write, time::Duration};

use axum::{Json as Answer, extract::State as Shared, http::header, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Error, State, observe, responses::Unavailable};
use crate::db::{
    self,
    status::{IndexStatus, Status},
};

/// Probes give up soon: an answer that comes later helps nobody.
const PROBED_WITHIN: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// Say that the process lives
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> Answer<Health> {
    Answer(Health { status: "alive" })
}

/// Say whether requests can be served
///
/// The database decides. Typesense does not: writes are taken without it.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, body = Readiness), Unavailable))]
async fn readyz(Shared(state): Shared<State>) -> Result<Answer<Readiness>, Error> {
    let (fault, typesense) = tokio::join!(
        tokio::time::timeout(PROBED_WITHIN, db::fault(&state.pool)),
        tokio::time::timeout(PROBED_WITHIN, state.typesense.healthy()),
    );
    match fault.unwrap_or_else(|_| Some("the database does not answer".to_owned())) {
        Some(detail) => Err(Error::Unavailable { detail, retry_after: 2 }),
        None => Ok(Answer(Readiness {
            status: "ready",
            database: "ok",
            typesense: if typesense.unwrap_or(false) { "ok" } else { "unreachable" },
        })),
    }
}

/// Give this process's numbers, and those of the whole as the database has them, to Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(Shared(state): Shared<State>) -> impl IntoResponse {
    let mut text = observe::rendered();
    // A scrape must tell of a database that is away, not fail with it.
    let status = match tokio::time::timeout(PROBED_WITHIN * 2, db::status::read(&state.pool)).await {
        Ok(Ok(status)) => Some(status),
        Ok(Err(error)) => {
            tracing::warn!(%error, "could not read the status for /metrics");
            None
        }
        Err(_) => {
            tracing::warn!("reading the status for /metrics took too long");
            None
        }
    };
    gauge(
        &mut text,
        "tidewell_database_up",
        "Whether the status could be read.",
        [(vec![], f64::from(status.is_some()))],
    );
    if let Some(status) = &status {
        render(&mut text, status);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// A gauge's name, what it tells, and its value for one index.
type IndexGauge = (&'static str, &'static str, fn(&IndexStatus) -> f64);

fn render(text: &mut String, status: &Status) {
    let of_indexes: [IndexGauge; 7] = [
        ("tidewell_backlog_rows", "Rows accepted and not settled.", |index| index.backlog as f64),
        (
            "tidewell_oldest_unprojected_age_seconds",
            "How long the oldest write has waited to be projected; 0 where none waits.",
            |index| index.oldest_age_seconds.unwrap_or(0.0),
        ),
        ("tidewell_retries_due_rows", "Failed rows whose next try is due.", |index| index.retries_due as f64),
        ("tidewell_retries_waiting_rows", "Failed rows whose next try lies ahead.", |index| {
            index.retries_waiting as f64
        }),
        ("tidewell_filter_deletes_waiting", "Deletes by filter not resolved.", |index| index.filter_deletes as f64),
        ("tidewell_dead_letters", "Writes that failed for good, counted to 10,000.", |index| index.dead_letters as f64),
        ("tidewell_lanes_leased", "Lanes that a worker holds.", |index| index.lanes_leased as f64),
    ];
    for (name, help, of) in of_indexes {
        let values = status.indexes.iter().map(|index| {
            (vec![("organization", index.organization.as_str()), ("index", index.index.as_str())], of(index))
        });
        gauge(text, name, help, values);
    }
    let breakers = status.workers.iter().filter(|worker| worker.alive).map(|worker| {
        let openness = match worker.breaker.as_str() {
            "closed" => 0.0,
            "half_open" => 0.5,
            _ => 1.0,
        };
        (vec![("worker", worker.name.as_str()), ("backend", worker.backend.as_str())], openness)
    });
    gauge(
        text,
        "tidewell_breaker_open",
        "Whether a worker's breaker is open: 0 closed, 0.5 half open, 1 open.",
        breakers,
    );
    let alive = status.workers.iter().filter(|worker| worker.alive).count();
    gauge(text, "tidewell_workers_alive", "Workers that reported lately.", [(vec![], alive as f64)]);
    let doubted = status.doubted_flights as f64;
    gauge(text, "tidewell_doubted_flights", "Requests to Typesense whose end is not known.", [(vec![], doubted)]);
}

/// Writes one metric in Prometheus' text format. What the database counts is rendered as read, not kept in the recorder: a
/// series ends with its index.
fn gauge<'a>(
    text: &mut String,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
) {
    // Writing into a string can't fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in values {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `alive`.
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Readiness {
    /// Always `ready`.
    status: &'static str,
    /// Always `ok`.
    database: &'static str,
    /// `ok` or `unreachable`.
    typesense: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_written_as_prometheus_reads_it() {
        let mut text = String::new();
        gauge(&mut text, "tidewell_x_rows", "Rows.", [(vec![("index", "a\"\\\nb"), ("organization", "o")], 3.0)]);
        gauge(&mut text, "tidewell_y", "None.", []);
        gauge(&mut text, "tidewell_z", "One.", [(vec![], 0.5)]);
        let expected = "# HELP tidewell_x_rows Rows.\n# TYPE tidewell_x_rows gauge\n\
                        tidewell_x_rows{index=\"a\\\"\\\\\\nb\",organization=\"o\"} 3\n\
                        # HELP tidewell_y None.\n# TYPE tidewell_y gauge\n\
                        # HELP tidewell_z One.\n# TYPE tidewell_z gauge\ntidewell_z 0.5\n";
        assert_eq!(text, expected);
    }
}
