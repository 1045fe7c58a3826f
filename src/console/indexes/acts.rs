//! What can be done to an index from its page.

use axum::{
    extract::{Path, State},
    http::Method,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{HERE, Index, Reindex, find, show};
use crate::console::{
    Console,
    api::{Refusal, segment},
    fields::Fields,
    notice,
    page::{Page, Section},
    parts::{self, Tone},
    session::Session,
};

pub(super) async fn update(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let index = find(&console, &session, &id).await?;
    let numbers = || -> Result<Value, Refusal> {
        let mut body = Map::new();
        for name in ["maxAttempts", "cacheSeconds"] {
            body.insert(name.to_owned(), json!(sent.number(name)?));
        }
        Ok(Value::Object(body))
    };
    let changed = match numbers() {
        Ok(body) => console.api.send::<Value>(&session, Method::PATCH, &api(&index, ""), &body).await,
        Err(refusal) => Err(refusal),
    };
    match changed {
        Ok(_) => Ok(notice::see(&index.path(), "The settings are saved.")),
        Err(refusal) => {
            let page = show::shown(&console, &session, &index, Some(&refusal), &sent).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

/// Builds the index anew as it is.
pub(super) async fn rebuild(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    begin(&console, &session, &id, "reindex", &json!({ "rebuild": true })).await
}

pub(super) async fn roll_back(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    begin(&console, &session, &id, "rollback", &json!({ "version": sent.number("version")? })).await
}

pub(super) async fn cancel(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let index = find(&console, &session, &id).await?;
    match console.api.post::<Value>(&session, &api(&index, ":cancelReindex"), &json!({})).await {
        Ok(_) => Ok(notice::see(&index.path(), "Its end is asked for.")),
        Err(refusal) => refused(&console, &session, &index, &refusal).await,
    }
}

async fn begin(console: &Console, session: &Session, id: &str, verb: &str, body: &Value) -> Result<Response, Refusal> {
    let index = find(console, session, id).await?;
    match queue(console, session, &index, verb, body).await {
        Ok(response) => Ok(response),
        Err(refusal) => refused(console, session, &index, &refusal).await,
    }
}

/// Has the API queue a reindex or a rollback, and shows the index, where it can be watched.
pub(super) async fn queue(
    console: &Console,
    session: &Session,
    index: &Index,
    verb: &str,
    body: &Value,
) -> Result<Response, Refusal> {
    let queued: Reindex = console.api.post(session, &api(index, &format!(":{verb}")), body).await?;
    let done = match &*queued.kind {
        "in_place" => format!("Fields are being added to version {}.", queued.version),
        "rollback" => format!("Version {} is being put back.", queued.version),
        _ => format!("Version {} is being built.", queued.version),
    };
    Ok(notice::see(&index.path(), &done))
}

async fn refused(console: &Console, session: &Session, index: &Index, refusal: &Refusal) -> Result<Response, Refusal> {
    let page = show::shown(console, session, index, Some(refusal), &Fields::default()).await?;
    Ok(page.refused(refusal.status).into_response())
}

fn api(index: &Index, verb: &str) -> String {
    format!("/v1/indexes/{}{verb}", segment(&index.id))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Drift {
    documents: i64,
    missing: i64,
    extra: i64,
    stale: i64,
    pending: i64,
    repaired: i64,
    samples: Samples,
    checked_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Samples {
    missing: Vec<String>,
    extra: Vec<String>,
    stale: Vec<String>,
}

pub(super) async fn verify(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let index = find(&console, &session, &id).await?;
    let body = json!({ "repair": sent.is_checked("repair") });
    match console.api.post::<Drift>(&session, &api(&index, ":verify"), &body).await {
        Ok(drift) => {
            let page = Page::new(Section::Indexes, "Drift", found(&drift));
            Ok(page.under("Indexes", HERE).under(&index.slug, index.path()).still().into_response())
        }
        Err(refusal) => refused(&console, &session, &index, &refusal).await,
    }
}

fn found(drift: &Drift) -> Markup {
    let (missing, extra, stale) = (&drift.samples.missing, &drift.samples.extra, &drift.samples.stale);
    let all = [("missing", drift.missing, missing), ("too many", drift.extra, extra), ("stale", drift.stale, stale)];
    let tone = |count: i64| if count > 0 { Tone::Bad } else { Tone::Good };
    html! {
        p { "Compared " (parts::time(drift.checked_at)) ". Of " (parts::count(drift.documents)) " documents that the index should hold, these differ in its collection." }
        div .figures {
            @for (word, count, _) in all { (parts::figure(tone(count), &html! { (parts::count(count)) }, word, None)) }
            (parts::figure(Tone::Quiet, &html! { (parts::count(drift.pending)) }, "being written: not judged", None))
            (parts::figure(Tone::Quiet, &html! { (parts::count(drift.repaired)) }, "written or deleted again", None))
        }
        @for (word, _, ids) in all {
            @if !ids.is_empty() {
                h2 { "Documents that are " (word) }
                ul { @for id in ids { li { (parts::cut(id, 100)) } } }
            }
        }
    }
}
