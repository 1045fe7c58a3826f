//! Backends: where tables are synced to. Their keys are stored sealed, and never shown.

use axum::{
    Extension, Json as Answer,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Holder,
    envelope::{Failures, Success, ok},
};
use crate::{
    db::{
        self,
        profile::{Changes, NewProfile, Profile},
    },
    domain::{
        backend::{DEFAULT_TIMEOUT_MS, PlainHttp, key_fault, node_urls, timeout_fault},
        sensitive::Sensitive,
    },
    http::{
        Error, State,
        body::Json,
        page::{Page, PageQuery},
        params::{Path, Query},
        validate::Faults,
    },
    reach,
};

/// List backends
#[utoipa::path(get, path = "/typesense/backends", tag = "table sync", security(("operator" = []), ("gateway" = [])),
    params(PageQuery), responses((status = 200, body = Success<Page<BackendView>>), Failures))]
pub(super) async fn list(
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<Page<BackendView>>>, Error> {
    let rows = db::profile::list(&state.pool, page.before()?, page.limit()? + 1).await?;
    Ok(ok("backends, newest first", page.page(rows, |row| row.id, BackendView::from)?))
}

/// Make a backend
///
/// It is not asked whether it is there: `/typesense/backends/test` does that.
#[utoipa::path(post, path = "/typesense/backends", tag = "table sync", security(("operator" = []), ("gateway" = [])),
    request_body = BackendBody, responses((status = 201, body = Success<BackendView>), Failures))]
pub(super) async fn create(Shared(state): Shared<State>, Json(body): Json<BackendBody>) -> Result<Response, Error> {
    let mut faults = Faults::default();
    faults.label(&body.name);
    let given = Nodes { base_url: body.base_url, further_urls: body.further_urls, nodes: body.nodes };
    let nodes = given.judge(&mut faults, state.plain_http);
    judge_rest(&mut faults, Some(&body.api_key), body.search_api_key.as_ref(), body.timeout_ms);
    faults.check()?;
    let new = NewProfile {
        name: &body.name,
        nodes: &nodes,
        timeout_ms: body.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
        api_key: &body.api_key,
        search_api_key: body.search_api_key.as_ref(),
    };
    let made = db::profile::insert(&state.pool, state.sealer()?, &new).await.map_err(explain)?;
    let location = format!("/typesense/backends/{}", made.id);
    let answer = ok("the backend is stored", BackendView::from(made));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], answer).into_response())
}

/// Show a backend
#[utoipa::path(get, path = "/typesense/backends/{profile_id}", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(("profile_id" = Uuid, Path, description = "The backend's id")),
    responses((status = 200, body = Success<BackendView>), Failures))]
pub(super) async fn show(
    Path(id): Path<Uuid>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<BackendView>>, Error> {
    Ok(ok("a backend", find(&state, id).await?.into()))
}

/// Change a backend
///
/// What is left out stays as it is. A gateway key may name a new address only together with the keys that are to be sent there.
#[utoipa::path(patch, path = "/typesense/backends/{profile_id}", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(("profile_id" = Uuid, Path, description = "The backend's id")),
    request_body = BackendChanges, responses((status = 200, body = Success<BackendView>), Failures))]
pub(super) async fn update(
    Extension(holder): Extension<Holder>,
    Path(id): Path<Uuid>,
    Shared(state): Shared<State>,
    Json(body): Json<BackendChanges>,
) -> Result<Answer<Success<BackendView>>, Error> {
    let before = find(&state, id).await?;
    let mut faults = Faults::default();
    if let Some(name) = &body.name {
        faults.label(name);
    }
    let given = Nodes { base_url: body.base_url, further_urls: body.further_urls, nodes: body.nodes };
    let nodes = given.over(&before).map(|given| given.judge(&mut faults, state.plain_http));
    let search_api_key = body.search_api_key.as_ref().map(Option::as_ref);
    judge_rest(&mut faults, body.api_key.as_ref(), search_api_key.flatten(), body.timeout_ms);
    // The operator knows the keys anyway; others could have them sent to an address of their own.
    let known = before.nodes();
    if holder == Holder::GatewayKey && nodes.iter().flatten().any(|node| !known.contains(node)) {
        let rule = "must be given anew with a new address";
        if body.api_key.is_none() {
            faults.add("api_key", rule);
        }
        if before.search_api_key_encrypted.is_some() && search_api_key.is_none() {
            faults.add("search_api_key", rule);
        }
    }
    faults.check()?;
    let changes = Changes {
        name: body.name.as_deref(),
        nodes: nodes.as_deref(),
        timeout_ms: body.timeout_ms,
        api_key: body.api_key.as_ref(),
        search_api_key,
    };
    let changed = db::profile::update(&state.pool, state.sealer()?, id, &changes).await.map_err(explain)?;
    Ok(ok("the backend is changed", changed.ok_or_else(not_found)?.into()))
}

/// Delete a backend
///
/// Only one that no sync job writes into. What it holds stays there.
#[utoipa::path(delete, path = "/typesense/backends/{profile_id}", tag = "table sync",
    security(("operator" = []), ("gateway" = [])), params(("profile_id" = Uuid, Path, description = "The backend's id")),
    responses((status = 200, description = "The backend as it was", body = Success<BackendView>), Failures))]
