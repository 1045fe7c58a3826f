//! Whether the process lives, whether it can serve, and its numbers. For probes and scrapers: without authentication.

use std::{sync::Arc, time::Duration};

use axum::{Json as Answer, extract::State as Shared, http::header, response::IntoResponse};
use moka::future::Cache;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Error, State, gauges::render, responses::Unavailable};
use crate::{
    db,
    metrics::{self, write_gauge},
};

/// Probes give up soon: an answer that comes later helps nobody.
const PROBED_WITHIN: Duration = Duration::from_secs(2);
/// Whoever asks within so much of somebody else gets the same answer: anybody may ask, and it is the database that answers.
const SEEN_FOR: Duration = Duration::from_millis(500);

/// What was seen when somebody last asked.
#[derive(Clone)]
pub(super) struct Seen {
    /// What keeps requests from being served, if anything does, and whether Typesense answers.
    ready: Cache<(), (Option<String>, bool)>,
    /// What the database counts, as Prometheus reads it.
    numbers: Cache<(), Arc<str>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            ready: Cache::builder().time_to_live(SEEN_FOR).build(),
            numbers: Cache::builder().time_to_live(SEEN_FOR).build(),
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(scrape))
}

/// Say that the process lives
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> Answer<Health> {
    Answer(Health { status: "alive" })
}

/// Say whether requests can be served
///
/// The database decides. Typesense does not: writes are taken without it. A process that is about to stop says no, and still serves.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, body = Readiness), Unavailable))]
async fn readyz(Shared(state): Shared<State>) -> Result<Answer<Readiness>, Error> {
    if state.retiring.is_cancelled() {
        return Err(Error::Unavailable { detail: "this process is about to stop".to_owned(), retry_after: 2 });
    }
    let look = async {
        let (fault, typesense) = tokio::join!(
            tokio::time::timeout(PROBED_WITHIN, db::fault(&state.pool)),
            tokio::time::timeout(PROBED_WITHIN, state.typesense.healthy()),
        );
        (fault.unwrap_or_else(|_| Some("the database does not answer".to_owned())), typesense.unwrap_or(false))
    };
    let (fault, typesense) = state.seen.ready.get_with((), look).await;
    match fault {
        Some(detail) => Err(Error::Unavailable { detail, retry_after: 2 }),
        None => Ok(Answer(Readiness {
            status: "ready",
            database: "ok",
            typesense: if typesense { "ok" } else { "unreachable" },
        })),
    }
}

/// Give this process's numbers, and those of the whole as the database has them, to Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn scrape(Shared(state): Shared<State>) -> impl IntoResponse {
    let numbers = state.seen.numbers.get_with((), numbers(&state.pool)).await;
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::rendered() + &numbers)
}

/// What the database counts. A scrape must tell of a database that is away, not fail with it.
async fn numbers(pool: &PgPool) -> Arc<str> {
    let status = match tokio::time::timeout(PROBED_WITHIN * 2, db::status::read(pool)).await {
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
    let mut text = String::new();
    write_gauge(&mut text, &metrics::DATABASE_UP, [(vec![], f64::from(status.is_some()))]);
    if let Some(status) = &status {
        render(&mut text, status);
    }
    text.into()
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
