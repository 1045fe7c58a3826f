//! Who calls, and what they may do. Runs before the body is read.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::{FromRequestParts, Request, State as Shared},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{Error, State, error::refused_by};
use crate::{
    db::{
        gateway_key::GatewayKey,
        index::Index,
        key::{By, Key},
        quota::Month,
    },
    domain::{
        scoped_token::{self, Claims},
        secret::{self, GATEWAY_PREFIX},
    },
    ingest::rate::Decision,
};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Operator,
    Tenant(Arc<Key>),
    /// A search key, narrowed by what a token says.
    Scoped(Arc<Key>, Arc<Claims>),
}

impl Caller {
    /// The organization that the caller is confined to; `None` for the operator.
    pub(super) fn organization_id(&self) -> Option<Uuid> {
        match self {
            Self::Operator => None,
            Self::Tenant(key) | Self::Scoped(key, _) => Some(key.organization_id),
        }
    }

    /// The tenant's key that answers for this caller: for its rate, its origins and its uses.
    pub(super) fn key(&self) -> Option<&Arc<Key>> {
        match self {
            Self::Operator => None,
            Self::Tenant(key) | Self::Scoped(key, _) => Some(key),
        }
    }

    /// The filter that each of the caller's searches must be confined to, beside its own.
    pub(super) fn signed_filter(&self) -> Option<&str> {
        match self {
            Self::Scoped(_, claims) => Some(&claims.filter_by),
            Self::Operator | Self::Tenant(_) => None,
        }
    }

    /// As the audit trail names it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Operator => "operator".to_owned(),
            Self::Tenant(key) => format!("key {} ({})", key.id, key.name),
            Self::Scoped(key, _) => format!("a token of key {} ({})", key.id, key.name),
        }
    }

    /// The index that the caller is confined to, if any.
    pub(super) fn index_id(&self) -> Option<Uuid> {
        match self {
            Self::Operator => None,
            Self::Tenant(key) => key.index_id,
            Self::Scoped(_, claims) => Some(claims.index_id),
        }
    }

    /// Passes where the caller holds one of `scopes`; the operator holds all, a scoped token none but its key's `search`.
    pub(super) fn require(&self, scopes: &[&str]) -> Result<(), Error> {
        let holds = |key: &Key, scope: &str| key.scopes.iter().any(|held| held == scope);
        let passes = match self {
            Self::Operator => true,
            Self::Tenant(key) => scopes.iter().any(|scope| holds(key, scope)),
            Self::Scoped(key, _) => scopes.contains(&"search") && holds(key, "search"),
        };
        let detail = "this key lacks the scope that the call needs";
        if passes { Ok(()) } else { Err(Error::Forbidden { code: "forbidden", detail }) }
    }

    /// Passes whoever is not narrowed by a filter.
    pub(super) fn require_unscoped(&self) -> Result<(), Error> {
        match self.signed_filter() {
            Some(_) => {
                Err(Error::Forbidden { code: "forbidden", detail: "a scoped token may search, and nothing else" })
            }
            None => Ok(()),
        }
    }

    pub(super) fn may_use(&self, index: &Index) -> Result<(), Error> {
        // A key that was bound after it had signed a token binds the token, too.
        let by_key = self.key().and_then(|key| key.index_id);
        if [self.index_id(), by_key].into_iter().flatten().any(|bound| bound != index.id) {
            let detail = "this key is bound to another index";
            return Err(Error::Forbidden { code: "key_does_not_match_index", detail });
        }
        Ok(())
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
            Caller::Tenant(_) | Caller::Scoped(..) => {
                Err(Error::Forbidden { code: "forbidden", detail: "this is for the operator alone" })
            }
        }
    }
}

const HOW_TO_AUTHENTICATE: &str =
    "send `Authorization: Bearer ss_…` with a tenant key or a scoped token, or `X-Athena-Key` with the operator key";

