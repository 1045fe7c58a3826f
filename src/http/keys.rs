//! Tenant keys. Their secrets are shown once, when they are made.

use axum::{Json as Answer, extract::State as Shared, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Error, State,
    body::Json,
    caller::Operator,
    organizations,
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Invalid, NotFound, Refused, TooLarge, Unprocessable},
    validate::{Faults, is_storable},
};
use crate::{
    db::{
        self,
        key::{Key, NewKey},
    },
    domain::{
        key::{self, Scope},
        secret::{self, KeyKind},
    },
};

/// List an organization's keys, the revoked ones too
#[utoipa::path(get, path = "/v1/organizations/{org}/keys", tag = "keys", security(("operator" = [])),
    params(("org" = String, Path, description = "The organization's id or slug"), PageQuery),
    responses((status = 200, body = Page<KeyView>), Invalid, Refused, NotFound))]
pub(super) async fn list(
    _: Operator,
    Path(org): Path<String>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<KeyView>>, Error> {
    let organization = organizations::find(&state, &org).await?;
    let rows = db::key::list(&state.pool, organization.id, page.before()?, page.limit()? + 1).await?;
    let taken = db::rate::taken(&state.pool, &rows.iter().map(|row| row.id).collect::<Vec<_>>()).await?;
    let view = |row: Key| KeyView { taken_last_minute: Some(taken.get(&row.id).copied().unwrap_or(0)), ..row.into() };
    Ok(Answer(page.page(rows, |row| row.id, view)?))
}

/// Make a key
///
/// `rawKey` of the answer is the secret. It is not stored, and not shown again.
#[utoipa::path(post, path = "/v1/organizations/{org}/keys", tag = "keys", security(("operator" = [])),
    params(("org" = String, Path, description = "The organization's id or slug")),
    request_body = KeyBody,
    responses((status = 201, body = KeyView), Invalid, Refused, NotFound, TooLarge, Unprocessable))]
pub(super) async fn create(
    _: Operator,
    Path(org): Path<String>,
    Shared(state): Shared<State>,
    Json(body): Json<KeyBody>,
) -> Result<(StatusCode, Answer<KeyView>), Error> {
    let organization = organizations::find(&state, &org).await?;
    let scopes = body.scopes.unwrap_or_else(|| vec![Scope::usual(body.kind)]);
    let rate_limit_per_minute = body.rate_limit_per_minute.unwrap_or(key::DEFAULT_RATE);
    let mut faults = Faults::default();
    faults.name(&body.name);
    for (field, message) in key::faults(&scopes, &body.allowed_origins, rate_limit_per_minute) {
        faults.add(&field, message);
    }
    if let Some(expires_at) = body.expires_at
        && !(is_storable(expires_at) && db::key::is_ahead(&state.pool, expires_at).await?)
    {
        faults.add("expiresAt", "must lie in the future, before the year 10000");
    }
    let index_id = match &body.index {
        None => None,
        Some(name) => {
            let index = db::index::resolve(&state.pool, Some(organization.id), name).await?.pop();
            if index.is_none() {
                faults.add("index", "the organization has no such index");
            }
            index.map(|index| index.id)
        }
    };
    faults.check()?;
    let new = NewKey {
        organization_id: organization.id,
        index_id,
        name: &body.name,
        kind: body.kind.as_str(),
        scopes: &scopes.into_iter().map(|scope| scope.as_str().to_owned()).collect::<Vec<_>>(),
        allowed_origins: &body.allowed_origins,
        rate_limit_per_minute,
        expires_at: body.expires_at,
    };
    let secret = secret::new_key(body.kind);
    let made = db::key::insert(&state.pool, &new, &secret).await??;
    Ok((StatusCode::CREATED, Answer(KeyView { raw_key: Some(secret.raw), ..KeyView::from(made) })))
}

/// Revoke a key, once and for ever
///
/// It stops working everywhere within a second.
#[utoipa::path(delete, path = "/v1/organizations/{org}/keys/{key}", tag = "keys", security(("operator" = [])),
    params(("org" = String, Path, description = "The organization's id or slug"),
           ("key" = Uuid, Path, description = "The key's id")),
    responses((status = 200, body = KeyView), Refused, NotFound))]
pub(super) async fn revoke(
    _: Operator,
    Path((org, key)): Path<(String, Uuid)>,
    Shared(state): Shared<State>,
) -> Result<Answer<KeyView>, Error> {
    let organization = organizations::find(&state, &org).await?;
    let revoked = db::key::revoke(&state.pool, organization.id, key).await?;
    Ok(Answer(revoked.ok_or_else(|| Error::not_found("key"))?.into()))
}

/// A key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Key)]
pub(super) struct KeyView {
    id: Uuid,
    organization_id: Uuid,
    /// The one index that it is bound to; null: all of the organization's.
    index_id: Option<Uuid>,
    name: String,
    kind: String,
    /// The first characters of the secret's random part, for people to tell keys apart.
    prefix: String,
    scopes: Vec<String>,
    /// Where browsers may use it; empty: anywhere.
    allowed_origins: Vec<String>,
    rate_limit_per_minute: i32,
    /// In a list: requests that front ends have taken of the limit in the last 60 seconds. They take a hundredth of it at a time, so
    /// this is a little ahead of what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_last_minute: Option<i64>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    /// Written down every few seconds.
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// The secret, in the answer that makes the key and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_key: Option<String>,
}

impl From<Key> for KeyView {
    fn from(key: Key) -> Self {
        Self {
            id: key.id,
            organization_id: key.organization_id,
            index_id: key.index_id,
            name: key.name,
            kind: key.kind,
            prefix: key.prefix,
            scopes: key.scopes,
            allowed_origins: key.allowed_origins,
            rate_limit_per_minute: key.rate_limit_per_minute,
            taken_last_minute: None,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            created_at: key.created_at,
            raw_key: None,
        }
    }
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewKey)]
pub(super) struct KeyBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    kind: KeyKind,
    /// `["search"]` for a `search` key and `["connector_write"]` for a `connector` key where left out.
    #[schema(min_items = 1)]
    scopes: Option<Vec<Scope>>,
    /// The id or slug of the one index to bind it to.
    index: Option<String>,
    /// Such as `https://shop.example`; empty: usable from anywhere.
    #[serde(default)]
    #[schema(max_items = 100)]
    allowed_origins: Vec<String>,
    /// Requests in any 60 seconds.
    #[schema(minimum = 1, maximum = 1_000_000, default = 6000)]
    rate_limit_per_minute: Option<i32>,
    expires_at: Option<DateTime<Utc>>,
}
