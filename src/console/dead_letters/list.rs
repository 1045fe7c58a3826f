//! The list: letters by what they died of, and one by one.

use axum::extract::State;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{API, HERE, filter::Filter, outcome::Act, owner};
use crate::console::{
    Console,
    api::{List, Refusal, segment},
    fields::Fields,
    forms,
    page::{Page, Section},
    parts::{self, count},
    session::Session,
};

/// Groups of a page.
const GROUPS: &str = "12";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    signature: String,
    organization: Option<String>,
    index: Option<String>,
    sync_job: Option<String>,
    sync_job_id: Option<String>,
    count: i64,
    newest_id: String,
    code: String,
    message: String,
    oldest_failed_at: DateTime<Utc>,
    newest_failed_at: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    id: String,
    organization: Option<String>,
    index: Option<String>,
    sync_job: Option<String>,
    document_id: Option<String>,
    operation: String,
    error: Fault,
    attempts: i64,
    last_failed_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Fault {
    code: String,
    message: String,
}

pub(super) async fn list(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    let filter = Filter::of(&asked);
    let cursors = (asked.given("groups"), asked.given("cursor"));
    match found(&console, &session, &filter, cursors).await {
        Ok(found) => {
            let body = html! { (filter.form(None)) (found) };
            Ok(Page::new(Section::DeadLetters, "Dead letters", body))
        }
        // A condition that can't be judged is told beside the conditions.
        Err(refusal) if refusal.status.is_client_error() => {
            let body = html! { (forms::refused(Some(&refusal), &[])) (filter.form(Some(&refusal))) };
            Ok(Page::new(Section::DeadLetters, "Dead letters", body).refused(refusal.status))
        }
        Err(refusal) => Err(refusal),
    }
}

async fn found(
    console: &Console,
    session: &Session,
    filter: &Filter,
    (groups_cursor, cursor): (Option<&str>, Option<&str>),
) -> Result<Markup, Refusal> {
    let of_groups = filter.path(&format!("{API}:groups"), &[("limit", Some(GROUPS)), ("cursor", groups_cursor)]);
    let of_letters = filter.path(API, &[("cursor", cursor)]);
    let groups = console.api.get::<List<Group>>(session, &of_groups).await?;
    let found = console.api.get::<List<Letter>>(session, &of_letters).await?;
    let smaller =
        groups.next_cursor.as_deref().map(|next| filter.path(HERE, &[("groups", Some(next)), ("cursor", cursor)]));
    let older = found
        .next_cursor
        .as_deref()
        .map(|next| filter.path(HERE, &[("groups", groups_cursor), ("cursor", Some(next))]));
    if found.items.is_empty() && cursor.is_none() {
        return Ok(match filter.is_empty() {
            true => parts::empty(
                "There are no dead letters: everything that was accepted is projected, waits, or was superseded.",
            ),
            false => parts::empty("No dead letter matches."),
        });
    }
    Ok(html! {
        h2 { "By error" }
        div .scroll tabindex="0" role="region" aria-label="Dead letters by error" {
            table {
                thead { tr {
                    th { "Error" } th .number { "Letters" } th { "Of" } th { "First" } th { "Last" }
                    @if session.may_act() { th { "All of them" } }
                } }
                tbody { @for group in &groups.items { (group_row(session, filter, group)) } }
            }
        }
        @if let Some(smaller) = smaller { p .next { a .button href=(smaller) { "Smaller groups" } } }
        h2 { "One by one" }
        @if session.may_act() {
            (on_all(filter))
            form method="post" action="/console/dead-letters/chosen" {
                (forms::hidden(filter.hidden()))
                (table(session, &found.items))
                div .acts.below { (buttons()) }
            }
        } @else { (table(session, &found.items)) }
        (parts::next(older.as_deref()))
    })
}

fn group_row(session: &Session, filter: &Filter, group: &Group) -> Markup {
    let narrowed = filter
        .clone()
        .with("signature", Some(&group.signature))
        .with("organization", group.organization.as_deref())
        .with("index", group.index.as_deref())
        .with("syncJob", group.sync_job_id.as_deref());
    let all = |act: Act| narrowed.path("/console/dead-letters/all", &[("act", Some(act.value()))]);
    html! {
        tr data-key=(group.newest_id) {
            th .words scope="row" { a href=(narrowed.path(HERE, &[])) { (parts::cut(&group.message, 160)) } " " code .soft { (group.code) } }
            td .number { (count(group.count)) }
            td .names { (owner(group.organization.as_deref(), group.index.as_deref(), group.sync_job.as_deref())) }
            td .tight { (parts::time(group.oldest_failed_at)) }
            td .tight { (parts::time(group.newest_failed_at)) }
            @if session.may_act() {
                td .tight { a href=(all(Act::Redrive)) { "Redrive" } " · " a href=(all(Act::Discard)) { "Discard" } }
            }
        }
    }
}

/// The way to act on all that match. Without a condition the API acts on nothing: on everything at once nobody should.
fn on_all(filter: &Filter) -> Markup {
    let all = |act: Act| filter.path("/console/dead-letters/all", &[("act", Some(act.value()))]);
    html! {
        @if filter.is_empty() {
            p .soft { "To act on many at once, take an error above or set a condition. Or check some here." }
        } @else {
            p .acts {
                a .button href=(all(Act::Redrive)) { "Redrive all that match…" }
                a .button href=(all(Act::Discard)) { "Discard all that match…" }
            }
        }
    }
}

fn table(session: &Session, found: &[Letter]) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Dead letters" {
            table {
                thead { tr {
                    @if session.may_act() {
                        th .tight { input type="checkbox" aria-label="Choose all of this page" data-check-all="ids"; }
                    }
                    th { "Document" } th { "Of" } th { "Operation" } th { "Error" } th .number { "Attempts" } th { "Failed" }
                } }
                tbody { @for letter in found { (row(session, letter)) } }
            }
        }
    }
}

fn row(session: &Session, letter: &Letter) -> Markup {
    let called = letter.document_id.as_deref().unwrap_or("a filter");
    html! {
        tr data-key=(letter.id) {
            @if session.may_act() {
                td .tight {
                    input type="checkbox" name="ids" value=(letter.id) aria-label={ "Choose " (called.chars().take(60).collect::<String>()) };
                }
            }
            th .names scope="row" { a href={ (HERE) "/" (segment(&letter.id)) } { (parts::cut(called, 60)) } }
            td .names { (owner(letter.organization.as_deref(), letter.index.as_deref(), letter.sync_job.as_deref())) }
            td .tight { (letter.operation.replace('_', " ")) }
            td .words { (parts::cut(&letter.error.message, 160)) " " code .soft { (letter.error.code) } }
            td .number { (letter.attempts) }
            td .tight { (parts::time(letter.last_failed_at)) }
        }
    }
}

/// What can be done to the letters that are chosen.
fn buttons() -> Markup {
    html! {
        button type="submit" name="act" value=(Act::Redrive.value()) { "Redrive those chosen" }
        details .confirm {
            summary .button { "Discard those chosen" }
            div .sure {
                p { (Act::Discard.meaning()) }
                button .danger type="submit" name="act" value=(Act::Discard.value()) { "Discard those chosen" }
            }
        }
    }
}
