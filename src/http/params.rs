//! Parameters of the path and of the query string, with faults that are answered like any other.

use axum::{
    extract::{FromRequestParts, rejection::PathRejection},
    http::{Uri, request::Parts},
};
use serde::de::DeserializeOwned;

use super::Error;

/// Parameters of the path. One that can't name anything, such as an id that is none, is not found.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        // No name holds a NUL, and the database takes none.
        if parts.uri.path().contains("%00") {
            return Err(Error::not_found("resource"));
        }
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            // Not UTF-8, too.
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(Error::not_found("resource")),
            Err(error) => Err(Error::Internal(error.to_string())),
        }
    }
}

/// The query string. A parameter without a value (`?status=&index=a`) counts as left out.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// The query string's pairs, in order, for routes that judge the names themselves.
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Pairs {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(pairs)| Self(pairs))
            .map_err(|error| Error::invalid(error.body_text()))
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    let given = query.split('&').filter(|pair| pair.split_once('=').is_some_and(|(_, value)| !value.is_empty()));
    let uri: Uri = format!("/?{}", given.collect::<Vec<_>>().join("&"))
        .parse()
        .map_err(|error| Error::invalid(format!("the query string can't be read: {error}")))?;
    axum::extract::Query::try_from_uri(&uri)
        .map(|axum::extract::Query(query)| query)
        .map_err(|error| Error::invalid(error.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Example {
        limit: Option<u8>,
        name: Option<String>,
    }

    #[test]
    fn a_parameter_without_a_value_is_left_out() {
        let example = parse::<Example>("limit=&name=a%26b&&other").expect("parsed");
        assert_eq!(example, Example { limit: None, name: Some("a&b".to_owned()) });
        assert_eq!(parse::<Example>("").expect("parsed"), Example { limit: None, name: None });
    }

    #[test]
    fn a_wrong_value_is_the_callers_fault() {
        assert!(matches!(parse::<Example>("limit=many"), Err(Error::Invalid { code: "invalid_request", .. })));
    }
}
