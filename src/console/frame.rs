//! What is around every page: head, menu, and the word on what was just done.

use axum::{
    extract::Request,
    http::header,
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};

use super::{
    assets, notice,
    page::{Page, Section},
    parts::icon,
    session::{Role, Session},
};

/// Asks for the middle of a page alone, to keep it up.
pub(super) const PART: &str = "x-console-part";

/// A place of the menu: its name, its address and its sign.
type Place = (Section, &'static str, &'static str, &'static str);

const MENU: [(&str, &[Place]); 3] = [
    (
        "Watch",
        &[
            (Section::Overview, "Overview", "/console", "pulse"),
            (Section::DeadLetters, "Dead letters", "/console/dead-letters", "letter"),
            (Section::Jobs, "Jobs", "/console/jobs", "list"),
        ],
    ),
    (
        "Search",
        &[
            (Section::Search, "Live search", "/console/search", "search"),
            (Section::Indexes, "Indexes", "/console/indexes", "layers"),
            (Section::Organizations, "Organizations", "/console/organizations", "people"),
        ],
    ),
    (
        "Sync",
        &[
            (Section::Syncs, "Sync jobs", "/console/syncs", "sync"),
            (Section::Clients, "Clients", "/console/clients", "database"),
            (Section::Backends, "Backends", "/console/backends", "server"),
            (Section::GatewayKeys, "Gateway keys", "/console/gateway-keys", "key"),
        ],
    ),
];

/// Puts the frame on what a handler gave.
pub(super) async fn put_on(session: Session, request: Request, next: Next) -> Response {
    let is_part = request.headers().contains_key(PART);
    let notice = notice::of(request.headers()).filter(|_| !is_part);
    let mut response = next.run(request).await;
    let Some(page) = response.extensions_mut().remove::<Page>() else { return response };
    if is_part {
        return (page.status, Html(middle(&page).into_string())).into_response();
    }
    let was_told = notice.is_some();
    let mut response = framed(&session, notice, page).into_response();
    if let (true, Some(forget)) = (was_told, notice::forget()) {
        response.headers_mut().append(header::SET_COOKIE, forget);
    }
    response
}

/// A whole page.
pub(super) fn framed(session: &Session, notice: Option<String>, page: Page) -> impl IntoResponse + use<> {
    let body = html! {
        a .skip href="#main" { "Skip to the content" }
        div .shell {
            header .bar {
                a .brand href="/console" aria-label="Tidewell" { (icon("wave")) span { "Tidewell" } }
                details .menu {
                    summary aria-label="Menu" { (icon("menu")) }
                    (menu("Menu", page.section))
                }
                div .who {
                    span .connection #connection role="status" hidden { "Connection lost: trying again" }
                    button .plain type="button" #theme aria-label="Light or dark" title="Light or dark" { (icon("theme")) }
                    span .name title=(who(session).1) { (who(session).0) }
                    form method="post" action="/console/sign-out" { button .plain type="submit" { "Sign out" } }
                }
            }
            div .side { (menu("Sections", page.section)) }
            div .content {
                @if let Some(notice) = &notice { p .notice.good role="status" { (notice) } }
                (middle(&page))
            }
        }
    };
    (page.status, Html(document(&page.title, &body).into_string()))
}

/// The part of a page that is kept up.
fn middle(page: &Page) -> Markup {
    html! {
        main #main tabindex="-1" data-live[page.is_live] {
            @if !page.trail.is_empty() {
                nav .trail aria-label="Where this is" {
                    @for (title, path) in &page.trail { a href=(path) { bdi { (title) } } span aria-hidden="true" { "/" } }
                }
            }
            h1 { bdi { (page.title) } }
            (page.body)
        }
    }
}

fn menu(label: &str, here: Option<Section>) -> Markup {
    html! {
        nav aria-label=(label) {
            @for (group, places) in MENU {
                p .group { (group) }
                ul {
                    @for (section, name, path, sign) in places {
                        li { a href=(path) aria-current=[(here == Some(*section)).then_some("page")] { (icon(sign)) (name) } }
                    }
                }
            }
        }
    }
}

/// A name, and what whoever bears it may do.
fn who(session: &Session) -> (&str, &str) {
    let (role, may) = match session.role {
        Role::Operator => ("operator", "signed in with the operator key"),
        Role::Viewer => ("viewer", "signed in to look: changes nothing"),
    };
    (session.name.as_deref().unwrap_or(role), may)
}

/// The document around any body.
pub(super) fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Tidewell" }
                link rel="icon" href=(assets::ICON.path()) type="image/svg+xml";
                link rel="stylesheet" href=(assets::STYLE.path());
                script src=(assets::THEME.path()) {}
                script src=(assets::SCRIPT.path()) defer {}
            }
            body { (body) }
        }
    }
}
