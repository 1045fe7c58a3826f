//! `/v1/indexes/{index}:verb`. The router tells whole segments apart, so a verb is told from an index here, by what follows the last
//! colon: neither a slug nor an id has one.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State as Shared},
    handler::Handler,
    http::request::Parts,
    response::IntoResponse,
    routing::{MethodRouter, any},
};
use utoipa::openapi::{Components, OpenApi};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};

use super::{Error, State, indexes, openapi, params::Path, reindexing, verify};

/// The index itself, by the empty verb, and what can be done to it.
pub(super) fn routes() -> OpenApiRouter<State> {
    let all = [
        routes!(indexes::show, indexes::update),
        routes!(reindexing::reindex),
        routes!(reindexing::roll_back),
        routes!(reindexing::cancel),
        routes!(verify::verify),
    ];
    let mut document = OpenApi::default();
    let mut handlers = HashMap::new();
    for one in all {
        let (verb, handler) = described(&mut document, one);
        handlers.insert(verb, handler.fallback(openapi::method_not_allowed));
    }
    let handlers = Arc::new(handlers);
    let dispatch = move |Path(name): Path<String>, Shared(state): Shared<State>, request: Request| async move {
        let (_, verb) = parted(&name);
        match handlers.get(verb) {
            Some(handler) => handler.clone().call(request, state).await,
            None => Error::not_found("route: /openapi.json lists them").into_response(),
        }
    };
    OpenApiRouter::with_openapi(document).route("/v1/indexes/{index}", any(dispatch))
}

/// Describes a route as the router would, and gives its verb with what answers it.
fn described(
    document: &mut OpenApi,
    (schemas, paths, handler): UtoipaMethodRouter<State>,
) -> (String, MethodRouter<State>) {
    let verb = paths.paths.keys().next().map(|path| parted(path).1.to_owned()).unwrap_or_default();
    document.paths.paths.extend(paths.paths);
    document.components.get_or_insert_with(Components::new).schemas.extend(schemas);
    (verb, handler)
}

/// What names the index, and the verb; empty where there is none.
fn parted(name: &str) -> (&str, &str) {
    name.rsplit_once(':').unwrap_or((name, ""))
}

/// The index that a path with a verb names.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(name) = Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self(parted(&name).0.to_owned()))
    }
}
