//! `/openapi.json`, generated from the handlers.

use axum::{body::Bytes, http::header, response::IntoResponse};
use utoipa::{
    ToSchema,
    openapi::{
        Components, Info, OpenApi, OpenApiBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{Error, Problem, athena::AthenaError, native::Message};
use crate::ingest::Accepted;

const DESCRIPTION: &str = "Durable document writes into Typesense: a write answered 202 is in the database and will be \
    projected. Errors are RFC 9457 problem details with a stable `code`, and below `/typesense` Athena's \
    envelopes. A list is `{items, nextCursor}`, newest first.";

/// What no handler says of itself: the title, and how callers authenticate.
pub(super) fn base() -> OpenApi {
    let tenant = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A tenant key, `ss_search_…` or `ss_connector_…`, or a scoped token, `ss_scoped_…`, which may search alone",
        ))
        .build();
    let operator = ApiKeyValue::with_description("X-Athena-Key", "The operator key; `X-Athena-Admin-Key` is the same");
    let typesense =
        ApiKeyValue::with_description("X-TYPESENSE-API-KEY", "A tenant key, as Typesense's clients send it");
    let mut components = Components::new();
    components.add_security_scheme("typesense", SecurityScheme::ApiKey(ApiKey::Header(typesense)));
    components.add_security_scheme("tenant", SecurityScheme::Http(tenant));
    let gateway =
        ApiKeyValue::with_description("X-Athena-Key", "A gateway key, `ath_…`, with `gateway.typesense_proxy`");
    components.add_security_scheme("gateway", SecurityScheme::ApiKey(ApiKey::Header(gateway)));
    components.add_security_scheme("operator", SecurityScheme::ApiKey(ApiKey::Header(operator)));
    add_schema::<Problem>(&mut components);
    add_schema::<Accepted>(&mut components);
    add_schema::<AthenaError>(&mut components);
    add_schema::<Message>(&mut components);
    let mut info = Info::new("Tidewell", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    let none: [&str; 0] = [];
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("tenant", none), SecurityRequirement::new("operator", none)]))
        .build()
}

/// Types of answers that handlers share are named there, and described here.
fn add_schema<T: ToSchema>(components: &mut Components) {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    components.schemas.extend(schemas);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use utoipa_axum::router::OpenApiRouter;

    use super::*;

    fn document() -> Value {
        let routes = OpenApiRouter::with_openapi(base())
            .merge(super::super::v1())
            .merge(super::super::native::offered())
            .merge(super::super::athena::offered())
            .merge(super::super::health::routes());
        serde_json::to_value(routes.into_openapi()).expect("a document")
    }

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| match value {
                Value::String(target) if name == "$ref" => drop(found.insert(target)),
                value => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let document = document();
        let mut named = BTreeSet::new();
        references(&document, &mut named);
        let missing: Vec<_> =
            named.into_iter().filter(|name| document.pointer(name.trim_start_matches('#')).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_route_tells_its_parameters_once_and_what_it_is_for() {
        for (path, methods) in document()["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let parameters: Vec<_> = operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|one| (&one["in"], &one["name"]))
                    .collect();
                let in_path = parameters.iter().filter(|(place, _)| *place == "path").count();
                assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
                let once: BTreeSet<_> = parameters.iter().map(|(place, name)| format!("{place} {name}")).collect();
                assert_eq!(once.len(), parameters.len(), "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
            }
        }
    }
}
