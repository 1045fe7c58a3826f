//! Who may act on what an organization has: the operator, and a tenant key with `admin` within its own.

use axum::{extract::FromRequestParts, http::request::Parts};

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
        Ok(Self { name: caller.name(), caller, request_id })
    }
}

impl Keeper {
    pub(super) fn actor(&self) -> Actor<'_> {
        Actor { name: &self.name, request_id: &self.request_id }
    }
}
