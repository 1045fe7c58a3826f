//! Clients: the databases that tables are synced from.

pub(super) mod outline;
mod show;
mod table;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{
    Console,
    api::{List, Refusal, segment, with_query},
    fields::Fields,
    forms::{self, Field},
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) const HERE: &str = "/console/clients";
pub(super) const API: &str = "/v1/clients";
const URL_HINT: &str =
    "such as postgres://reader:password@db.example.com:5432/shop; stored encrypted, and never shown again";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Client {
    id: String,
    pub(super) name: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route(HERE, get(list).post(create))
        .route("/console/clients/{name}", get(show::show))
        .route("/console/clients/{name}/edit", post(show::edit))
        .route("/console/clients/{name}/delete", post(show::delete))
        .route("/console/clients/{name}/tables/{schema}/{table}", get(table::show))
}

/// Where a client is shown.
pub(super) fn path(name: &str) -> String {
    format!("{HERE}/{}", segment(name))
}

/// Where a table of a client is shown.
pub(super) fn table_path(client: &str, schema: &str, table: &str) -> String {
    format!("{}/tables/{}/{}", path(client), segment(schema), segment(table))
}

/// Those that may be chosen.
pub(super) async fn all(console: &Console, session: &Session) -> Result<Vec<Client>, Refusal> {
    let clients: List<Client> = console.api.get(session, &format!("{API}?limit=250")).await?;
    Ok(clients.items)
}

async fn list(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    shown(&console, &session, asked.given("cursor"), None, &Fields::default()).await
}

async fn create(session: Session, State(console): State<Console>, fields: Fields) -> Result<Response, Refusal> {
    let body = json!({ "name": fields.text("name"), "url": fields.text("url") });
    match console.api.post::<Client>(&session, API, &body).await {
        Ok(client) => Ok(notice::see(&path(&client.name), "The client is stored.")),
        Err(refusal) => {
            Ok(shown(&console, &session, None, Some(&refusal), &fields).await?.refused(refusal.status).into_response())
        }
    }
}

async fn shown(
    console: &Console,
    session: &Session,
    cursor: Option<&str>,
    refusal: Option<&Refusal>,
    sent: &Fields,
) -> Result<Page, Refusal> {
    let clients: List<Client> = console.api.get(session, &with_query(API, &[("cursor", cursor)])).await?;
    let next = clients.next_cursor.as_deref().map(|cursor| with_query(HERE, &[("cursor", Some(cursor))]));
    let body = html! {
        p .soft { "Logical names of the Postgres databases that tables are synced from." }
        @if session.may_act() {
            (forms::refused(refusal, &["name", "url"]))
            div .acts {
                details .confirm open[refusal.is_some()] {
                    summary .button.primary { "Add a client" }
                    form method="post" action=(HERE) {
                        (Field::text("name", "Name").required().value(sent.text("name")).judged(refusal))
                        (Field::secret("url", "URL").required().value(sent.text("url")).hint(URL_HINT).judged(refusal))
                        button .primary type="submit" { "Save" }
                    }
                }
            }
        }
        @if clients.items.is_empty() { (parts::empty("There are no clients yet. The first sync job needs one.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Clients" {
                table {
                    thead { tr { th { "Name" } th { "Made" } th { "Changed" } } }
                    tbody { @for client in &clients.items { (row(client)) } }
                }
            }
            (parts::next(next.as_deref()))
        }
    };
    Ok(Page::new(Section::Clients, "Clients", body))
}

fn row(client: &Client) -> Markup {
    html! {
        tr data-key=(client.id) {
            th scope="row" { a href=(path(&client.name)) { (parts::cut(&client.name, 60)) } }
            td { (parts::time(client.created_at)) }
            td { (parts::time(client.updated_at)) }
        }
    }
}