/// Guards everything below `/v1`, whether there is such a route or not: who has no credentials does not learn which there are.
pub(super) async fn guard_v1(state: Shared<State>, request: Request, next: Next) -> Response {
    match request.uri().path().strip_prefix("/v1") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => authenticate(state, request, next).await,
        _ => next.run(request).await,
    }
}

/// Lets authenticated callers within their rate through; the others are answered here.
pub(super) async fn authenticate(Shared(state): Shared<State>, mut request: Request, next: Next) -> Response {
    let caller = match identify(&state, request.headers()).await {
        Ok(Identity::Caller(caller)) => caller,
        Ok(Identity::Gateway(_)) => {
            let detail = "a gateway key is for /typesense alone";
            return Error::Forbidden { code: "forbidden", detail }.into_response();
        }
        Err(error) => return error.into_response(),
    };
    let spent = Spent::default();
    request.extensions_mut().insert(spent.clone());
    let Some(key) = caller.key().cloned() else {
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
        refused_by("rate_limit");
        Error::RateLimited { limit, retry_after: decision.reset_seconds }.into_response()
    } else if !is_from_allowed_origin(&key, request.headers()) {
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

impl<S: Sync> FromRequestParts<S> for Spent {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

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

/// Whose credentials a request holds.
pub(super) enum Identity {
    Caller(Caller),
    /// For Athena's routes, by its rights. No tenant, and not the operator.
    Gateway(Arc<GatewayKey>),
}

/// Whose a request's credentials are; where from they call is not judged here.
pub(super) async fn identify(state: &State, headers: &HeaderMap) -> Result<Identity, Error> {
    for name in ["x-athena-key", "x-athena-admin-key"] {
        if let Some(key) = headers.get(name) {
            let key = key.to_str().unwrap_or_default();
            return if state.is_operator(key) {
                Ok(Identity::Caller(Caller::Operator))
            } else if name == "x-athena-key" && key.starts_with(GATEWAY_PREFIX) {
                gateway(state, key).await
            } else {
                Err(Error::Unauthorized("the operator key is not right"))
            };
        }
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer_token);
    let raw = bearer.ok_or(Error::Unauthorized(HOW_TO_AUTHENTICATE))?;
    if raw.starts_with(scoped_token::PREFIX) {
        return scoped(state, raw).await.map(Identity::Caller);
    }
    if !raw.starts_with("ss_") {
        return Err(Error::Unauthorized("a tenant key begins with ss_search_ or ss_connector_"));
    }
    let known = state.known.key(By::Hash(secret::hash(raw))).await?;
    let (key, clock) = known.ok_or(Error::Unauthorized("this key does not exist or is revoked"))?;
    if clock.is_past(key.expires_at) {
        return Err(Error::TokenExpired);
    }
    Ok(Identity::Caller(Caller::Tenant(key)))
}

/// A token is as good as its signature and the key that it narrows.
async fn scoped(state: &State, token: &str) -> Result<Caller, Error> {
    let signer = state.signer.as_ref().ok_or(Error::Unauthorized("this server takes no scoped tokens"))?;
    let claims = signer.verify(token).ok_or(Error::Unauthorized("this token was changed, or not signed here"))?;
    let known = state.known.key(By::Id(claims.key_id)).await?;
    let known = known.filter(|(key, _)| key.organization_id == claims.organization_id);
    let (key, clock) = known.ok_or(Error::Unauthorized("the key of this token does not exist or is revoked"))?;
    if clock.is_past(key.expires_at) || clock.is_past(claims.expires_at) {
        return Err(Error::TokenExpired);
    }
    Ok(Caller::Scoped(key, Arc::new(claims)))
}

async fn gateway(state: &State, raw: &str) -> Result<Identity, Error> {
    let known = state.known.gateway_key(secret::hash(raw)).await?;
    let (key, clock) = known.ok_or(Error::Unauthorized("this gateway key does not exist or is revoked"))?;
    if clock.is_past(key.expires_at) {
        return Err(Error::TokenExpired);
    }
    state.uses.note_gateway(key.id);
    Ok(Identity::Gateway(key))
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
