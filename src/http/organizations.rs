//! Organizations, their plans, usage and wallets.

use axum::{
    Json as Answer,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Error, Fault, State,
    body::Json,
    caller::{Caller, Operator},
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Conflict, Invalid, NotFound, Refused, TooLarge, Unprocessable},
    validate::Faults,
};
use crate::db::{
    self,
    organization::{Changes, Organization},
    plan::Holding,
    quota::Month,
};

/// More than this in one top-up is taken for a slip of the hand.
const MAX_TOP_UP_MINOR: i64 = 100_000_000_000;

/// List organizations
#[utoipa::path(get, path = "/v1/organizations", tag = "organizations", security(("operator" = [])),
    params(PageQuery), responses((status = 200, body = Page<OrganizationView>), Invalid, Refused))]
pub(super) async fn list(
    _: Operator,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<OrganizationView>>, Error> {
    let rows = db::organization::list(&state.pool, page.before()?, page.limit()? + 1).await?;
    Ok(Answer(page.page(rows, |row| row.id, OrganizationView::from)?))
}

/// Make an organization
#[utoipa::path(post, path = "/v1/organizations", tag = "organizations", security(("operator" = [])),
    request_body = NewOrganization,
    responses((status = 201, body = OrganizationView), Invalid, Refused, Conflict, TooLarge, Unprocessable))]
pub(super) async fn create(
    _: Operator,
    Shared(state): Shared<State>,
    Json(new): Json<NewOrganization>,
) -> Result<Response, Error> {
    let mut faults = Faults::default();
    faults.slug(&new.slug);
    faults.name(&new.name);
    faults.check()?;
    let plan = new.plan.as_deref().unwrap_or("free");
    let made = db::organization::insert(&state.pool, &new.slug, &new.name, plan).await.map_err(broken_rule)?;
    let location = format!("/v1/organizations/{}", made.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(OrganizationView::from(made))).into_response())
}

/// Show an organization
#[utoipa::path(get, path = "/v1/organizations/{org}", tag = "organizations", security(("operator" = [])),
    params(("org" = String, Path, description = "Its id or slug")),
    responses((status = 200, body = OrganizationView), Refused, NotFound))]
pub(super) async fn show(
    _: Operator,
    Path(org): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<OrganizationView>, Error> {
    Ok(Answer(find(&state, &org).await?.into()))
}

/// Change an organization
#[utoipa::path(patch, path = "/v1/organizations/{org}", tag = "organizations", security(("operator" = [])),
    params(("org" = String, Path, description = "Its id or slug")),
    request_body = OrganizationChanges,
    responses((status = 200, body = OrganizationView), Invalid, Refused, NotFound, TooLarge, Unprocessable))]
pub(super) async fn update(
    _: Operator,
    Path(org): Path<String>,
    Shared(state): Shared<State>,
    Json(changes): Json<OrganizationChanges>,
) -> Result<Answer<OrganizationView>, Error> {
    let organization = find(&state, &org).await?;
    if let Some(name) = &changes.name {
        let mut faults = Faults::default();
        faults.name(name);
        faults.check()?;
    }
    let changes = Changes {
        name: changes.name.as_deref(),
        plan: changes.plan.as_deref(),
        overage_enabled: changes.overage_enabled,
    };
    let changed = db::organization::update(&state.pool, organization.id, &changes).await.map_err(broken_rule)?;
    Ok(Answer(changed.into()))
}

/// Show what an organization has used this month
///
/// For the operator, and for a tenant key with the scope `admin`.
#[utoipa::path(get, path = "/v1/organizations/{org}/usage", tag = "organizations",
    params(("org" = String, Path, description = "Its id or slug")),
    responses((status = 200, body = Usage), Refused, NotFound))]
pub(super) async fn usage(
    caller: Caller,
    Path(org): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<Usage>, Error> {
    caller.require(&["admin"])?;
    let organization = find(&state, &org).await?;
    if caller.organization_id().is_some_and(|own| own != organization.id) {
        return Err(Error::not_found("organization"));
    }
    let gone = || Error::not_found("organization");
    let month = db::quota::month(&state.pool, organization.id).await?.ok_or_else(gone)?;
    let mut conn = state.pool.acquire().await?;
    let holding = db::plan::holding(&mut conn, organization.id).await?.ok_or_else(gone)?;
    Ok(Answer(Usage::new(organization, month, holding)))
}

/// Add to an organization's wallet
#[utoipa::path(post, path = "/v1/organizations/{org}/wallet:topUp", tag = "organizations", security(("operator" = [])),
    params(("org" = String, Path, description = "Its id or slug")),
    request_body = TopUp,
    responses((status = 200, body = OrganizationView), Invalid, Refused, NotFound, TooLarge, Unprocessable))]
