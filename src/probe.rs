//! What probes and scrapers ask of a process that has no API: whether it lives, whether it works, and its numbers.

use std::{io, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{db, metrics};

/// Probes give up soon: an answer that comes later helps nobody.
const PROBED_WITHIN: Duration = Duration::from_secs(2);
/// How long answers under way are waited for at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The worker that is asked about.
#[derive(Clone)]
struct Worker {
    pool: PgPool,
    name: String,
}

/// Answers `/healthz`, `/readyz` and `/metrics` of the worker of this name until `ended`.
pub async fn serve(listener: TcpListener, pool: PgPool, name: String, ended: CancellationToken) -> io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(async || Json(json!({ "status": "alive" }))))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Worker { pool, name });
    let serving = axum::serve(listener, routes).with_graceful_shutdown(ended.clone().cancelled_owned());
    tokio::select! {
        served = serving => served,
        // Who has begun a request and does not end it holds nobody up.
        () = async {
            ended.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        } => Ok(()),
    }
}

async fn readyz(State(worker): State<Worker>) -> (StatusCode, Json<Value>) {
    let fault = tokio::time::timeout(PROBED_WITHIN, fault(&worker)).await;
    match fault.unwrap_or_else(|_| Some("the database does not answer".to_owned())) {
        None => (StatusCode::OK, Json(json!({ "status": "ready", "database": "ok", "worker": "ok" }))),
        Some(detail) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable", "detail": detail }))),
    }
}

/// What keeps the worker from working; `None` where nothing does. A Typesense that is away does not: it is waited for.
async fn fault(worker: &Worker) -> Option<String> {
    if let Some(fault) = db::fault(&worker.pool).await {
        return Some(fault);
    }
    match db::worker::is_alive(&worker.pool, &worker.name).await {
        Ok(true) => None,
        Ok(false) => Some("the worker has not reported lately".to_owned()),
        Err(error) => Some(format!("the database does not answer: {error}")),
    }
}

async fn scrape() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::rendered())
}
