//! One organization.

use axum::{
    extract::{Path, State},
    http::Method,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{HERE, Index, Organization, api, choices, find, indexes, keys, plan_names, plans, usage};
use crate::console::{
    Console,
    api::{List, Refusal, segment, with_query},
    fields::Fields,
    forms::{self, Field},
    notice,
    page::{Page, Section},
    parts,
    session::Session,
};

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path(org): Path<String>,
    asked: Fields,
) -> Result<Page, Refusal> {
    let organization = find(&console, &session, &org).await?;
    shown(&console, &session, &organization, asked.given("keys"), None, &Fields::default()).await
}

async fn shown(
    console: &Console,
    session: &Session,
    organization: &Organization,
    keys_cursor: Option<&str>,
    refusal: Option<&Refusal>,
    sent: &Fields,
) -> Result<Page, Refusal> {
    let org = &organization.id;
    let used = usage::of(console, session, org).await?;
    let indexes = indexes(console, session, org).await?;
    let keys = keys::all(console, session, org, keys_cursor).await?;
    let names = plan_names(console, session).await?;
    let path = organization.path();
    let body = html! {
        (forms::refused(refusal, &["name", "plan", "amountMinor"]))
        div .cards {
            section .card { h2 { "This month, against the plan " (organization.plan) } (usage::picture(&used)) }
            section .card {
                h2 { "Wallet" }
                dl .facts {
                    dt { "Free" } dd { (parts::count(used.wallet_minor)) " minor units" }
                    dt { "Set aside" } dd { (parts::count(used.wallet_reserved_minor)) " for searches to come" }
                    dt { "Beyond the plan" } dd { @if organization.overage_enabled { "writes and searches are paid from it" } @else { "writes and searches are refused" } }
                }
                @if session.may_act() {
                    form .filters method="post" action={ (path) "/wallet" } {
                        (Field::number("amountMinor", "Add, in minor units").required().value(sent.text("amountMinor")).judged(refusal))
                        button type="submit" { "Top up" }
                    }
                }
            }
            @if session.may_act() { section .card { h2 { "Settings" } (settings(organization, &names, refusal, sent)) } }
        }
        h2 { "Keys" }
        (keys::table(session, &path, &keys, &indexes.items))
        h2 { "Indexes" }
        (index_table(session, organization, &indexes))
    };
    let page = Page::new(Section::Organizations, organization.name.chars().take(100).collect::<String>(), body);
    Ok(page.under("Organizations", HERE))
}

/// As they are, or as they were `sent`.
fn settings(organization: &Organization, plans: &[String], refusal: Option<&Refusal>, sent: &Fields) -> Markup {
    let (name, plan, overage) = match sent.is_checked("plan") {
        true => (sent.text("name"), sent.text("plan"), sent.is_checked("overageEnabled")),
        false => (&*organization.name, &*organization.plan, organization.overage_enabled),
    };
    html! {
        form method="post" action={ (organization.path()) "/settings" } {
            (Field::text("name", "Name").required().value(name).judged(refusal))
            (Field::choice("plan", "Plan", &choices(plans)).required().value(plan).judged(refusal))
            p { (forms::checkbox("overageEnabled", "true", "Beyond the plan, pay from the wallet", overage)) }
            div .acts {
                button type="submit" { "Save" }
                a .button href=(with_query(plans::HERE, &[("plan", Some(&organization.plan))])) { "The plan" }
            }
        }
    }
}

fn index_table(session: &Session, organization: &Organization, indexes: &List<Index>) -> Markup {
    let org = Some(organization.slug.as_str());
    html! {
        div .acts {
            @if session.may_act() { a .button.primary href=(with_query("/console/indexes/new", &[("organization", org)])) { "New index" } }
            a .button href=(with_query("/console/indexes", &[("organization", org)])) { "How they are doing" }
        }
        @if indexes.items.is_empty() { (parts::empty("It has no indexes yet.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Indexes" {
                table {
                    thead { tr { th { "Index" } th .number { "Live version" } th { "Made" } } }
                    tbody {
                        @for index in &indexes.items {
                            tr data-key=(index.id) {
                                th scope="row" { a href={ "/console/indexes/" (segment(&index.id)) } { (index.slug) } }
                                td .number { (index.version) }
                                td { (parts::time(index.created_at)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) async fn update(
    session: Session,
    State(console): State<Console>,
    Path(org): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let organization = find(&console, &session, &org).await?;
    let body = json!({
        "name": sent.text("name"), "plan": sent.text("plan"), "overageEnabled": sent.is_checked("overageEnabled"),
    });
    match console.api.send::<Value>(&session, Method::PATCH, &api(&organization.id, ""), &body).await {
        Ok(_) => Ok(notice::see(&organization.path(), "The settings are saved.")),
        Err(refusal) => {
            let page = shown(&console, &session, &organization, None, Some(&refusal), &sent).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}

pub(super) async fn top_up(
    session: Session,
    State(console): State<Console>,
    Path(org): Path<String>,
    sent: Fields,
) -> Result<Response, Refusal> {
    let organization = find(&console, &session, &org).await?;
    let added = match sent.number("amountMinor") {
        Ok(amount) => {
            let body = json!({ "amountMinor": amount.unwrap_or(0) });
            console.api.post::<Value>(&session, &api(&organization.id, "/wallet:topUp"), &body).await
        }
        Err(refusal) => Err(refusal),
    };
    match added {
        Ok(_) => Ok(notice::see(
            &organization.path(),
            &format!("{} minor units are in the wallet.", sent.text("amountMinor")),
        )),
        Err(refusal) => {
            let page = shown(&console, &session, &organization, None, Some(&refusal), &sent).await?;
            Ok(page.refused(refusal.status).into_response())
        }
    }
}
