//! One letter: what was to be written, why it could not be, and what people did about it.

use axum::{
    extract::{Path, State},
    http::{Method, StatusCode},
    response::Response,
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{API, HERE, mend, outcome::Act, owner, pretty::pretty};
use crate::console::{
    Console,
    api::{self, List, Refusal, segment},
    fields::Fields,
    forms, notice,
    page::{Page, Section},
    parts,
    session::Session,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Letter {
    pub(super) id: String,
    organization: Option<String>,
    index: Option<String>,
    sync_job: Option<String>,
    pub(super) sync_job_id: Option<String>,
    document_id: Option<String>,
    job_id: Option<String>,
    pub(super) operation: String,
    version: i64,
    pub(super) document: Option<Box<RawValue>>,
    filter: Option<String>,
    error: Fault,
    attempts: i64,
    first_failed_at: DateTime<Utc>,
    last_failed_at: DateTime<Utc>,
    acts: Vec<Done>,
}

#[derive(Deserialize)]
struct Fault {
    code: String,
    message: String,
    signature: String,
}

/// What somebody did.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    dead_letter_id: String,
    act: String,
    actor: String,
    request_id: String,
    acted_at: DateTime<Utc>,
}

impl Letter {
    /// The document as a person edits it.
    pub(super) fn text(&self) -> String {
        self.document.as_ref().map(|document| pretty(document.get())).unwrap_or_default()
    }
}

/// As the API has it, its document's numbers untouched.
pub(super) async fn find(console: &Console, session: &Session, id: &str) -> Result<Letter, Refusal> {
    let bytes = console.api.answer(session, Method::GET, &format!("{API}/{}", segment(id)), None).await?;
    api::parse(&bytes)
}

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Page, Refusal> {
    match find(&console, &session, &id).await {
        Ok(letter) => shown(&console, &session, &letter, None, &letter.text()).await,
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => gone(&console, &session, &id, refusal).await,
        Err(refusal) => Err(refusal),
    }
}

/// The page of a letter, with a document as it is being edited.
pub(super) async fn shown(
    console: &Console,
    session: &Session,
    letter: &Letter,
    refusal: Option<&Refusal>,
    document: &str,
) -> Result<Page, Refusal> {
    let here = format!("{HERE}/{}", segment(&letter.id));
    let body = html! {
        @if session.may_act() { (acts(&here)) }
        div .split {
            section .card {
                h2 { "What was to be written" }
                @if let Some(filter) = &letter.filter { p { "All documents that match this filter were to be deleted:" } pre { (filter) } }
                @else if letter.document.is_none() { p { "Nothing: the document was to be deleted." } }
                @else { (mend::part(console, session, letter, &here, refusal, document).await) }
            }
            section .card {
                h2 { "Why it was not" }
                p .reason { (parts::cut(&letter.error.message, 2000)) }
                (facts(letter))
            }
        }
        (trail(&letter.acts, Some(&letter.id)))
    };
    let title = letter.document_id.as_deref().unwrap_or("A delete by filter");
    let title: String = title.chars().take(80).collect();
    // It has a form to write into.
    Ok(Page::new(Section::DeadLetters, title, body).under("Dead letters", HERE).still())
}

fn acts(here: &str) -> Markup {
    let act = format!("{here}/act");
    html! {
        div .acts {
            (forms::button("Redrive as it is", &act, &[("act", Act::Redrive.value())]))
            (forms::confirmed("Discard", "What it would have written is not written, ever.", &act, &[("act", Act::Discard.value())]))
        }
    }
}

fn facts(letter: &Letter) -> Markup {
    let alike = api::with_query(HERE, &[("signature", Some(&letter.error.signature))]);
    html! {
        dl .facts {
            dt { "Error" } dd { code { (letter.error.code) } " · " a href=(alike) { "all of this kind" } }
            dt { "Of" } dd { (owner(letter.organization.as_deref(), letter.index.as_deref(), letter.sync_job.as_deref())) }
            dt { "Operation" } dd { (letter.operation.replace('_', " ")) }
            dt { "Version" } dd { (letter.version) }
            dt { "Attempts" } dd { (letter.attempts) }
            dt { "First failed" } dd { (parts::time(letter.first_failed_at)) }
            dt { "Last failed" } dd { (parts::time(letter.last_failed_at)) }
            dt { "Job" }
            dd {
                @match (&letter.job_id, &letter.sync_job_id) {
                    (Some(job), _) => a href={ "/console/jobs/" (segment(job)) } { code { (job) } },
                    (None, Some(sync)) => a href={ "/console/syncs/" (segment(sync)) } { "the sync job" },
                    (None, None) => (parts::dash()),
                }
            }
            dt { "Letter" } dd { code { (letter.id) } }
        }
    }
}

/// What people did to the write, newest first.
fn trail(acts: &[Done], here: Option<&str>) -> Markup {
    html! {
        h2 { "What was done" }
        @if acts.is_empty() { (parts::empty("Nothing yet.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="What was done" {
                table {
                    thead { tr { th { "When" } th { "What" } th { "Who" } th { "Request" } th { "To which letter" } } }
                    tbody {
                        @for done in acts {
                            tr {
                                td { (parts::time(done.acted_at)) }
                                th scope="row" { (said(&done.act)) }
                                td { (parts::cut(&done.actor, 80)) }
                                td { code { (parts::cut(&done.request_id, 60)) } }
                                td {
                                    @if here == Some(&done.dead_letter_id) { "this one" }
                                    @else { a href={ (HERE) "/" (segment(&done.dead_letter_id)) } { code { (done.dead_letter_id) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn said(act: &str) -> &str {
    match act {
        "retry" => "redriven",
        "mend" => "mended and redriven",
        "discard" => "discarded",
        "superseded" => "ended: a newer write stands",
        other => other,
    }
}

/// A letter that is no more, if something was done to it.
async fn gone(console: &Console, session: &Session, id: &str, missing: Refusal) -> Result<Page, Refusal> {
    let acts: List<Done> =
        console.api.get(session, &format!("{API}/{}/acts", segment(id))).await.map_err(|_| missing)?;
    let body = html! {
        p .notice { "This letter is gone. Should its write fail again, there will be a new one." }
        dl .facts { dt { "Letter" } dd { code { (id) } } }
        (trail(&acts.items, Some(id)))
    };
    Ok(Page::new(Section::DeadLetters, "A dead letter that is gone", body).under("Dead letters", HERE))
}

pub(super) async fn act(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let act = Act::of(&sent)?;
    let done = act.on(&console, &session, ("ids", json!([id])), false).await?;
    Ok(notice::see(&format!("{HERE}/{}", segment(&id)), &done.told(act)))
}
