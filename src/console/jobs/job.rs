//! One job: where it stands, what of it failed, what of it waits, and what was said of it.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{API, Failure, HERE, Job, Reindex};
use crate::console::{
    Console,
    api::{List, Refusal, segment, with_query},
    dead_letters,
    fields::Fields,
    log,
    page::{Page, Section},
    parts,
    session::Session,
};

/// Rows of a page.
const ROWS: &str = "25";

/// A write that waits.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    document_id: Option<String>,
    operation: String,
    version: i64,
    attempts: i64,
    next_retry_at: Option<DateTime<Utc>>,
    code: Option<String>,
    message: Option<String>,
}

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    asked: Fields,
) -> Result<Page, Refusal> {
    let (api, here) = (format!("{API}/{}", segment(&id)), format!("{HERE}/{}", segment(&id)));
    let job: Job = console.api.get(&session, &api).await.map_err(|refusal| match refusal.status {
        // Not a UUID: what is no id is nobody's.
        StatusCode::BAD_REQUEST => {
            Refusal { status: StatusCode::NOT_FOUND, message: "There is no such job.".to_owned(), ..refusal }
        }
        _ => refusal,
    })?;
    let waits = if job.counts.pending + job.counts.retrying > 0 && job.reindex.is_none() {
        Some(waiting(&console, &session, &api, &here, asked.given("rows")).await?)
    } else {
        None
    };
    let log = log::log(&console, &session, &format!("{api}/log"), &here, asked.given(log::BEFORE)).await?;
    let body = html! {
        p .acts { (parts::state(&job.status)) span { (job.kind()) " of " (parts::cut(&job.organization, 60)) " / " (parts::cut(&job.index, 60)) } }
        (job.counts.bar())
        (job.counts.figures())
        dl .facts {
            dt { "Asked for" } dd { (parts::time(job.enqueued_at)) }
            dt { "Begun" } dd { (parts::time_if(job.started_at)) }
            dt { "Ended" } dd { (parts::time_if(job.finished_at)) }
            @if let Some(reindex) = &job.reindex { (facts(reindex)) }
        }
        @if !job.errors.is_empty() { (failures(&job.errors)) }
        @if let Some(waits) = waits { (waits) }
        (log)
    };
    Ok(Page::new(Section::Jobs, job.job_id, body).under("Jobs", HERE))
}

fn facts(reindex: &Reindex) -> Markup {
    html! {
        dt { "Version" } dd { (reindex.version) " is to be the live one" }
        dt { "Phase" }
        dd { (parts::state(&reindex.phase)) @if reindex.cancel_requested { " its end was asked for" } }
        dt { "Progress" } dd { (parts::progress(reindex.progress * 100.0, "Progress")) }
        dt { "Refused" }
        dd {
            (parts::count(reindex.refused))
            @match reindex.max_refused { Some(most) => { " of " (parts::count(most)) " that may be" }, None => " of any number that may be" }
        }
        dt { "Asked for by" } dd { (parts::cut(&reindex.requested_by, 80)) }
        @if let Some(error) = &reindex.error { dt { "Trouble" } dd { (parts::cut(error, 1000)) } }
    }
}

fn failures(errors: &[Failure]) -> Markup {
    html! {
        h2 { "What failed" }
        @if errors.len() >= 100 { p .soft { "The first 100." } }
        div .scroll tabindex="0" role="region" aria-label="What failed" {
            table {
                thead { tr { th { "Document" } th { "Why" } th { "What becomes of it" } } }
                tbody {
                    @for error in errors {
                        tr {
                            th scope="row" { @match &error.document_id { Some(id) => (parts::cut(id, 60)), None => (parts::dash()) } }
                            td { (parts::cut(&error.message, 300)) " " code .soft { (error.code) } }
                            td {
                                @if let Some(letter) = &error.dead_letter_id {
                                    a href={ (dead_letters::HERE) "/" (segment(letter)) } { "dead letter" }
                                } @else if let Some(at) = error.next_retry_at { "tried again " (parts::time(at)) }
                                @else { (parts::dash()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What of a job waits, as far as one look goes.
async fn waiting(
    console: &Console,
    session: &Session,
    api: &str,
    here: &str,
    from: Option<&str>,
) -> Result<Markup, Refusal> {
    let path = with_query(&format!("{api}/rows"), &[("limit", Some(ROWS)), ("cursor", from)]);
    let rows: List<Row> = console.api.get(session, &path).await?;
    let on = rows.next_cursor.as_deref().map(|next| with_query(here, &[("rows", Some(next))]));
    Ok(html! {
        h2 #rows { "What waits" }
        @if rows.items.is_empty() {
            (parts::empty(if on.is_some() {
                "None of it is among those that were looked at: other rows of the index wait before it. Look further."
            } else { "Nothing is left from here on." }))
        } @else {
            div .scroll tabindex="0" role="region" aria-label="What waits" {
                table {
                    thead { tr { th { "Document" } th { "Operation" } th .number { "Version" } th .number { "Attempts" } th { "Next try" } th { "Last error" } } }
                    tbody { @for row in &rows.items { (waiting_row(row)) } }
                }
            }
        }
        @if from.is_some() || on.is_some() {
            p .acts.below {
                @if from.is_some() { a .button href={ (here) "#rows" } { "From the beginning" } }
                @if let Some(on) = on { a .button href={ (on) "#rows" } { "Look further" } }
            }
        }
    })
}

fn waiting_row(row: &Row) -> Markup {
    html! {
        tr data-key=(row.version) {
            th scope="row" { @match &row.document_id { Some(id) => (parts::cut(id, 60)), None => (parts::dash()) } }
            td .tight { (row.operation.replace('_', " ")) }
            td .number { (row.version) }
            td .number { (row.attempts) }
            td .tight { @match row.next_retry_at { Some(at) => (parts::time(at)), None => "in its turn" } }
            td {
                @match (&row.message, &row.code) {
                    (Some(message), Some(code)) => { (parts::cut(message, 300)) " " code .soft { (code) } }
                    _ => (parts::dash()),
                }
            }
        }
    }
}
