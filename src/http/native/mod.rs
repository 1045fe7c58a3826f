//! Typesense's own routes, so that its official clients work unchanged with a tenant key for an API key.

mod credentials;
mod envelope;
mod import;
mod retrieve;
mod search;
mod writes;

use axum::{
    Router, middleware,
    routing::{any, post},
};
use tower_http::decompression::RequestDecompressionLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::envelope::Message;
use super::{Error, State, body, caller};

/// What Typesense's clients may ask for besides, each with all that is below it.
const NOT_OFFERED: [&str; 13] = [
    "/collections",
    "/aliases",
    "/analytics",
    "/conversations",
    "/curation_sets",
    "/debug",
    "/keys",
    "/metrics.json",
    "/operations",
    "/presets",
    "/stats.json",
    "/stopwords",
    "/synonym_sets",
];

/// The routes, each behind the same door as `/v1`: authentication, origin, rate, the coding of the body.
pub(super) fn routes(state: &State) -> OpenApiRouter<State> {
    let (routes, openapi) = offered().split_for_parts();
    let routes = NOT_OFFERED
        .into_iter()
        .fold(routes, |routes, path| routes.nest(path, Router::new().fallback(not_offered)))
        // Not the document of that id.
        .route("/collections/{index}/documents/export", any(not_offered))
        .method_not_allowed_fallback(not_offered)
        .layer(RequestDecompressionLayer::new())
        .layer(middleware::from_fn(body::known_coding))
        .layer(middleware::from_fn_with_state(state.clone(), caller::authenticate))
        .layer(middleware::from_fn(credentials::take))
        .layer(middleware::from_fn(envelope::wrap));
    let mut routes = OpenApiRouter::from(routes);
    *routes.get_openapi_mut() = openapi;
    routes
}

/// What is offered, with whole paths.
pub(super) fn offered() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(writes::create, writes::delete_by_filter))
        // As the client for Python writes it.
        .route("/collections/{index}/documents/", post(writes::create).delete(writes::delete_by_filter))
        .routes(routes!(writes::update, writes::delete))
        .routes(routes!(import::import))
        .routes(routes!(search::search))
        .routes(routes!(search::multi_search))
        .routes(routes!(retrieve::collection))
        .routes(routes!(retrieve::document))
}

/// Not a 404: a client would take that for a document or a collection that isn't there.
async fn not_offered() -> Error {
    let detail = "this call of Typesense's is not offered here: /openapi.json lists those that are";
    Error::Forbidden { code: "not_offered", detail }
}
