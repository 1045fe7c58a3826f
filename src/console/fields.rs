//! What a form sent, field by field.

use std::time::Duration;

use axum::{
    extract::{FromRequest, Request, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{api::Refusal, page::Page};

/// How long a form may take to arrive: who sends one is known only after it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The fields of a form, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// What a field holds, without the spaces around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// What a field holds, as it is.
    pub(super) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// What a field holds, unless that is nothing.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// The values of a field that may be there several times.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a box was checked.
    pub(super) fn is_checked(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// A number, `None` where the field is empty.
    ///
    /// # Errors
    /// Where it holds something else.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let parsed = self.given(name).map(|text| text.parse().map_err(|_| Refusal::of_field(name, "a whole number")));
        parsed.transpose()
    }

    /// A text as JSON: null where the field is empty.
    pub(super) fn json_text(&self, name: &str) -> Value {
        self.given(name).map_or(Value::Null, Value::from)
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// Of a form that was sent, or of an address.
impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let reading = axum::Form::<Vec<(String, String)>>::from_request(request, state);
        let Ok(fields) = tokio::time::timeout(PATIENCE, reading).await else {
            let told = "the form did not arrive in time: send it again";
            return Err(Page::fault(StatusCode::REQUEST_TIMEOUT, told).into_response());
        };
        let told = |rejection: FormRejection| Page::fault(rejection.status(), &rejection.body_text()).into_response();
        fields.map(|axum::Form(fields)| Self(fields)).map_err(told)
    }
}
