//! Athena's routes, with Athena's envelopes.
//!
//! A handler here is like any other of the front end: its errors, and those of its extractors, become Athena's on their way out. It
//! answers with [`envelope::ok`] and need not ask who calls, for the guard has.

mod backends;
mod envelope;
mod inspect;
mod search;
mod sync_jobs;
mod sync_log;
mod sync_runs;
mod verify;

use axum::{
    extract::{Request, State as Shared},
    http::HeaderMap,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::any,
};
use tower_http::{catch_panic::CatchPanicLayer, decompression::RequestDecompressionLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::envelope::AthenaError;
use super::{
    Error, State, body,
    caller::{Caller, Identity, identify},
    openapi, request_id,
};
use crate::domain::key::Right;

/// Everything below `/typesense`, whether there is such a route or not: credentials and rights are judged before the body, the route
/// and the method.
pub(super) fn routes(state: &State) -> OpenApiRouter<State> {
    let (routes, openapi) = offered().split_for_parts();
    let routes = ["/typesense", "/typesense/", "/typesense/{*rest}"]
        .into_iter()
        .fold(routes, |routes, path| routes.route(path, any(no_route)))
        .method_not_allowed_fallback(openapi::method_not_allowed)
        .layer(RequestDecompressionLayer::new())
        .layer(middleware::from_fn(body::known_coding))
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .layer(CatchPanicLayer::custom(request_id::panicked))
        .layer(middleware::from_fn(envelope::wrap));
    let mut routes = OpenApiRouter::from(routes);
    *routes.get_openapi_mut() = openapi;
    routes
}

/// What is offered, with whole paths.
pub(super) fn offered() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(backends::list, backends::create))
        .routes(routes!(backends::show, backends::update, backends::delete))
        .routes(routes!(inspect::test))
        .routes(routes!(inspect::collections))
        .routes(routes!(search::search))
        .routes(routes!(verify::verify))
        .routes(routes!(sync_jobs::list, sync_jobs::create))
        .routes(routes!(sync_jobs::show, sync_jobs::update, sync_jobs::delete))
        .routes(routes!(sync_jobs::statuses))
        .routes(routes!(sync_runs::run))
        .routes(routes!(sync_runs::cancel))
        .routes(routes!(sync_runs::roll_back))
        .routes(routes!(sync_runs::list))
        .routes(routes!(sync_runs::show))
        .routes(routes!(sync_log::of_run))
        .routes(routes!(sync_log::of_job))
}

async fn no_route() -> Error {
    Error::not_found("route: /openapi.json lists them")
}

async fn guard(Shared(state): Shared<State>, mut request: Request, next: Next) -> Response {
    match judge(&state, request.headers()).await {
        Ok(holder) => {
            request.extensions_mut().insert(holder);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// Who calls; whoever gets this far may call every route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Operator,
    /// Of a gateway key with the right to these routes.
    GatewayKey,
}

async fn judge(state: &State, headers: &HeaderMap) -> Result<Holder, Error> {
    let detail = match identify(state, headers).await? {
        Identity::Caller(Caller::Operator) => return Ok(Holder::Operator),
        Identity::Gateway(key) if key.rights.iter().any(|right| right == Right::TypesenseProxy.as_str()) => {
            return Ok(Holder::GatewayKey);
        }
        Identity::Gateway(_) => "this key lacks the right gateway.typesense_proxy",
        Identity::Caller(_) => "this is for the operator and for gateway keys",
    };
    Err(Error::Forbidden { code: "forbidden", detail })
}
