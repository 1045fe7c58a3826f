//! Whether a collection still holds what its table does, and mending it.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{HERE, at, job, path, view::Job};
use crate::console::{
    Console,
    api::Refusal,
    fields::Fields,
    forms, notice,
    page::{Page, Section},
    parts::{self, Tone},
    session::Session,
};

#[derive(Deserialize)]
struct Drift {
    source_row_count: i64,
    collection_document_count: i64,
    missing: i64,
    extra: i64,
    different: i64,
    refused: i64,
    in_sync: bool,
    samples: Samples,
    run_id: Option<String>,
}

#[derive(Deserialize)]
struct Samples {
    missing: Vec<String>,
    extra: Vec<String>,
    different: Vec<String>,
}

/// Compares, and mends where that is asked for.
pub(super) async fn verify(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let job: Job = console.api.get(&session, &at(&id)).await?;
    let repairs = fields.text("repair") == "true";
    let asked = console.api.post::<Drift>(&session, &format!("{}/verify?repair={repairs}", at(&id)), &json!({})).await;
    let drift = match asked {
        Ok(drift) => drift,
        Err(refusal) => {
            let page = job::shown(&console, &session, &id, None, Some(&parts::alert(&refusal.in_a_sentence()))).await?;
            return Ok(page.refused(refusal.status).into_response());
        }
    };
    let here = path(&job.id);
    if repairs && !drift.in_sync {
        let said = match drift.run_id {
            Some(_) => "A run is queued that mends what has drifted.",
            None => "The run that is under way mends what has drifted.",
        };
        return Ok(notice::see(&here, said));
    }
    let page = Page::new(Section::Syncs, "Drift", shown(&here, &drift));
    Ok(page.under("Sync jobs", HERE).under(job.name, here).still().into_response())
}

fn shown(here: &str, drift: &Drift) -> Markup {
    let tone = |count: i64| if count > 0 { Tone::Bad } else { Tone::Good };
    let figure =
        |count: i64, tone: Tone, label: &str| parts::figure(tone, &html! { (parts::count(count)) }, label, None);
    let verify = format!("{here}/verify");
    html! {
        @if drift.in_sync { p .notice.good role="status" { "The collection holds what the table does." } }
        @else { (parts::alert("The collection has drifted from its table.")) }
        div .figures {
            (figure(drift.source_row_count, Tone::Quiet, "rows"))
            (figure(drift.collection_document_count, Tone::Quiet, "documents"))
            (figure(drift.missing, tone(drift.missing), "missing: rows without a document"))
            (figure(drift.extra, tone(drift.extra), "extra: documents without a row"))
            (figure(drift.different, tone(drift.different), "different"))
            (figure(drift.refused, Tone::Quiet, "refused by Typesense: dead letters"))
        }
        @for (called, ids) in [("Missing", &drift.samples.missing), ("Extra", &drift.samples.extra), ("Different", &drift.samples.different)] {
            @if !ids.is_empty() {
                h2 { (called) ", some ids" }
                ul .plain { @for id in ids { li { code { (parts::cut(id, 120)) } } } }
            }
        }
        div .acts.below {
            @if !drift.in_sync {
                (forms::confirmed("Repair", "A run writes or deletes what has drifted.", &verify, &[("repair", "true")]))
            }
            (forms::button("Check again", &verify, &[]))
            a .button href=(here) { "Back to the job" }
        }
    }
}
