//! Changing a job, by the form that made it.

use axum::{
    extract::{Path, State},
    http::Method,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::{
    HERE, at,
    draft::{body, of_job},
    form::{EXAMPLES, Form},
    path, preview,
    view::Job,
};
use crate::console::{
    Console,
    api::Refusal,
    backends,
    clients::outline::{Column, outline, samples},
    fields::Fields,
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    asked: Fields,
) -> Result<Page, Refusal> {
    let job: Job = console.api.get(&session, &at(&id)).await?;
    if asked.text("step") != "preview" {
        return shown(&console, &session, &job, &asked, None, None).await;
    }
    let preview = async { preview::ask(&console, &session, &body(job.table(), &asked)?, Some(&job.id)).await };
    match preview.await {
        Ok(preview) => shown(&console, &session, &job, &asked, None, Some(&preview.shown(session.may_act()))).await,
        Err(refusal) => {
            Ok(shown(&console, &session, &job, &asked, Some(&refusal), None).await?.refused(refusal.status))
        }
    }
}

pub(super) async fn update(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let job: Job = console.api.get(&session, &at(&id)).await?;
    let asked = async {
        let changes = body(job.table(), &sent)?;
        console.api.send::<Job>(&session, Method::PATCH, &at(&job.id), &changes).await
    };
    match asked.await {
        Ok(job) => Ok(notice::see(&path(&job.id), "The sync job is changed.")),
        Err(refusal) => {
            let page = shown(&console, &session, &job, &sent, Some(&refusal), None).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

/// The form: as it was sent, or as the job is.
async fn shown(
    console: &Console,
    session: &Session,
    job: &Job,
    sent: &Fields,
    refusal: Option<&Refusal>,
    preview: Option<&Markup>,
) -> Result<Page, Refusal> {
    let outline = outline(console, session, job.table()).await;
    let samples = samples(console, session, job.table(), EXAMPLES).await.unwrap_or_default();
    let backends = backends::all(console, session).await?;
    let (columns, unseen) = match outline {
        Ok(outline) => (outline.columns, None),
        Err(refusal) => (columns_of(job), Some(refusal)),
    };
    let now;
    let fields = if sent.is_checked("name") {
        sent
    } else {
        now = of_job(job, &columns);
        &now
    };
    let here = path(&job.id);
    let form = Form {
        at: &format!("{here}/edit"),
        hidden: &[],
        columns: &columns,
        samples: &samples,
        backends: &backends,
        fields,
        refusal,
        may_act: session.may_act(),
    };
    let body = html! {
        p .soft { "Where a change asks for another collection, the next run builds it beside the one that is searched." }
        @if let Some(unseen) = &unseen { (parts::alert(&format!("The table can't be looked at: {}", unseen.in_a_sentence()))) }
        @if let Some(preview) = preview { (preview) }
        (form.shown())
    };
    let page = Page::new(Section::Syncs, format!("Change {}", job.name), body);
    Ok(page.under("Sync jobs", HERE).under(job.name.clone(), here).still())
}

/// The columns that a job names, while its table can't be seen.
fn columns_of(job: &Job) -> Vec<Column> {
    let named = |name: &String| Column {
        name: name.clone(),
        declared: "?".to_owned(),
        nullable: true,
        field_type: None,
        reason: None,
    };
    job.selected_columns.iter().map(named).collect()
}
