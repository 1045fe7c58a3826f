//! Organizations: their plans and what they have used, their keys; and the plans themselves.

mod keys;
mod list;
mod new_key;
mod plans;
mod show;
mod usage;

use axum::{
    Router,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    Console,
    api::{List, Refusal, segment},
    session::Session,
};

pub(super) const HERE: &str = "/console/organizations";

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route(HERE, get(list::show).post(list::create))
        .route("/console/organizations/{org}", get(show::show))
        .route("/console/organizations/{org}/settings", post(show::update))
        .route("/console/organizations/{org}/wallet", post(show::top_up))
        .route("/console/organizations/{org}/keys/new", get(new_key::form).post(new_key::create))
        .route("/console/organizations/{org}/keys/{key}/revoke", post(keys::revoke))
        .route(plans::HERE, get(plans::show).post(plans::put))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Organization {
    id: String,
    slug: String,
    name: String,
    plan: String,
    overage_enabled: bool,
    created_at: DateTime<Utc>,
}

impl Organization {
    fn path(&self) -> String {
        format!("{HERE}/{}", segment(&self.slug))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    name: String,
    monthly_units: Option<i64>,
    overage_minor_per_thousand: i64,
    max_documents: Option<i64>,
    max_indexes: Option<i64>,
    max_keys: Option<i64>,
}

/// An index, as far as its organization's pages name it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    id: String,
    slug: String,
    version: i32,
    created_at: DateTime<Utc>,
}

/// The path of an organization in the API, and of what belongs to it.
fn api(org: &str, rest: &str) -> String {
    format!("/v1/organizations/{}{rest}", segment(org))
}

async fn find(console: &Console, session: &Session, org: &str) -> Result<Organization, Refusal> {
    console.api.get(session, &api(org, "")).await
}

async fn indexes(console: &Console, session: &Session, org: &str) -> Result<List<Index>, Refusal> {
    console.api.get(session, &api(org, "/indexes?limit=250")).await
}

async fn plan_names(console: &Console, session: &Session) -> Result<Vec<String>, Refusal> {
    let plans: List<Plan> = console.api.get(session, "/v1/plans").await?;
    Ok(plans.items.into_iter().map(|plan| plan.name).collect())
}

/// Names to choose from, as a form wants them.
fn choices(names: &[String]) -> Vec<(&str, &str)> {
    names.iter().map(|name| (name.as_str(), name.as_str())).collect()
}
