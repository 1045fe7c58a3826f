//! Making an index.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use maud::html;

use super::{
    HERE, Index,
    schema::{Draft, SHOWN},
};
use crate::console::{
    Console,
    api::{List, Refusal, segment},
    fields::Fields,
    forms::{self, Field},
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) async fn form(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    shown(&console, &session, &asked, &Draft::new(), None).await
}

async fn shown(
    console: &Console,
    session: &Session,
    sent: &Fields,
    draft: &Draft,
    refusal: Option<&Refusal>,
) -> Result<Page, Refusal> {
    #[derive(serde::Deserialize)]
    struct Organization {
        slug: String,
    }
    let all: List<Organization> = console.api.get(session, "/v1/organizations?limit=250").await?;
    let mut slugs: Vec<&str> = all.items.iter().map(|organization| organization.slug.as_str()).collect();
    // It may be beyond the first 250.
    slugs.extend(sent.given("organization").filter(|asked| !all.items.iter().any(|one| one.slug == *asked)));
    slugs.sort_unstable();
    let choices: Vec<(&str, &str)> = slugs.iter().map(|slug| (*slug, *slug)).collect();
    let body = html! {
        @if choices.is_empty() { (parts::empty("An index belongs to an organization, and there is none yet.")) }
        @else {
            (forms::refused(refusal, &[&SHOWN[..], &["maxAttempts", "cacheSeconds"]].concat()))
            form method="post" action="/console/indexes/new" {
                (Field::choice("organization", "Organization", &choices).required().value(sent.text("organization")))
                (Field::text("slug", "Slug").required().value(sent.text("slug")).judged(refusal)
                    .hint("up to 48 lower-case letters, digits, hyphens and underscores"))
                (draft.shown(refusal))
                (Field::number("maxAttempts", "Attempts before a document is a dead letter").value(sent.text("maxAttempts")).judged(refusal).hint("8 where left out"))
                (Field::number("cacheSeconds", "Seconds that an answer may be given again").value(sent.text("cacheSeconds")).judged(refusal).hint("0, never, where left out"))
                button .primary type="submit" { "Make the index" }
            }
        }
    };
    Ok(Page::new(Section::Indexes, "New index", body).under("Indexes", HERE).still())
}

pub(super) async fn create(
    session: Session,
    State(console): State<Console>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let draft = Draft::sent(&sent);
    if sent.is_checked("more") {
        return Ok(shown(&console, &session, &sent, &draft, None).await?.into_response());
    }
    match made(&console, &session, &sent, &draft).await {
        Ok(index) => Ok(notice::see(&index.path(), "The index is made. Its collection is made with the first write.")),
        Err(refusal) => {
            let page = shown(&console, &session, &sent, &draft, Some(&refusal)).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

async fn made(console: &Console, session: &Session, sent: &Fields, draft: &Draft) -> Result<Index, Refusal> {
    let mut body = draft.body()?;
    body.insert("slug".to_owned(), json!(sent.text("slug")));
    for name in ["maxAttempts", "cacheSeconds"] {
        if let Some(number) = sent.number(name)? {
            body.insert(name.to_owned(), json!(number));
        }
    }
    let path = format!("/v1/organizations/{}/indexes", segment(sent.text("organization")));
    console.api.post(session, &path, &Value::Object(body)).await
}
