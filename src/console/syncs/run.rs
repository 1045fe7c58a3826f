//! One run: what it did, and where its time was spent.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    HERE, at, pace, path,
    view::{Job, Run},
};
use crate::console::{
    Console,
    api::{Refusal, segment, with_query},
    fields::Fields,
    log,
    page::{Page, Section},
    parts::{self, Tone},
    session::Session,
};

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path((id, run)): Path<(String, String)>,
    asked: Fields,
) -> Result<Page, Refusal> {
    let job: Job = console.api.get(&session, &at(&id)).await?;
    let run: Run = console.api.get(&session, &format!("{}/runs/{}", at(&job.id), segment(&run))).await?;
    let logged = format!("{}/runs/{}/log", at(&job.id), segment(&run.id));
    let here = format!("{}/runs/{}", path(&job.id), segment(&run.id));
    let log = log::log(&console, &session, &logged, &here, asked.given(log::BEFORE)).await?;
    let letters = with_query("/console/dead-letters", &[("syncJob", Some(&job.name))]);
    let body = html! {
        p {
            (parts::state(&run.status)) " " (run.stage().unwrap_or_default())
            @if run.rebuild { " " (parts::badge(Tone::Quiet, "built anew")) }
        }
        @if let Some(error) = &run.error { (parts::alert(error)) }
        @if run.finished_at.is_none() { section .card.under-way aria-label="How far it is" { (pace::under_way(&run)) } }
        div .figures {
            (figure(run.source_row_count, "rows read", Tone::Quiet, None))
            (figure(run.imported_count, "documents written", Tone::Quiet, None))
            (figure(run.deleted_count, "documents deleted", Tone::Quiet, None))
            (figure(run.unchanged_count, "rows unchanged", Tone::Quiet, None))
            (figure(run.failed_count, "rows refused: dead letters", if run.failed_count > 0 { Tone::Bad } else { Tone::Good }, Some(&letters)))
        }
        h2 { "Where the time was spent" }
        (stages(&run))
        h2 { "When" }
        dl .facts {
            dt { "Asked for by" } dd { (run.trigger_source) }
            dt { "Queued" } dd { (parts::time(run.queued_at)) }
            dt { "Begun" } dd { (parts::time_if(run.started_at)) }
            dt { "Ended" } dd { (parts::time_if(run.finished_at)) }
            @if let Some(seconds) = run.seconds() { dt { "Took" } dd { (parts::duration(seconds)) } }
            @if let Some(asked) = run.cancel_requested_at { dt { "Asked to end" } dd { (parts::time(asked)) } }
            dt { "Id" } dd { code { (run.id) } }
        }
        (log)
    };
    Ok(Page::new(Section::Syncs, "A run", body).under("Sync jobs", HERE).under(job.name, path(&job.id)))
}

fn figure(count: i64, label: &str, tone: Tone, path: Option<&str>) -> Markup {
    parts::figure(tone, &html! { (parts::count(count)) }, label, path)
}

/// A bar for each stage; they overlap, so each begins at the left.
fn stages(run: &Run) -> Markup {
    const WIDTH: f64 = 320.0;
    const HEIGHT: usize = 12;
    let stages = [
        ("read", "Reading the table", run.read_ms),
        ("import", "Importing into Typesense", run.import_ms),
        ("reconcile", "Settling what was answered", run.reconcile_ms),
        ("paused", "Waiting for what was away", run.paused_ms),
    ];
    let most = stages.iter().map(|(.., millis)| *millis).max().unwrap_or(0).max(1) as f64;
    html! {
        table .stages {
            thead { tr { th { "Stage" } th .number { "Time" } th { span .soft { "they overlap" } } } }
            tbody {
                @for (class, name, millis) in stages {
                    tr {
                        th scope="row" { (name) }
                        td .number { (parts::duration(millis as f64 / 1000.0)) }
                        td {
                            svg .stage viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                                rect .track x="0" y="0" width=(WIDTH) height=(HEIGHT) rx="3" {}
                                rect class=(class) x="0" y="0" width=(format!("{:.1}", millis as f64 / most * WIDTH)) height=(HEIGHT) rx="3" {}
                            }
                        }
                    }
                }
            }
        }
    }
}
