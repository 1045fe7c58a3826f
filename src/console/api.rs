//! The API, called within the process.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderValue, Method, Request, StatusCode, header},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::session::Session;
use crate::domain::sensitive::Sensitive;

/// Names a request, in what is logged and recorded of it.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// No answer of the API is longer.
const ANSWER_BYTES: usize = 64 << 20;

/// The API's routes, and the operator's key to them.
#[derive(Clone)]
pub(super) struct Api {
    routes: Router,
    operator_key: Option<Sensitive>,
}

/// Why the API did not do what was asked.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For a person.
    pub(super) message: String,
    pub(super) faults: Vec<Fault>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) message: String,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    #[serde(rename = "nextCursor")]
    pub(super) next_cursor: Option<String>,
}

impl Api {
    pub(super) fn new(routes: Router, operator_key: Option<Sensitive>) -> Self {
        Self { routes, operator_key }
    }

    /// What is at a path.
    pub(super) async fn get<T: DeserializeOwned>(&self, session: &Session, path: &str) -> Result<T, Refusal> {
        self.call(session, Method::GET, path, None).await
    }

    /// What the API answers to a body.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, Refusal> {
        self.call(session, method, path, Some(body)).await
    }

    /// As [`Api::send`] with POST, which most acts are.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        session: &Session,
        path: &str,
        body: &Value,
    ) -> Result<T, Refusal> {
        self.send(session, Method::POST, path, body).await
    }

    pub(super) async fn delete(&self, session: &Session, path: &str) -> Result<(), Refusal> {
        self.call::<Value>(session, Method::DELETE, path, None).await.map(|_| ())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Refusal> {
        let bytes = self.answer(session, method, path, body.map(Value::to_string)).await?;
        // A deletion has nothing to say.
        let body = if bytes.is_empty() { Value::Null } else { parse(&bytes)? };
        serde_json::from_value(unwrapped(body)).map_err(|error| Refusal::here(format!("{path}: {error}")))
    }

    /// An answer as it was sent, to a body that is sent as it is: for documents, whose numbers may be beyond what is computed with.
    pub(super) async fn answer(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Bytes, Refusal> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = &self.operator_key {
            request = request.header("x-athena-key", key.expose());
        }
        if let Some(actor) = session.name.as_deref().and_then(|name| HeaderValue::from_str(name).ok()) {
            request = request.header("x-tidewell-actor", actor);
        }
        if let Some(id) = &session.request_id {
            request = request.header(REQUEST_ID, id);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body)
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|error| Refusal::here(format!("{path} is no address: {error}")))?;
        let answer = self.routes.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), ANSWER_BYTES).await;
        let bytes = bytes.map_err(|error| Refusal::here(format!("the answer broke off: {error}")))?;
        if !status.is_success() {
            return Err(Refusal::of(status, &bytes));
        }
        Ok(bytes)
    }
}

/// What is in Athena's envelope, where there is one.
fn unwrapped(mut body: Value) -> Value {
    match body.as_object_mut() {
        Some(object) if object.get("status") == Some(&json!("success")) && object.contains_key("data") => {
            object.remove("data").unwrap_or_default()
        }
        _ => body,
    }
}

/// What an answer of the API's own says.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| Refusal::here(format!("the API's answer is not understood: {error}")))
}

impl Refusal {
    /// Problem details, or Athena's envelope.
    fn of(status: StatusCode, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Problem {
            detail: Option<String>,
            message: Option<String>,
            errors: Vec<Fault>,
        }
        let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
        Self {
            status,
            message: problem.detail.or(problem.message).unwrap_or_else(|| status.to_string()),
            faults: problem.errors,
        }
    }

    /// A fault of the console itself.
    fn here(message: String) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message, faults: vec![] }
    }

    /// A fault that the console sees before the API does.
    pub(super) fn of_field(field: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            message: "see errors".to_owned(),
            faults: vec![Fault { field: field.to_owned(), message: message.into() }],
        }
    }

    /// What is wrong with a field, if it is that.
    pub(super) fn fault(&self, field: &str) -> Option<&str> {
        self.faults.iter().find(|fault| fault.field == field).map(|fault| fault.message.as_str())
    }

    /// What is wrong, in one sentence: each fault with its place.
    pub(super) fn in_a_sentence(&self) -> String {
        if self.faults.is_empty() {
            return self.message.clone();
        }
        let faults = self.faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message));
        faults.collect::<Vec<_>>().join("; ")
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        tracing::warn!(%error, "the console could not read the database");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "the database does not answer: try again in a moment".to_owned(),
            faults: vec![],
        }
    }
}

/// All but what ids, slugs and most names are made of.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A part of a path, whatever is in it.
pub(super) fn segment(text: &str) -> String {
    // `.` and `..` would be taken for steps of the path.
    match text {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        text => utf8_percent_encode(text, ESCAPED).to_string(),
    }
}

/// An address with a query of those values that are there.
pub(super) fn with_query(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let given = query.iter().filter_map(|(name, value)| Some((name, (*value)?))).filter(|(_, value)| !value.is_empty());
    let given: Vec<String> = given.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    if given.is_empty() { path.to_owned() } else { format!("{path}?{}", given.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_part_of_a_path_whatever_is_in_it() {
        assert_eq!(segment("a/b?c#d é"), "a%2Fb%3Fc%23d%20%C3%A9");
        assert_eq!((segment("."), segment("..")), ("%2E".to_owned(), "%2E%2E".to_owned()));
    }

    #[test]
    fn a_query_has_what_is_given() {
        assert_eq!(with_query("/a", &[("b", None), ("c", Some(""))]), "/a");
        assert_eq!(with_query("/a", &[("b", Some("1&2")), ("c", Some("3"))]), "/a?b=1%262&c=3");
    }

    #[test]
    fn a_refusal_is_read_from_either_kind_of_error() {
        let problem = br#"{"code":"conflict","detail":"taken","status":409}"#;
        let athena = br#"{"status":"error","message":"taken","error":"conflict"}"#;
        for body in [&problem[..], athena] {
            let refusal = Refusal::of(StatusCode::CONFLICT, body);
            assert_eq!((refusal.status, &*refusal.in_a_sentence()), (StatusCode::CONFLICT, "taken"));
        }
        assert_eq!(Refusal::of(StatusCode::BAD_GATEWAY, b"<html>").message, "502 Bad Gateway");
    }
}
