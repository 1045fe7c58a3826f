//! Athena's routes, with Athena's envelopes. So far none but the answer that there is no such route.

use axum::{
    Json, Router,
    extract::{Request, State as Shared},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::json;

use super::{
    Error, Problem, State,
    caller::{Caller, Identity, identify},
};
use crate::domain::key::Right;

pub(super) fn routes() -> Router<State> {
    Router::new().route("/typesense", any(no_route)).route("/typesense/{*rest}", any(no_route))
}

/// Credentials are judged first: who has none does not learn which routes there are.
async fn no_route(Shared(state): Shared<State>, request: Request) -> Response {
    envelope(match identify(&state, request.headers()).await {
        Ok(Identity::Caller(Caller::Operator)) => Error::not_found("route"),
        Ok(Identity::Gateway(key)) if key.rights.iter().any(|right| right == Right::TypesenseProxy.as_str()) => {
            Error::not_found("route")
        }
        Ok(Identity::Gateway(_)) => {
            Error::Forbidden { code: "forbidden", detail: "this key lacks the right gateway.typesense_proxy" }
        }
        Ok(Identity::Caller(_)) => {
            Error::Forbidden { code: "forbidden", detail: "this is for the operator and for gateway keys" }
        }
        Err(error) => error,
    })
}

/// An error as Athena's callers read it: `{"status": "error", "message", "error"}`.
fn envelope(error: Error) -> Response {
    let mut response = error.into_response();
    let Some(problem) = response.extensions_mut().remove::<std::sync::Arc<Problem>>() else { return response };
    let body = json!({ "status": "error", "message": problem.detail, "error": problem.code });
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = (status, Json(body)).into_response();
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
        if let Some(value) = response.headers_mut().remove(&name) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}
