//! Who calls, and what they may do. Runs before the body is read.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, Request, State as Shared},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Error, State};
use crate::{
    db::{self, index::Index, key::Key, quota::Month},
    ingest::rate::Decision,
};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Operator,
    Tenant(Arc<Key>),
}

impl Caller {
    /// The organization that the caller is confined to; `None` for the operator.
    pub(super) fn organization_id(&self) -> Option<Uuid> {
        match self {
            Self::Operator => None,
            Self::Tenant(key) => Some(key.organization_id),
        }
    }

    /// As the audit trail names it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Operator => "operator".to_owned(),
            Self::Tenant(key) => format!("key {} ({})", key.id, key.name),
        }
    }

    /// The index that the caller is confined to, if any.
    pub(super) fn index_id(&self) -> Option<Uuid> {
        match self {
            Self::Operator => None,
            Self::Tenant(key) => key.index_id,
        }
    }

    /// Passes where the caller holds one of `scopes`; the operator holds all.
    pub(super) fn require(&self, scopes: &[&str]) -> Result<(), Error> {
        match self {
            Self::Tenant(key) if !key.scopes.iter().any(|scope| scopes.contains(&scope.as_str())) => {
                Err(Error::Forbidden { code: "forbidden", detail: "this key lacks the scope that the call needs" })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn may_use(&self, index: &Index) -> Result<(), Error> {
        match self.index_id() {
            Some(bound) if bound != index.id => {
                Err(Error::Forbidden { code: "key_does_not_match_index", detail: "this key is bound to another index" })
            }
            _ => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::Unauthorized(HOW_TO_AUTHENTICATE))
    }
}

/// A caller that is the operator; anybody else is refused.
pub(super) struct Operator;

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match Caller::from_request_parts(parts, state).await? {
            Caller::Operator => Ok(Self),
            Caller::Tenant(_) => Err(Error::Forbidden { code: "forbidden", detail: "this is for the operator alone" }),
        }
    }
}

const HOW_TO_AUTHENTICATE: &str =
    "send `Authorization: Bearer ss_…` with a tenant key, or `X-Athena-Key` with the operator key";

/// Lets authenticated callers within their rate through; the others are answered here.
pub(super) async fn authenticate(Shared(state): Shared<State>, mut request: Request, next: Next) -> Response {
    let caller = match identify(&state, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let spent = Spent::default();
    request.extensions_mut().insert(spent.clone());
    let Caller::Tenant(key) = &caller else {
        request.extensions_mut().insert(caller);
        let mut response = next.run(request).await;
        spent.warn(response.headers_mut());
        return response;
    };
    state.uses.note(key.id);
    let limit = u32::try_from(key.rate_limit_per_minute).unwrap_or(u32::MAX);
    let decision = match state.rate.admit(key.id, limit).await {
        Ok(decision) => decision,
        Err(error) => return Error::from(error).into_response(),
    };
    let mut response = if !decision.admitted {
        Error::RateLimited { limit, retry_after: decision.reset_seconds }.into_response()
    } else if !is_from_allowed_origin(key, request.headers()) {
        let detail = "this key may not be used from this origin";
        Error::Forbidden { code: "origin_not_allowed", detail }.into_response()
    } else {
        request.extensions_mut().insert(caller);
        next.run(request).await
    };
    spent.warn(response.headers_mut());
    add_rate_headers(response.headers_mut(), limit, decision);
    response
}

/// The month of the organization whose units a request has spent, for the header that warns of its end.
#[derive(Clone, Default)]
pub(super) struct Spent(Arc<OnceLock<Month>>);

impl Spent {
    /// The slot of a request.
    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_default()
    }

    pub(super) fn note(&self, month: Month) {
        // Whoever spends for several organizations is the operator, and told of one.
        _ = self.0.set(month);
    }

    fn warn(&self, headers: &mut HeaderMap) {
        if let Some(Month { used, limit: Some(limit), .. }) = self.0.get()
            && used.saturating_mul(5) >= limit.saturating_mul(4)
            && let Ok(value) = HeaderValue::from_str(&format!("{used} of {limit} units of this month are used"))
        {
            headers.insert("x-quota-warning", value);
        }
    }
}

fn add_rate_headers(headers: &mut HeaderMap, limit: u32, decision: Decision) {
    headers.insert("ratelimit-limit", HeaderValue::from(limit));
    headers.insert("ratelimit-remaining", HeaderValue::from(decision.remaining));
    headers.insert("ratelimit-reset", HeaderValue::from(decision.reset_seconds));
}

/// The caller of a request's credentials; where from they call is not judged here.
pub(super) async fn identify(state: &State, headers: &HeaderMap) -> Result<Caller, Error> {
    for name in ["x-athena-key", "x-athena-admin-key"] {
        if let Some(key) = headers.get(name) {
            return match key.to_str().is_ok_and(|key| state.is_operator(key)) {
                true => Ok(Caller::Operator),
                false => Err(Error::Unauthorized("the operator key is not right")),
            };
        }
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer_token);
    let raw = bearer.ok_or(Error::Unauthorized(HOW_TO_AUTHENTICATE))?;
    if !raw.starts_with("ss_") {
        return Err(Error::Unauthorized("a tenant key begins with ss_search_ or ss_connector_"));
    }
    let (key, expired) = state.key(raw).await?.ok_or(Error::Unauthorized("this key does not exist or is revoked"))?;
    if expired {
        return Err(Error::TokenExpired);
    }
    Ok(Caller::Tenant(key))
}

fn is_from_allowed_origin(key: &Key, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    key.allowed_origins.is_empty()
        || key.allowed_origins.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Which keys have been used since the last time this was written down.
#[derive(Default)]
pub(super) struct KeyUse(Mutex<HashSet<Uuid>>);

impl KeyUse {
    const WRITTEN_EVERY: Duration = Duration::from_secs(5);

    fn note(&self, key: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    pub(super) async fn keep(&self, pool: &PgPool, shutdown: CancellationToken) {
        loop {
            let stopping = tokio::time::timeout(Self::WRITTEN_EVERY, shutdown.cancelled()).await.is_ok();
            let used: Vec<Uuid> =
                mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect();
            if !used.is_empty()
                && let Err(error) = db::key::touch(pool, &used).await
            {
                tracing::warn!(%error, "could not write down when keys were last used");
                used.into_iter().for_each(|key| self.note(key));
            }
            if stopping {
                return;
            }
        }
    }
}