pub(super) async fn delete(
    Path(id): Path<Uuid>,
    Shared(state): Shared<State>,
) -> Result<Answer<Success<BackendView>>, Error> {
    let deleted = db::profile::delete(&state.pool, id).await.map_err(explain)?;
    Ok(ok("the backend is deleted", deleted.ok_or_else(not_found)?.into()))
}

/// The backend of that id.
pub(super) async fn find(state: &State, id: Uuid) -> Result<Profile, Error> {
    db::profile::find(&state.pool, id).await?.ok_or_else(not_found)
}

fn not_found() -> Error {
    Error::not_found("backend")
}

fn explain(error: sqlx::Error) -> Error {
    match db::broken_constraint(&error) {
        Some("typesense_profiles_name_key") => Error::conflict("there is a backend of this name"),
        Some("typesense_sync_jobs_profile_fkey") => {
            Error::conflict("a sync job writes into this backend: delete the job, or give it another backend, first")
        }
        _ => error.into(),
    }
}

/// Addresses as they are given: the first and the further ones, or all of them.
struct Nodes {
    base_url: Option<String>,
    further_urls: Option<Vec<String>>,
    nodes: Option<Vec<String>>,
}

impl Nodes {
    /// With what is left out as it was; `None` where all of it is.
    fn over(self, before: &Profile) -> Option<Self> {
        let is_in_parts = self.base_url.is_some() || self.further_urls.is_some();
        if !is_in_parts {
            return self.nodes.is_some().then_some(self);
        }
        Some(Self {
            base_url: Some(self.base_url.unwrap_or_else(|| before.base_url.clone())),
            further_urls: Some(self.further_urls.unwrap_or_else(|| before.further_urls.clone())),
            nodes: self.nodes,
        })
    }

    /// The addresses as they are stored; empty where one is at fault.
    fn judge(self, faults: &mut Faults, plain_http: PlainHttp) -> Vec<String> {
        let (texts, in_parts) = match (self.base_url, self.further_urls, self.nodes) {
            (Some(first), further, None) => ([vec![first], further.unwrap_or_default()].concat(), true),
            (None, None, Some(nodes)) => (nodes, false),
            _ => {
                faults.add("base_url", "must be given, with more nodes in further_urls, or all nodes in nodes instead");
                return Vec::new();
            }
        };
        node_urls(&texts, plain_http, reach::policy()).unwrap_or_else(|(position, fault)| {
            let field = match (in_parts, position) {
                (true, 0) => "base_url".to_owned(),
                (true, position) => format!("further_urls[{}]", position - 1),
                (false, position) => format!("nodes[{position}]"),
            };
            faults.add(&field, fault);
            Vec::new()
        })
    }
}

fn judge_rest(
    faults: &mut Faults,
    api_key: Option<&Sensitive>,
    search_api_key: Option<&Sensitive>,
    timeout_ms: Option<i32>,
) {
    for (field, key) in [("api_key", api_key), ("search_api_key", search_api_key)] {
        if let Some(fault) = key.and_then(|key| key_fault(key.expose())) {
            faults.add(field, fault);
        }
    }
    if let Some(fault) = timeout_ms.and_then(timeout_fault) {
        faults.add("timeout_ms", fault);
    }
}

/// A Typesense that tables are synced into.
#[derive(Serialize, ToSchema)]
#[schema(as = Backend)]
pub(super) struct BackendView {
    id: Uuid,
    name: String,
    /// The node that is asked first.
    base_url: String,
    /// The nodes that take its place.
    further_urls: Vec<String>,
    timeout_ms: i32,
    /// Whether searches have a key of their own.
    has_search_key: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Profile> for BackendView {
    fn from(profile: Profile) -> Self {
        Self {
            id: profile.id,
            name: profile.name,
            base_url: profile.base_url,
            further_urls: profile.further_urls,
            timeout_ms: profile.timeout_ms,
            has_search_key: profile.search_api_key_encrypted.is_some(),
            created_at: profile.created_at,
            updated_at: profile.updated_at,
        }
    }
}

/// A backend to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBackend)]
pub(super) struct BackendBody {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The node that is asked first, such as `https://search.example.com:8108`.
    base_url: Option<String>,
    /// The nodes that take its place.
    further_urls: Option<Vec<String>>,
    /// All nodes, instead of `base_url` and `further_urls`.
    #[schema(min_items = 1, max_items = 20)]
    nodes: Option<Vec<String>>,
    /// A key that may do everything with collections, aliases and documents. It is never shown again.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    api_key: Sensitive,
    /// A key that may search, for searches.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    search_api_key: Option<Sensitive>,
    /// How long a call may take.
    #[schema(minimum = 100, maximum = 600_000, default = 10_000)]
    timeout_ms: Option<i32>,
}

/// What changes of a backend.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendChanges {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// The node that is asked first.
    base_url: Option<String>,
    /// The nodes that take its place.
    further_urls: Option<Vec<String>>,
    /// All nodes, instead of `base_url` and `further_urls`.
    #[schema(min_items = 1, max_items = 20)]
    nodes: Option<Vec<String>>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    api_key: Option<Sensitive>,
    /// Null takes it away: searches are made with `api_key` then.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    search_api_key: Option<Option<Sensitive>>,
    /// How long a call may take.
    #[schema(minimum = 100, maximum = 600_000)]
    timeout_ms: Option<i32>,
}

/// A value that is there, if only as null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
