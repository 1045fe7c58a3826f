//! The keys of an organization.

use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Index, api, find, usage::gauge};
use crate::console::{
    Console,
    api::{List, Refusal, segment, with_query},
    forms, notice,
    parts::{self, Tone},
    session::Session,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    id: String,
    index_id: Option<String>,
    pub(super) name: String,
    kind: String,
    prefix: String,
    scopes: Vec<String>,
    allowed_origins: Vec<String>,
    rate_limit_per_minute: i64,
    taken_last_minute: Option<i64>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    pub(super) raw_key: Option<String>,
}

pub(super) async fn all(
    console: &Console,
    session: &Session,
    org: &str,
    cursor: Option<&str>,
) -> Result<List<Key>, Refusal> {
    console.api.get(session, &with_query(&api(org, "/keys"), &[("cursor", cursor)])).await
}

pub(super) fn table(session: &Session, path: &str, keys: &List<Key>, indexes: &[Index]) -> Markup {
    let next = keys.next_cursor.as_deref().map(|cursor| with_query(path, &[("keys", Some(cursor))]));
    html! {
        @if session.may_act() { div .acts { a .button.primary href={ (path) "/keys/new" } { "New key" } } }
        @if keys.items.is_empty() { (parts::empty("It has no keys yet.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Keys" {
                table {
                    thead {
                        tr {
                            th { "Name" } th { "Key" } th { "May" } th { "Of" } th { "From" } th { "Last minute" } th { "Expires" }
                            th { "Last used" } th { "State" }
                        }
                    }
                    tbody { @for key in &keys.items { (row(session, path, key, indexes)) } }
                }
            }
            (parts::next(next.as_deref()))
        }
    }
}

fn row(session: &Session, path: &str, key: &Key, indexes: &[Index]) -> Markup {
    let bound = key.index_id.as_ref();
    let index = bound.map(|id| indexes.iter().find(|index| index.id == *id).map_or(id, |index| &index.slug));
    let taken = key.taken_last_minute.unwrap_or(0);
    html! {
        tr data-key=(key.id) {
            th scope="row" { (parts::cut(&key.name, 40)) }
            td { code { "ss_" (key.kind) "_" (key.prefix) "…" } }
            td { (key.scopes.join(", ").replace('_', " ")) }
            td { @match index { Some(index) => (index), None => span .soft { "all indexes" } } }
            td { @if key.allowed_origins.is_empty() { span .soft { "anywhere" } } @else { (parts::cut(&key.allowed_origins.join(", "), 80)) } }
            td { (gauge("Requests", taken, Some(key.rate_limit_per_minute))) }
            td { @match key.expires_at { Some(at) => (parts::time(at)), None => span .soft { "never" } } }
            td { (parts::time_if(key.last_used_at)) }
            td {
                @if key.revoked_at.is_some() { (parts::badge(Tone::Quiet, "revoked")) }
                @else if key.expires_at.is_some_and(is_past) { (parts::badge(Tone::Quiet, "expired")) }
                @else if session.may_act() {
                    (forms::confirmed("Revoke", "It stops working everywhere within a second, for ever.",
                        &format!("{path}/keys/{}/revoke", segment(&key.id)), &[]))
                } @else { (parts::badge(Tone::Good, "valid")) }
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only how a page words it: whether a key is taken is judged where it is used"
)]
fn is_past(moment: DateTime<Utc>) -> bool {
    moment <= Utc::now()
}

pub(super) async fn revoke(
    session: Session,
    State(console): State<Console>,
    Path((org, key)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let organization = find(&console, &session, &org).await?;
    console.api.delete(&session, &api(&organization.id, &format!("/keys/{}", segment(&key)))).await?;
    Ok(notice::see(&organization.path(), "The key is revoked."))
}
