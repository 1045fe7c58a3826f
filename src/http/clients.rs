//! Clients: logical names of source databases. Their URLs are stored sealed, and never shown.

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
    Error, State,
    body::Json,
    caller::Operator,
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Conflict, Invalid, NotFound, Refused, TooLarge, Unprocessable},
    validate::Faults,
};
use crate::{
    db::{
        self,
        client::{Deletion, SourceClient},
    },
    domain::{client_url, sensitive::Sensitive},
    reach,
};

/// List clients
#[utoipa::path(get, path = "/v1/clients", tag = "clients", security(("operator" = [])), params(PageQuery),
    responses((status = 200, body = Page<ClientView>), Invalid, Refused))]
pub(super) async fn list(
    _: Operator,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<ClientView>>, Error> {
    let rows = db::client::list(&state.pool, page.before()?, page.limit()? + 1).await?;
    Ok(Answer(page.page(rows, |row| row.id, ClientView::from)?))
}

/// Make a client
///
/// Its URL is stored encrypted, and never shown again.
#[utoipa::path(post, path = "/v1/clients", tag = "clients", security(("operator" = [])), request_body = ClientBody,
    responses((status = 201, body = ClientView), Invalid, Refused, Conflict, TooLarge, Unprocessable))]
pub(super) async fn create(
    _: Operator,
    Shared(state): Shared<State>,
    Json(body): Json<ClientBody>,
) -> Result<Response, Error> {
    judge(Some(&body.name), Some(&body.url))?;
    let made = db::client::insert(&state.pool, state.sealer()?, &body.name, &body.url).await.map_err(explain)?;
    let location = format!("/v1/clients/{}", made.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(ClientView::from(made))).into_response())
}

/// Show a client
#[utoipa::path(get, path = "/v1/clients/{client}", tag = "clients", security(("operator" = [])),
    params(("client" = String, Path, description = "The client's id or name")),
    responses((status = 200, body = ClientView), Refused, NotFound))]
pub(super) async fn show(
    _: Operator,
    Path(client): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<ClientView>, Error> {
    Ok(Answer(find(&state, &client).await?.into()))
}

/// Change a client
///
/// What is left out stays as it is. Sync jobs follow a new name.
#[utoipa::path(patch, path = "/v1/clients/{client}", tag = "clients", security(("operator" = [])),
    params(("client" = String, Path, description = "The client's id or name")),
    request_body = ClientChanges,
    responses((status = 200, body = ClientView), Invalid, Refused, NotFound, Conflict, TooLarge, Unprocessable))]
pub(super) async fn update(
    _: Operator,
    Path(client): Path<String>,
    Shared(state): Shared<State>,
    Json(body): Json<ClientChanges>,
) -> Result<Answer<ClientView>, Error> {
    let before = find(&state, &client).await?;
    judge(body.name.as_deref(), body.url.as_ref())?;
    let url = match &body.url {
        Some(url) => Some((state.sealer()?, url)),
        None => None,
    };
    let changed = db::client::update(&state.pool, before.id, body.name.as_deref(), url).await.map_err(explain)?;
    Ok(Answer(changed.ok_or_else(not_found)?.into()))
}

/// Delete a client
///
/// Only one that no sync job reads from.
#[utoipa::path(delete, path = "/v1/clients/{client}", tag = "clients", security(("operator" = [])),
    params(("client" = String, Path, description = "The client's id or name")),
    responses((status = 200, description = "The client as it was", body = ClientView), Refused, NotFound, Conflict))]
pub(super) async fn delete(
    _: Operator,
    Path(client): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<ClientView>, Error> {
    let client = find(&state, &client).await?;
    match db::client::delete(&state.pool, client.id).await.map_err(explain)? {
        Deletion::Deleted(client) => Ok(Answer(client.into())),
        Deletion::InUse(job) => Err(Error::conflict(format!(
            "the sync job {job:?} reads from this client: delete the job, or give it another client, first"
        ))),
        Deletion::NotFound => Err(not_found()),
    }
}

pub(super) async fn find(state: &State, name: &str) -> Result<SourceClient, Error> {
    db::client::resolve(&state.pool, name).await?.ok_or_else(not_found)
}

fn not_found() -> Error {
    Error::not_found("client")
}

fn judge(name: Option<&str>, url: Option<&Sensitive>) -> Result<(), Error> {
    let mut faults = Faults::default();
    if let Some(name) = name {
        faults.label(name);
    }
    if let Some(fault) = url.and_then(|url| client_url::fault(url.expose(), reach::policy())) {
        faults.add("url", fault);
    }
    faults.check()
}

fn explain(error: sqlx::Error) -> Error {
    match db::broken_constraint(&error) {
        Some("clients_name_key") => Error::conflict("there is a client of this name"),
        Some("sync_slots_client_fkey") => Error::conflict(
            "a replication slot of a live job is still to be dropped there, which takes some seconds where the source can be reached",
        ),
        _ => error.into(),
    }
}

/// A source database by its logical name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Client)]
pub(super) struct ClientView {
    id: Uuid,
    name: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<SourceClient> for ClientView {
    fn from(client: SourceClient) -> Self {
        Self { id: client.id, name: client.name, created_at: client.created_at, updated_at: client.updated_at }
    }
}

/// A client to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewClient)]
pub(super) struct ClientBody {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Such as `postgres://user:password@host:5432/database`.
    #[schema(value_type = String)]
    url: Sensitive,
}

/// What changes of a client.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ClientChanges {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(value_type = Option<String>)]
    url: Option<Sensitive>,
}
