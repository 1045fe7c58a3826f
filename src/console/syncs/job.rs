//! One job: how it is, what it may be told to do, how its runs went, and how it is set.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    HERE, at, pace, path, runs, settings,
    view::{Job, Run, Status},
};
use crate::{
    console::{
        Console,
        api::{List, Refusal, with_query},
        fields::Fields,
        forms,
        page::{Page, Section},
        parts::{self, Tone},
        session::Session,
    },
    db::sync::state,
};

/// Runs of one page of the history.
const RUNS: &str = "20";

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    asked: Fields,
) -> Result<Page, Refusal> {
    shown(&console, &session, &id, asked.given("cursor"), None).await
}

/// `word` is what there is to say first.
pub(super) async fn shown(
    console: &Console,
    session: &Session,
    id: &str,
    cursor: Option<&str>,
    word: Option<&Markup>,
) -> Result<Page, Refusal> {
    let job: Job = console.api.get(session, &at(id)).await?;
    let status: Status = console.api.get(session, &format!("{}/status", at(&job.id))).await?;
    let history = with_query(&format!("{}/runs", at(&job.id)), &[("limit", Some(RUNS)), ("cursor", cursor)]);
    let history: List<Run> = console.api.get(session, &history).await?;
    let active = history.items.iter().find(|run| status.active_run_id.as_ref() == Some(&run.id));
    let collections = match uuid::Uuid::try_parse(&job.id) {
        Ok(id) => state::find(&console.pool, id).await?.map(|state| (state.collection, state.previous_collection)),
        Err(_) => None,
    };
    let (current, previous) = collections.unwrap_or_default();
    let here = path(&job.id);
    let body = html! {
        @if let Some(word) = word { (word) }
        (figures(&status))
        @if let Some(error) = &status.live_error { (parts::alert(error)) }
        @else if let Some(error) = status.last_sync_error.as_ref().filter(|_| !matches!(&*status.sync_health, "fresh" | "cancelled")) { (parts::alert(error)) }
        @if let Some(run) = active { (under_way(&here, run)) }
        @if session.may_act() { (acts(&here, &status, active.is_some(), previous.is_some())) }
        (runs::history(&here, &history))
        (settings::shown(&job, &status, current.as_deref(), previous.as_deref()))
    };
    Ok(Page::new(Section::Syncs, job.name, body).under("Sync jobs", HERE))
}

fn figures(status: &Status) -> Markup {
    let letters = with_query("/console/dead-letters", &[("syncJob", Some(&status.name))]);
    let refused = status.last_failed_count.unwrap_or(0);
    let rows = status.last_source_row_count.map_or_else(parts::dash, |rows| html! { (parts::count(rows)) });
    let tone = if status.is_stale { Tone::Warn } else { Tone::Quiet };
    html! {
        div .figures {
            (parts::figure(Tone::of(&status.sync_health), &html! { (status.sync_health.replace('_', " ")) }, "health", None))
            (parts::figure(tone, &parts::time_if(status.last_synced_at), "last synced", None))
            @if status.mode == "live" {
                (parts::figure(Tone::Quiet, &html! { (status.live_lag_bytes.map_or_else(|| "–".to_owned(), parts::count)) }, "bytes of log behind", None))
            } @else if status.enabled && status.auto_sync_enabled {
                (parts::figure(Tone::Quiet, &parts::time_if(status.next_sync_at), "next run", None))
            } @else {
                (parts::figure(Tone::Quiet, &html! { "off" }, "schedule", None))
            }
            (parts::figure(Tone::Quiet, &rows, "rows at the last run", None))
            (parts::figure(if refused > 0 { Tone::Bad } else { Tone::Good }, &html! { (parts::count(refused)) }, "rows refused: dead letters", Some(&letters)))
        }
    }
}

fn under_way(here: &str, run: &Run) -> Markup {
    html! {
        section .card.under-way aria-label="The run that is under way" {
            p {
                (parts::state(&run.status)) " " (run.stage().unwrap_or_default()) " · "
                a href={ (here) "/runs/" (run.id) } { "this run" }
            }
            (pace::under_way(run))
        }
    }
}

fn acts(here: &str, status: &Status, is_under_way: bool, has_previous: bool) -> Markup {
    let switch = format!("{here}/switch");
    let is_live = status.mode == "live";
    html! {
        div .acts {
            @if is_under_way {
                (forms::confirmed("Cancel the run", "What it has written by now stays.", &format!("{here}/cancel"), &[]))
            } @else if status.enabled {
                (forms::button("Run now", &format!("{here}/run"), &[]))
                @if !is_live {
                    (forms::confirmed("Full run", "A new collection is built beside the one that is searched, and takes its place when it is complete. \
                        The present one is kept for a rollback.", &format!("{here}/run"), &[("full", "true")]))
                }
            }
            @if !is_live && status.enabled {
                @if status.auto_sync_enabled { (forms::button("Pause the schedule", &switch, &[("auto_sync_enabled", "false")])) }
                @else { (forms::button("Resume the schedule", &switch, &[("auto_sync_enabled", "true")])) }
            }
            @if status.enabled {
                (forms::confirmed("Disable", "It is neither run nor searched until somebody enables it.", &switch, &[("enabled", "false")]))
            } @else { (forms::button("Enable", &switch, &[("enabled", "true")])) }
            @if status.last_synced_at.is_some() {
                (forms::button("Check for drift", &format!("{here}/verify"), &[]))
            }
            @if has_previous && !is_live {
                (forms::confirmed("Roll back", "The collection before is searched again, and the schedule is switched off.", &format!("{here}/rollback"), &[]))
            }
            a .button href={ (here) "/edit" } { "Edit" }
            (forms::confirmed("Delete", "With its history and its dead letters. The collection stays in Typesense as it is.", &format!("{here}/delete"), &[]))
        }
    }
}
