//! Adding a backend, and changing one.

use axum::{
    extract::{Path, State},
    http::Method,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{API, Backend, HERE, path, test};
use crate::console::{
    Console,
    api::{Refusal, segment},
    fields::Fields,
    forms::{self, Field},
    notice,
    page::{Page, Section},
    session::Session,
};

const SHOWN: [&str; 5] = ["name", "base_url", "api_key", "search_api_key", "timeout_ms"];

/// What a form is about.
#[derive(Clone, Copy)]
enum About<'a> {
    New,
    Stored(&'a Backend),
}

pub(super) async fn new(session: Session) -> Page {
    let first = [("timeout_ms", "10000")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    page(&session, About::New, &first.into_iter().collect(), None, None)
}

pub(super) async fn edit(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Page, Refusal> {
    let backend = stored(&console, &session, &id).await?;
    let now = [
        ("name", backend.name.clone()),
        ("base_url", backend.base_url.clone()),
        ("further_urls", backend.further_urls.join("\n")),
        ("timeout_ms", backend.timeout_ms.to_string()),
    ];
    let now = now.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(page(&session, About::Stored(&backend), &now, None, None))
}

pub(super) async fn create(session: Session, State(console): State<Console>, fields: Fields) -> Response {
    let asked = async { console.api.post::<Backend>(&session, API, &body(&fields, About::New)?).await };
    match asked.await {
        Ok(backend) => notice::see(&path(&backend.id), "The backend is stored."),
        Err(refusal) => {
            page(&session, About::New, &fields, Some(&refusal), None).refused(refusal.status).into_response()
        }
    }
}

pub(super) async fn update(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let backend = stored(&console, &session, &id).await?;
    let about = About::Stored(&backend);
    let at = format!("{API}/{}", segment(&id));
    let asked = async { console.api.send::<Backend>(&session, Method::PATCH, &at, &body(&fields, about)?).await };
    Ok(match asked.await {
        Ok(backend) => notice::see(&path(&backend.id), "The backend is changed."),
        Err(refusal) => page(&session, about, &fields, Some(&refusal), None).refused(refusal.status).into_response(),
    })
}

pub(super) async fn test_new(session: Session, State(console): State<Console>, fields: Fields) -> Page {
    let told = typed(&console, &session, &fields).await;
    page(&session, About::New, &fields, None, Some(&told)).still()
}

/// With a key that is typed, what is typed is tested; else what is stored.
pub(super) async fn test_changed(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Page, Refusal> {
    let backend = stored(&console, &session, &id).await?;
    let told = match fields.given("api_key") {
        Some(_) => typed(&console, &session, &fields).await,
        None => html! {
            p .hint { "Tested with the stored address and key, for no key is typed." }
            (test::told(&console, &session, &json!({ "profile_id": id })).await)
        },
    };
    Ok(page(&session, About::Stored(&backend), &fields, None, Some(&told)).still())
}

async fn stored(console: &Console, session: &Session, id: &str) -> Result<Backend, Refusal> {
    console.api.get(session, &format!("{API}/{}", segment(id))).await
}

/// Each address that is typed, tested.
async fn typed(console: &Console, session: &Session, fields: &Fields) -> Markup {
    let mut told = vec![];
    for url in std::iter::once(fields.text("base_url")).chain(further_urls(fields)) {
        let mut target = json!({ "base_url": url, "api_key": fields.text("api_key") });
        if let Ok(Some(timeout)) = fields.number("timeout_ms") {
            target["timeout_ms"] = json!(timeout);
        }
        told.push(test::told(console, session, &target).await);
    }
    html! { @for told in told { (told) } }
}

fn further_urls(fields: &Fields) -> impl Iterator<Item = &str> {
    fields.raw("further_urls").lines().map(str::trim).filter(|url| !url.is_empty())
}

/// What the API is sent. Of a stored backend a key that is not typed stays as it is.
fn body(fields: &Fields, about: About<'_>) -> Result<Value, Refusal> {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(fields.text("name")));
    body.insert("base_url".to_owned(), json!(fields.text("base_url")));
    body.insert("further_urls".to_owned(), further_urls(fields).collect());
    if let Some(timeout) = fields.number("timeout_ms")? {
        body.insert("timeout_ms".to_owned(), json!(timeout));
    }
    let is_new = matches!(about, About::New);
    if let Some(key) = fields.given("api_key").or(is_new.then_some("")) {
        body.insert("api_key".to_owned(), json!(key));
    }
    if fields.is_checked("no_search_key") {
        body.insert("search_api_key".to_owned(), Value::Null);
    } else if let Some(key) = fields.given("search_api_key") {
        body.insert("search_api_key".to_owned(), json!(key));
    }
    Ok(Value::Object(body))
}

fn page(
    session: &Session,
    about: About<'_>,
    fields: &Fields,
    refusal: Option<&Refusal>,
    told: Option<&Markup>,
) -> Page {
    let (title, at, stays) = match about {
        About::New => ("Add a backend".to_owned(), format!("{HERE}/new"), ""),
        About::Stored(backend) => {
            (format!("Change {}", backend.name), path(&backend.id) + "/edit", "; empty: it stays as it is")
        }
    };
    let key_hint = format!("may do everything with collections, aliases and documents; never shown again{stays}");
    let search_hint = format!("used for searches alone, in place of the key{stays}");
    let key = Field::secret("api_key", "Key").value(fields.text("api_key")).hint(&key_hint).judged(refusal);
    let further: Vec<_> = refusal
        .iter()
        .flat_map(|refusal| &refusal.faults)
        .filter(|fault| fault.field.starts_with("further_urls"))
        .collect();
    let body = html! {
        (forms::refused(refusal, &SHOWN))
        @if let Some(told) = told { (told) }
        form method="post" action=(at) {
            (Field::text("name", "Name").required().value(fields.text("name")).judged(refusal))
            (Field::text("base_url", "Address").required().value(fields.text("base_url")).judged(refusal)
                .hint("of the node that is asked first, such as https://search.example.com:8108"))
            (Field::area("further_urls", "Further nodes", 2).value(fields.raw("further_urls"))
                .hint("one address a line: they take the first one's place while it is away"))
            @for fault in further { p .fault { (fault.message) } }
            @match about { About::New => (key.required()), About::Stored(_) => (key) }
            (Field::secret("search_api_key", "Search key").value(fields.text("search_api_key")).hint(&search_hint).judged(refusal))
            @if let About::Stored(Backend { has_search_key: true, .. }) = about {
                p { (forms::checkbox("no_search_key", "yes", "Forget the search key", fields.is_checked("no_search_key"))) }
            }
            (Field::number("timeout_ms", "Timeout, milliseconds").value(fields.text("timeout_ms")).hint("of one call").judged(refusal))
            @if session.may_act() {
                div .acts {
                    button .primary type="submit" { "Save" }
                    button type="submit" formaction={ (at) "/test" } { "Test what is typed" }
                }
            }
        }
    };
    let page = Page::new(Section::Backends, title, body).under("Backends", HERE).still();
    match about {
        About::New => page,
        About::Stored(backend) => page.under(backend.name.clone(), path(&backend.id)),
    }
}
