//! One backend: its settings, whether it can be used, and what it holds.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{API, Backend, HERE, path, searches_by, test};
use crate::console::{
    Console,
    api::{List, Refusal, segment},
    forms, notice,
    page::{Page, Section},
    parts,
    session::Session,
};

#[derive(Deserialize)]
struct Collection {
    name: String,
    num_documents: i64,
    fields: Vec<Value>,
    default_sorting_field: Option<String>,
    aliases: Vec<String>,
}

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Page, Refusal> {
    shown(&console, &session, &id, None).await
}

pub(super) async fn test(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Page, Refusal> {
    let told = test::told(&console, &session, &json!({ "profile_id": id })).await;
    shown(&console, &session, &id, Some(&told)).await
}

pub(super) async fn delete(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    match console.api.delete(&session, &format!("{API}/{}", segment(&id))).await {
        Ok(()) => Ok(notice::see(HERE, "The backend is deleted; what it holds is still there.")),
        Err(refusal) => {
            let page = shown(&console, &session, &id, Some(&parts::alert(&refusal.in_a_sentence()))).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

/// Asks Typesense, so it is not kept up.
async fn shown(console: &Console, session: &Session, id: &str, word: Option<&Markup>) -> Result<Page, Refusal> {
    let backend: Backend = console.api.get(session, &format!("{API}/{}", segment(id))).await?;
    let here = path(&backend.id);
    let target = json!({ "profile_id": backend.id });
    let held = console.api.post::<List<Collection>>(session, "/typesense/collections/list", &target).await;
    let body = html! {
        @if let Some(word) = word { (word) }
        @if session.may_act() {
            div .acts {
                (forms::button("Test", &format!("{here}/test"), &[]))
                a .button href={ (here) "/edit" } { "Change" }
                (forms::confirmed("Delete", "Tidewell forgets its address and keys. What it holds stays there.", &format!("{here}/delete"), &[]))
            }
        }
        dl .facts {
            dt { "Address" } dd { code { (backend.base_url) } }
            @if !backend.further_urls.is_empty() {
                dt { "Further nodes" } dd { @for url in &backend.further_urls { code { (url) } br; } }
            }
            dt { "Timeout of a call" } dd { (parts::duration(backend.timeout_ms as f64 / 1000.0)) }
            dt { "Searches by" } dd { (searches_by(&backend)) }
            dt { "Made" } dd { (parts::time(backend.created_at)) }
            dt { "Changed" } dd { (parts::time(backend.updated_at)) }
            dt { "Id" } dd { code { (backend.id) } }
        }
        h2 { "Collections" }
        @match &held {
            Ok(held) if held.items.is_empty() => (parts::empty("It holds no collections yet.")),
            Ok(held) => (collections(&held.items)),
            Err(refusal) => (parts::alert(&refusal.in_a_sentence())),
        }
    };
    Ok(Page::new(Section::Backends, backend.name, body).under("Backends", HERE).still())
}

fn collections(held: &[Collection]) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Collections" {
            table {
                thead { tr { th { "Name" } th { "Aliases" } th .number { "Documents" } th { "Sorted by" } th { "Fields" } } }
                tbody {
                    @for one in held {
                        tr data-key=(one.name) {
                            th scope="row" { (parts::cut(&one.name, 60)) }
                            td { @for alias in &one.aliases { (parts::cut(alias, 60)) br; } }
                            td .number { (parts::count(one.num_documents)) }
                            td { @match &one.default_sorting_field { Some(field) => code { (field) }, None => (parts::dash()) } }
                            td {
                                details {
                                    summary { (one.fields.len()) " fields" }
                                    ul .plain { @for field in &one.fields { li { (parts::field(field)) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
