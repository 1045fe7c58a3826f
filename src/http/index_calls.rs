//! Calls on an index: `POST /v1/indexes/{index}:{call}`.
//!
//! The router takes a segment of a path as a whole, so the call is parted from the index here. Neither a slug nor an id has a colon.

use axum::{
    extract::{FromRequestParts, Request, State as Shared},
    handler::Handler,
    http::{header, request::Parts},
    response::{IntoResponse, Response},
    routing::post,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Error, State, params::Path, verify};

/// The calls, each described under the path that its callers see.
pub(super) fn routes() -> OpenApiRouter<State> {
    let (schemas, paths, _) = routes!(verify::verify);
    let mut routes = OpenApiRouter::new().route("/v1/indexes/{index}", post(call));
    let openapi = routes.get_openapi_mut();
    openapi.paths.paths.extend(paths.paths);
    openapi.components.get_or_insert_default().schemas.extend(schemas);
    routes
}

async fn call(Path(called): Path<String>, Shared(state): Shared<State>, request: Request) -> Response {
    match called.rsplit_once(':') {
        Some((_, "verify")) => verify::verify.call(request, state).await,
        // What the route of the index itself takes.
        _ => ([(header::ALLOW, "GET,HEAD,PATCH")], Error::MethodNotAllowed).into_response(),
    }
}

/// The index that a call is about, by its id or slug.
pub(super) struct Called(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Called {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(called) = Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self(called.rsplit_once(':').map_or(&*called, |(index, _)| index).to_owned()))
    }
}
