//! Mending the document of a letter.

use axum::{
    extract::{Path, State},
    http::Method,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    API, HERE,
    letter::{self, Letter},
};
use crate::console::{
    Console,
    api::{Refusal, segment},
    fields::Fields,
    forms::{self, Field},
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

/// Where a sync job reads.
#[derive(Deserialize)]
struct Source {
    source_client_name: String,
    source_schema_name: String,
    source_table_name: String,
}

/// The document: to be mended where that can be done here.
pub(super) async fn part(
    console: &Console,
    session: &Session,
    letter: &Letter,
    here: &str,
    refusal: Option<&Refusal>,
    document: &str,
) -> Markup {
    if let Some(job) = &letter.sync_job_id {
        let source = console.api.get::<Source>(session, &format!("/typesense/sync-jobs/{}", segment(job))).await.ok();
        return html! {
            (read_only(document))
            p {
                "It is a row of a table: mend it there"
                @if let Some(Source { source_client_name, source_schema_name, source_table_name }) = &source {
                    ", in " b { (parts::cut(&format!("{source_schema_name}.{source_table_name}"), 120)) }
                    " of the client " b { (parts::cut(source_client_name, 60)) }
                }
                ". The next run of the " a href={ "/console/syncs/" (segment(job)) } { "sync job" } " takes it, and this letter goes."
            }
        };
    }
    if !session.may_act() || !matches!(&*letter.operation, "upsert" | "reproject") {
        return read_only(document);
    }
    let lines = document.lines().count().clamp(8, 28);
    html! {
        (forms::refused(refusal, &["document"]))
        form method="post" action={ (here) "/mend" } {
            (Field::area("document", "Document", lines).required().value(document).judged(refusal)
                .hint("JSON, with the same id. It keeps its place in the order: a newer write of the document stands."))
            button .primary type="submit" { "Mend and redrive" }
        }
    }
}

fn read_only(document: &str) -> Markup {
    html! { pre .json tabindex="0" { code { (document) } } }
}

pub(super) async fn mend(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let text = sent.raw("document");
    match put(&console, &session, &id, text).await {
        Ok(()) => Ok(notice::see(&format!("{HERE}/{}", segment(&id)), "Mended, and back in line.")),
        Err(refusal) => {
            // What was typed stays, whatever is wrong with it, and even where the letter is gone.
            let Ok(letter) = letter::find(&console, &session, &id).await else {
                let body = html! {
                    (parts::alert(&refusal.in_a_sentence()))
                    p { "Somebody else has redriven or discarded the letter meanwhile. This is what you have written:" }
                    (read_only(text))
                };
                let page = Page::new(Section::DeadLetters, "Nothing was mended", body).under("Dead letters", HERE);
                return Ok(page.refused(refusal.status).into_response());
            };
            let page = letter::shown(&console, &session, &letter, Some(&refusal), text).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

/// The text goes as it is: parsed and written again, a number could become another.
async fn put(console: &Console, session: &Session, id: &str, text: &str) -> Result<(), Refusal> {
    let document: Box<RawValue> =
        serde_json::from_str(text).map_err(|error| Refusal::of_field("document", format!("not JSON: {error}")))?;
    let body = format!(r#"{{"document":{}}}"#, document.get());
    console.api.answer(session, Method::PUT, &format!("{API}/{}", segment(id)), Some(body)).await.map(drop)
}
