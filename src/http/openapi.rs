//! `/openapi.json`, generated from the handlers.

use axum::{
    body::Bytes,
    http::header,
    response::IntoResponse,
};
use utoipa::openapi::{
    Components, Info, OpenApi, OpenApiBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use super::Error;

const DESCRIPTION: &str = "Durable document writes into Typesense: a write answered 202 is in the database and will be \
    projected. Errors are RFC 9457 problem details with a stable `code`. A list is `{items, nextCursor}`, newest first.";

/// What no handler says of itself: the title, and how callers authenticate.
pub(super) fn base() -> OpenApi {
    let tenant = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A tenant key: `ss_search_…` or `ss_connector_…`"))
        .build();
    let operator = ApiKeyValue::with_description("X-Athena-Key", "The operator key; `X-Athena-Admin-Key` is the same");
    let mut components = Components::new();
    components.add_security_scheme("tenant", SecurityScheme::Http(tenant));
    components.add_security_scheme("operator", SecurityScheme::ApiKey(ApiKey::Header(operator)));
    let mut info = Info::new("Tidewell", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    let none: [&str; 0] = [];
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("tenant", none), SecurityRequirement::new("operator", none)]))
        .build()
}

/// The document as an answer, serialized once.
pub(super) fn json(openapi: &OpenApi) -> impl IntoResponse + Clone + use<> {
    // A description that can't be serialized is a fault of the build; the tests read it.
    let document = openapi.to_json().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], Bytes::from(document))
}

/// The route is there, and takes other methods: those that the `Allow` header lists.
pub(super) async fn method_not_allowed() -> Error {
    Error::MethodNotAllowed
}
