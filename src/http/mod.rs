//! The HTTP front end. It never writes to Typesense, and never calls it in the path of a write.

mod athena;
mod body;
mod bounds;
mod caller;
mod client_tables;
mod clients;
mod dead_letters;
mod documents;
mod early;
mod error;
mod freshness;
mod gateway_keys;
mod gauges;
mod health;
mod index_verbs;
mod indexes;
mod jobs;
mod keeper;
mod key_use;
mod keys;
mod known;
pub mod listen;
mod log_lines;
mod native;
mod observe;
mod openapi;
mod organizations;
mod page;
mod params;
mod plans;
mod reindexing;
mod request_id;
mod responses;
mod retiring;
mod scoped_tokens;
mod search;
mod state;
mod validate;
mod verify;
mod waiting;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, Method},
    middleware,
    routing::get,
};
use tokio::sync::Semaphore;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, Any, CorsLayer},
    decompression::RequestDecompressionLayer,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use error::{Error, Fault, Problem};
pub use state::{Limits, Secrets, State};

/// The API: every route, and who may call it.
pub fn api(state: State) -> Router {
    let (routes, openapi) = OpenApiRouter::with_openapi(openapi::base())
        .merge(v1())
        // Within the guard: nothing of a body is read, let alone inflated, before its sender is known.
        .route_layer(RequestDecompressionLayer::new())
        .route_layer(middleware::from_fn(body::known_coding))
        .merge(native::routes(&state))
        .merge(athena::routes(&state))
        .merge(health::routes())
        .split_for_parts();
    let openapi = openapi::json(&openapi);
    routes
        .route("/openapi.json", get(move || async move { openapi.clone() }))
        .fallback(|| async { Error::not_found("route: /openapi.json lists them") })
        .method_not_allowed_fallback(openapi::method_not_allowed)
        .layer(middleware::from_fn_with_state(state.clone(), caller::guard_v1))
        .layer(cors())
        .with_state(state)
}

/// The whole front end, as the network sees it: `routes` are the API's and the console's, of which so many requests are under way at
/// one time.
pub fn served(routes: Router, state: &State, requests_at_once: usize) -> Router {
    let places = Arc::new(Semaphore::new(requests_at_once));
    routes
        .layer(CatchPanicLayer::custom(request_id::panicked))
        .layer(middleware::from_fn_with_state(places, bounds::judge))
        // Around all that answers, so that refusals and panics are read to their end and end connections, too.
        .layer(middleware::from_fn(early::finish))
        .layer(middleware::from_fn_with_state(state.retiring.clone(), retiring::end_connections))
        .layer(middleware::from_fn(observe::observe))
        .layer(middleware::from_fn(request_id::carry))
}

fn v1() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(documents::upsert, documents::delete_by_filter))
        .routes(routes!(documents::batch))
        .routes(routes!(documents::batch_delete))
        .routes(routes!(documents::delete))
        .routes(routes!(search::search))
        .routes(routes!(search::multi_search))
        .routes(routes!(search::suggest::suggest))
        .routes(routes!(scoped_tokens::create))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::looks::rows))
        .routes(routes!(jobs::looks::log))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::groups))
        .routes(routes!(dead_letters::retry))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(dead_letters::show, dead_letters::mend))
        .routes(routes!(dead_letters::acts))
        .routes(routes!(organizations::list, organizations::create))
        .routes(routes!(organizations::show, organizations::update))
        .routes(routes!(organizations::usage))
        .routes(routes!(organizations::top_up))
        .routes(routes!(plans::list))
        .routes(routes!(plans::put))
        .routes(routes!(indexes::list, indexes::create))
        .routes(routes!(indexes::list_all))
        .merge(index_verbs::routes())
        .routes(routes!(reindexing::versions))
        .routes(routes!(reindexing::refusals))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(gateway_keys::list, gateway_keys::create))
        .routes(routes!(gateway_keys::revoke))
        .routes(routes!(clients::list, clients::create))
        .routes(routes!(clients::show, clients::update, clients::delete))
        .routes(routes!(client_tables::list))
        .routes(routes!(client_tables::show))
        .routes(routes!(client_tables::rows))
}

/// Browsers may call with a search key from anywhere; which origins a key allows is judged with the key.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        // Not `*`, which leaves Authorization out.
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .expose_headers(
            [
                "x-request-id",
                "retry-after",
                "location",
                "ratelimit-limit",
                "ratelimit-remaining",
                "ratelimit-reset",
                "x-quota-warning",
            ]
            .map(HeaderName::from_static),
        )
}