pub(super) async fn top_up(
    _: Operator,
    Path(org): Path<String>,
    Shared(state): Shared<State>,
    Json(TopUp { amount_minor }): Json<TopUp>,
) -> Result<Answer<OrganizationView>, Error> {
    let organization = find(&state, &org).await?;
    let mut faults = Faults::default();
    if !(1..=MAX_TOP_UP_MINOR).contains(&amount_minor) {
        faults.add("amountMinor", format!("must be 1 to {MAX_TOP_UP_MINOR}"));
    }
    faults.check()?;
    Ok(Answer(db::organization::top_up(&state.pool, organization.id, amount_minor).await?.into()))
}

/// The organization of that id or slug.
pub(super) async fn find(state: &State, name: &str) -> Result<Organization, Error> {
    if name.contains('\0') {
        return Err(Error::not_found("organization"));
    }
    db::organization::resolve(&state.pool, name).await?.ok_or_else(|| Error::not_found("organization"))
}

fn broken_rule(error: sqlx::Error) -> Error {
    match db::broken_constraint(&error) {
        Some("organizations_slug_key") => Error::conflict("another organization has this slug"),
        Some("organizations_plan_fkey") => {
            Error::validation(vec![Fault::new("plan", "there is no such plan: /v1/plans lists them")])
        }
        _ => error.into(),
    }
}

/// An organization.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Organization)]
pub(super) struct OrganizationView {
    id: Uuid,
    slug: String,
    name: String,
    plan: String,
    /// Whether writes beyond the plan's units are paid from the wallet.
    overage_enabled: bool,
    /// What is free in the wallet, in minor units of its currency.
    wallet_minor: i64,
    created_at: DateTime<Utc>,
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        let Organization { id, slug, name, plan, overage_enabled, wallet_minor, created_at, .. } = organization;
        Self { id, slug, name, plan, overage_enabled, wallet_minor, created_at }
    }
}

/// An organization to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrganization {
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,47}$")]
    slug: String,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// `free` where left out.
    plan: Option<String>,
}

/// What to change of an organization; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrganizationChanges {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    plan: Option<String>,
    overage_enabled: Option<bool>,
}

/// Money for a wallet.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TopUp {
    /// In minor units of the wallet's currency.
    #[schema(minimum = 1, maximum = 100_000_000_000i64)]
    amount_minor: i64,
}

/// An organization's month so far, and what it holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    plan: String,
    /// Units used this calendar month (UTC); a document written or deleted is one, a search is one.
    used: i64,
    /// Units of the plan; null, here and below: no cap.
    limit: Option<i64>,
    /// When the next month begins.
    resets_at: DateTime<Utc>,
    overage_enabled: bool,
    /// What is free in the wallet.
    wallet_minor: i64,
    /// What is set aside for units that front ends hold for searches to come.
    wallet_reserved_minor: i64,
    documents: Held,
    indexes: Held,
    /// Neither revoked nor expired.
    keys: Held,
}

/// How many of something there are, and may be.
#[derive(Serialize, ToSchema)]
pub(super) struct Held {
    used: i64,
    limit: Option<i64>,
}

impl Usage {
    pub(super) fn new(organization: Organization, month: Month, holding: Holding) -> Self {
        Self {
            plan: organization.plan,
            used: month.used,
            limit: month.limit,
            resets_at: month.resets_at,
            overage_enabled: organization.overage_enabled,
            wallet_minor: organization.wallet_minor,
            wallet_reserved_minor: organization.wallet_reserved_minor,
            documents: Held { used: holding.documents, limit: holding.max_documents },
            indexes: Held { used: holding.indexes, limit: holding.max_indexes },
            keys: Held { used: holding.keys, limit: holding.max_keys },
        }
    }
}
