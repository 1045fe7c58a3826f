//! All organizations, and making one.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use maud::html;
use serde_json::json;

use super::{HERE, Organization, choices, plan_names, plans};
use crate::console::{
    Console,
    api::{List, Refusal, with_query},
    fields::Fields,
    forms::{self, Field},
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) async fn show(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    shown(&console, &session, asked.given("cursor"), None, &Fields::default()).await
}

async fn shown(
    console: &Console,
    session: &Session,
    cursor: Option<&str>,
    refusal: Option<&Refusal>,
    sent: &Fields,
) -> Result<Page, Refusal> {
    let all: List<Organization> =
        console.api.get(session, &with_query("/v1/organizations", &[("cursor", cursor)])).await?;
    let next = all.next_cursor.as_deref().map(|cursor| with_query(HERE, &[("cursor", Some(cursor))]));
    let names = plan_names(console, session).await?;
    let plan = sent.given("plan").unwrap_or("free");
    let body = html! {
        p .acts { a .button href=(plans::HERE) { "Plans" } }
        @if session.may_act() {
            (forms::refused(refusal, &["slug", "name", "plan"]))
            form .filters method="post" action=(HERE) {
                (Field::text("slug", "Slug").required().value(sent.text("slug")).judged(refusal))
                (Field::text("name", "Name").required().value(sent.text("name")).judged(refusal))
                (Field::choice("plan", "Plan", &choices(&names)).required().value(plan).judged(refusal))
                button .primary type="submit" { "Make an organization" }
            }
        }
        @if all.items.is_empty() { (parts::empty("There are no organizations yet.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Organizations" {
                table {
                    thead { tr { th { "Slug" } th { "Name" } th { "Plan" } th { "Beyond the plan" } th { "Made" } } }
                    tbody {
                        @for organization in &all.items {
                            tr data-key=(organization.id) {
                                th scope="row" { a href=(organization.path()) { (organization.slug) } }
                                td { (parts::cut(&organization.name, 60)) }
                                td { (organization.plan) }
                                td { @if organization.overage_enabled { "from the wallet" } @else { "refused" } }
                                td { (parts::time(organization.created_at)) }
                            }
                        }
                    }
                }
            }
            (parts::next(next.as_deref()))
        }
    };
    Ok(Page::new(Section::Organizations, "Organizations", body))
}

pub(super) async fn create(
    session: Session,
    State(console): State<Console>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let body = json!({ "slug": sent.text("slug"), "name": sent.text("name"), "plan": sent.text("plan") });
    match console.api.post::<Organization>(&session, "/v1/organizations", &body).await {
        Ok(made) => Ok(notice::see(&made.path(), "The organization is made.")),
        Err(refusal) => {
            let page = shown(&console, &session, None, Some(&refusal), &sent).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}
