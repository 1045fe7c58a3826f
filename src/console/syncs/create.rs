//! A new job, step by step: each has an address that can be passed on, and nothing is written before the last.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::{
    API, HERE, choose,
    draft::{body, proposed},
    form::{EXAMPLES, Form},
    path, preview,
    view::Job,
};
use crate::console::{
    Console,
    api::Refusal,
    backends,
    clients::outline::{outline, samples},
    fields::Fields,
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) async fn show(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    let (Some(client), Some(table)) = (asked.given("client"), asked.given("table")) else {
        return match asked.given("client") {
            None => choose::client(&console, &session).await,
            Some(client) => choose::table(&console, &session, client, asked.text("q")).await,
        };
    };
    let place = (client, asked.given("schema").unwrap_or("public"), table);
    if asked.text("step") != "preview" {
        return shown(&console, &session, place, &asked, None, None).await;
    }
    let preview = async { preview::ask(&console, &session, &body(place, &asked)?, None).await };
    match preview.await {
        Ok(preview) => shown(&console, &session, place, &asked, None, Some(&preview.shown(session.may_act()))).await,
        Err(refusal) => {
            let page = shown(&console, &session, place, &asked, Some(&refusal), None).await?;
            Ok(page.refused(refusal.status))
        }
    }
}

pub(super) async fn create(
    session: Session,
    State(console): State<Console>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let place = (sent.text("client"), sent.given("schema").unwrap_or("public"), sent.text("table"));
    let asked = async { console.api.post::<Job>(&session, API, &body(place, &sent)?).await };
    match asked.await {
        Ok(job) => Ok(notice::see(
            &path(&job.id),
            "The sync job is stored. Its schedule counts from now; “Run now” runs it at once.",
        )),
        Err(refusal) => {
            let page = shown(&console, &session, place, &sent, Some(&refusal), None).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

/// The form: as it was sent, or with a first proposal.
async fn shown(
    console: &Console,
    session: &Session,
    place: (&str, &str, &str),
    sent: &Fields,
    refusal: Option<&Refusal>,
    preview: Option<&Markup>,
) -> Result<Page, Refusal> {
    let (client, schema, table) = place;
    let outline = outline(console, session, place).await?;
    let samples = samples(console, session, place, EXAMPLES).await;
    let backends = backends::all(console, session).await?;
    let first;
    let fields = if sent.is_checked("name") {
        sent
    } else {
        first = proposed(place, &outline);
        &first
    };
    let form = Form {
        at: &format!("{HERE}/new"),
        hidden: &[("client", client), ("schema", schema), ("table", table)],
        columns: &outline.columns,
        samples: samples.as_deref().unwrap_or_default(),
        backends: &backends,
        fields,
        refusal,
        may_act: session.may_act(),
    };
    let body = html! {
        (choose::steps(if preview.is_some() { 3 } else { 2 }))
        p .soft {
            "The " (outline.kind) " " b { (parts::cut(schema, 40)) "." (parts::cut(table, 60)) } " of " b { (parts::cut(client, 60)) }
            @if let Some(rows) = outline.estimated_rows { ", about " (parts::count(rows)) " rows" } "."
        }
        @if let Err(refusal) = &samples { p .hint { "There are no examples: " (refusal.in_a_sentence()) } }
        @if let Some(preview) = preview { (preview) }
        (form.shown())
    };
    Ok(Page::new(Section::Syncs, "Sync a table", body).under("Sync jobs", HERE).still())
}
