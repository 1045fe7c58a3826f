//! Gateway keys: for Athena's routes, and nothing else.

use axum::{
    Router,
    extract::{Path, State},
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
    parts::{self, Tone},
    session::Session,
};

const HERE: &str = "/console/gateway-keys";
const API: &str = "/v1/gateway-keys";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    id: String,
    public_id: String,
    name: String,
    rights: Vec<String>,
    created_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    raw_key: Option<String>,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route(HERE, get(list).post(create)).route("/console/gateway-keys/{id}/revoke", post(revoke))
}

async fn list(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    shown(&console, &session, asked.given("cursor"), None, &Fields::default()).await
}

async fn shown(
    console: &Console,
    session: &Session,
    cursor: Option<&str>,
    refusal: Option<&Refusal>,
    sent: &Fields,
) -> Result<Page, Refusal> {
    let keys: List<Key> = console.api.get(session, &with_query(API, &[("cursor", cursor)])).await?;
    let next = keys.next_cursor.as_deref().map(|cursor| with_query(HERE, &[("cursor", Some(cursor))]));
    let body = html! {
        p .soft { "For Athena's routes below " code { "/typesense" } ", and nothing else." }
        @if session.may_act() {
            (forms::refused(refusal, &["name"]))
            form .filters method="post" action=(HERE) {
                (Field::text("name", "Name").required().value(sent.text("name")).judged(refusal))
                button .primary type="submit" { "Make a key" }
            }
        }
        @if keys.items.is_empty() { (parts::empty("There are no gateway keys yet.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Gateway keys" {
                table {
                    thead { tr { th { "Name" } th { "Key" } th { "May" } th { "Made" } th { "Last used" } th { "State" } } }
                    tbody { @for key in &keys.items { (row(session, key)) } }
                }
            }
            (parts::next(next.as_deref()))
        }
    };
    Ok(Page::new(Section::GatewayKeys, "Gateway keys", body))
}

fn row(session: &Session, key: &Key) -> Markup {
    html! {
        tr data-key=(key.id) {
            th scope="row" { (parts::cut(&key.name, 60)) }
            td { code { "ath_" (key.public_id) ".…" } }
            td { (key.rights.join(", ")) }
            td { (parts::time(key.created_at)) }
            td { (parts::time_if(key.last_used_at)) }
            td {
                @if key.revoked_at.is_some() { (parts::badge(Tone::Quiet, "revoked")) }
                @else if session.may_act() {
                    (forms::confirmed("Revoke", "It stops working everywhere within a second, for ever.",
                        &format!("{HERE}/{}/revoke", segment(&key.id)), &[]))
                } @else { (parts::badge(Tone::Good, "valid")) }
            }
        }
    }
}

async fn create(session: Session, State(console): State<Console>, fields: Fields) -> Result<Response, Refusal> {
    match console.api.post::<Key>(&session, API, &json!({ "name": fields.text("name") })).await {
        Ok(key) => {
            let body = parts::new_key(&key.name, &key.raw_key.unwrap_or_default(), HERE);
            let page = Page::new(Section::GatewayKeys, "A new gateway key", body).under("Gateway keys", HERE).still();
            Ok(page.into_response())
        }
        Err(refusal) => {
            let page = shown(&console, &session, None, Some(&refusal), &fields).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

async fn revoke(session: Session, State(console): State<Console>, Path(id): Path<String>) -> Result<Response, Refusal> {
    console.api.delete(&session, &format!("{API}/{}", segment(&id))).await?;
    Ok(notice::see(HERE, "The key is revoked."))
}
