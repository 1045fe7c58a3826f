//! Gateway keys, for Athena's routes. Their secrets are shown once, when they are made.

use axum::{Json as Answer, extract::State as Shared, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Error, State,
    body::Json,
    caller::Operator,
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Invalid, NotFound, Refused, TooLarge, Unprocessable},
    validate::{Faults, is_storable},
};
use crate::{
    db::{self, gateway_key::GatewayKey},
    domain::{key::Right, secret},
};

/// List gateway keys, the revoked ones too
#[utoipa::path(get, path = "/v1/gateway-keys", tag = "gateway keys", security(("operator" = [])), params(PageQuery),
    responses((status = 200, body = Page<GatewayKeyView>), Invalid, Refused))]
pub(super) async fn list(
    _: Operator,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<GatewayKeyView>>, Error> {
    let rows = db::gateway_key::list(&state.pool, page.before()?, page.limit()? + 1).await?;
    Ok(Answer(page.page(rows, |row| row.id, GatewayKeyView::from)?))
}

/// Make a gateway key
///
/// `rawKey` of the answer is the secret. It is not stored, and not shown again.
#[utoipa::path(post, path = "/v1/gateway-keys", tag = "gateway keys", security(("operator" = [])),
    request_body = GatewayKeyBody,
    responses((status = 201, body = GatewayKeyView), Invalid, Refused, TooLarge, Unprocessable))]
pub(super) async fn create(
    _: Operator,
    Shared(state): Shared<State>,
    Json(body): Json<GatewayKeyBody>,
) -> Result<(StatusCode, Answer<GatewayKeyView>), Error> {
    let rights = body.rights.unwrap_or_else(|| Right::ALL.to_vec());
    let mut faults = Faults::default();
    faults.name(&body.name);
    if let Some(fault) = Right::fault(&rights) {
        faults.add("rights", fault);
    }
    if let Some(expires_at) = body.expires_at
        && !(is_storable(expires_at) && db::key::is_ahead(&state.pool, expires_at).await?)
    {
        faults.add("expiresAt", "must lie in the future, before the year 10000");
    }
    faults.check()?;
    let rights: Vec<String> = rights.into_iter().map(|right| right.as_str().to_owned()).collect();
    let new = secret::new_gateway_key();
    let made = db::gateway_key::insert(&state.pool, &body.name, &rights, body.expires_at, &new).await?;
    Ok((StatusCode::CREATED, Answer(GatewayKeyView { raw_key: Some(new.secret.raw), ..GatewayKeyView::from(made) })))
}

/// Revoke a gateway key, once and for ever
///
/// It stops working everywhere within a second.
#[utoipa::path(delete, path = "/v1/gateway-keys/{key}", tag = "gateway keys", security(("operator" = [])),
    params(("key" = Uuid, Path, description = "The gateway key's id")),
    responses((status = 200, body = GatewayKeyView), Refused, NotFound))]
pub(super) async fn revoke(
    _: Operator,
    Path(key): Path<Uuid>,
    Shared(state): Shared<State>,
) -> Result<Answer<GatewayKeyView>, Error> {
    let revoked = db::gateway_key::revoke(&state.pool, key).await?;
    Ok(Answer(revoked.ok_or_else(|| Error::not_found("gateway key"))?.into()))
}

/// A gateway key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GatewayKey)]
pub(super) struct GatewayKeyView {
    id: Uuid,
    /// Stands in the key's text before the dot.
    public_id: String,
    name: String,
    /// The first characters of the secret's random part.
    prefix: String,
    rights: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    /// Written down every few seconds.
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// The secret, in the answer that makes the key and never again: for the header `X-Athena-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_key: Option<String>,
}

impl From<GatewayKey> for GatewayKeyView {
    fn from(key: GatewayKey) -> Self {
        Self {
            id: key.id,
            public_id: key.public_id,
            name: key.name,
            prefix: key.prefix,
            rights: key.rights,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            created_at: key.created_at,
            raw_key: None,
        }
    }
}

/// A gateway key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewGatewayKey)]
pub(super) struct GatewayKeyBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// All rights where left out.
    #[schema(min_items = 1)]
    rights: Option<Vec<Right>>,
    expires_at: Option<DateTime<Utc>>,
}
