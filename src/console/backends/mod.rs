//! Backends: where tables are synced to.

mod edit;
mod show;
mod test;

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Console,
    api::{List, Refusal, segment, with_query},
    fields::Fields,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) const HERE: &str = "/console/backends";
const API: &str = "/typesense/backends";

#[derive(Deserialize)]
pub(super) struct Backend {
    pub(super) id: String,
    pub(super) name: String,
    base_url: String,
    further_urls: Vec<String>,
    timeout_ms: i64,
    has_search_key: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route(HERE, get(list))
        .route("/console/backends/new", get(edit::new).post(edit::create))
        .route("/console/backends/new/test", post(edit::test_new))
        .route("/console/backends/{id}", get(show::show))
        .route("/console/backends/{id}/edit", get(edit::edit).post(edit::update))
        .route("/console/backends/{id}/edit/test", post(edit::test_changed))
        .route("/console/backends/{id}/test", post(show::test))
        .route("/console/backends/{id}/delete", post(show::delete))
}

/// Where a backend is shown.
pub(super) fn path(id: &str) -> String {
    format!("{HERE}/{}", segment(id))
}

/// Those that a form offers.
pub(super) async fn all(console: &Console, session: &Session) -> Result<Vec<Backend>, Refusal> {
    let backends: List<Backend> = console.api.get(session, &format!("{API}?limit=250")).await?;
    Ok(backends.items)
}

async fn list(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    let cursor = asked.given("cursor");
    let backends: List<Backend> = console.api.get(&session, &with_query(API, &[("cursor", cursor)])).await?;
    let next = backends.next_cursor.as_deref().map(|cursor| with_query(HERE, &[("cursor", Some(cursor))]));
    let body = html! {
        p .soft { "Typesense servers that tables are synced into. Their keys are stored encrypted, and never shown." }
        @if session.may_act() {
            div .acts { a .button.primary href={ (HERE) "/new" } { "Add a backend" } }
        }
        @if backends.items.is_empty() { (parts::empty("There are no backends yet. The first sync job needs one.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Backends" {
                table {
                    thead { tr { th { "Name" } th { "Address" } th .number { "Nodes" } th .number { "Timeout" } th { "Searches by" } th { "Changed" } } }
                    tbody { @for backend in &backends.items { (row(backend)) } }
                }
            }
            (parts::next(next.as_deref()))
        }
    };
    Ok(Page::new(Section::Backends, "Backends", body))
}

fn row(backend: &Backend) -> Markup {
    html! {
        tr data-key=(backend.id) {
            th scope="row" { a href=(path(&backend.id)) { (parts::cut(&backend.name, 60)) } }
            td { code { (parts::cut(&backend.base_url, 80)) } }
            td .number { (1 + backend.further_urls.len()) }
            td .number { (parts::duration(backend.timeout_ms as f64 / 1000.0)) }
            td { (searches_by(backend)) }
            td { (parts::time(backend.updated_at)) }
        }
    }
}

fn searches_by(backend: &Backend) -> &'static str {
    if backend.has_search_key { "a key of their own" } else { "the same key" }
}
