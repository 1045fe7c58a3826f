//! Scoped tokens: what a tenant's own server hands to each of its users, signed and not stored.

use axum::{Json as Answer, extract::State as Shared, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Error, State,
    body::Json,
    caller::Caller,
    validate::{Faults, is_storable},
};
use crate::{
    db,
    domain::{
        filter,
        scoped_token::{Claims, MAX_CHARS},
    },
};

/// Narrow a search key
///
/// With a tenant key that has the scope `search`. The token searches one index, and finds nothing but what `filterBy` lets through,
/// whatever filter is sent with it. It lives no longer than the key: revoke the key, and its tokens end with it.
#[utoipa::path(post, path = "/v1/scoped-tokens", tag = "search", security(("tenant" = [])),
    request_body = ScopedTokenBody,
    responses((status = 201, body = ScopedToken), super::responses::Failures))]
pub(super) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    Json(body): Json<ScopedTokenBody>,
) -> Result<(StatusCode, Answer<ScopedToken>), Error> {
    caller.require(&["search"])?;
    caller.require_unscoped()?;
    let Some(key) = caller.key() else {
        let detail = "a token narrows a tenant's search key: call with that key";
        return Err(Error::Forbidden { code: "forbidden", detail });
    };
    let signer = state.signer()?;
    let index = state.index(&caller, &body.index).await?;
    filter::check(&body.filter_by).map_err(|detail| Error::Invalid { code: "invalid_filter", detail })?;
    let mut faults = Faults::default();
    if let Some(expires_at) = body.expires_at {
        if !(is_storable(expires_at) && db::key::is_ahead(&state.pool, expires_at).await?) {
            faults.add("expiresAt", "must lie in the future, before the year 10000");
        } else if key.expires_at.is_some_and(|end| end < expires_at) {
            faults.add("expiresAt", "must not be after the key's own end");
        }
    }
    let claims = Claims {
        organization_id: index.organization_id,
        index_id: index.id,
        key_id: key.id,
        filter_by: body.filter_by,
        expires_at: body.expires_at,
    };
    let Some(token) = signer.sign(&claims) else {
        faults.add("filterBy", format!("too long: the token would have more than {MAX_CHARS} characters"));
        return Err(faults.into());
    };
    faults.check()?;
    let Claims { index_id, key_id, filter_by, expires_at, .. } = claims;
    Ok((StatusCode::CREATED, Answer(ScopedToken { token, index_id, key_id, filter_by, expires_at })))
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewScopedToken)]
pub(super) struct ScopedTokenBody {
    /// The id or slug of the index that the token is for.
    index: String,
    /// What the token confines every search to, such as ``owner:=`ann` ``.
    filter_by: String,
    /// Left out: as long as the key.
    expires_at: Option<DateTime<Utc>>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScopedToken {
    /// For `Authorization: Bearer`.
    token: String,
    index_id: Uuid,
    /// The key that it narrows.
    key_id: Uuid,
    filter_by: String,
    expires_at: Option<DateTime<Utc>>,
}
