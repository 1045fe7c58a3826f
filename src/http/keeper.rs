//! Who may act on what an organization has: the operator, and a tenant key with `admin` within its own.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

use super::{Error, caller::Caller, request_id::RequestId};
use crate::db::dead_letter::Actor;

/// A caller that may, and what the records call it.
pub(super) struct Keeper {
    pub(super) caller: Caller,
    name: String,
    request_id: String,
}

impl<S: Sync> FromRequestParts<S> for Keeper {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.require(&["admin"])?;
        let RequestId(request_id) =
            RequestId::from_request_parts(parts, state).await.unwrap_or_else(|never| match never {});
        let name = match (&caller, person(&parts.headers)) {
            (Caller::Operator, Some(person)) => format!("operator ({person})"),
            _ => caller.name(),
        };
        Ok(Self { name, caller, request_id })
    }
}

/// Who uses the operator's key, as they say: the key is one, people are many.
fn person(headers: &HeaderMap) -> Option<&str> {
    let name = headers.get("x-tidewell-actor")?.to_str().ok()?.trim();
    (1..=100).contains(&name.len()).then_some(name)
}

impl Keeper {
    pub(super) fn actor(&self) -> Actor<'_> {
        Actor { name: &self.name, request_id: &self.request_id }
    }
}
