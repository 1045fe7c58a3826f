//! One index.

use axum::extract::{Path, State};
use maud::{Markup, html};
use serde_json::Value;
use uuid::Uuid;

use super::{Embedding, HERE, Index, find, list::drift, versions};
use crate::{
    console::{
        Console,
        api::{Refusal, with_query},
        fields::Fields,
        forms::{self, Field},
        page::{Page, Section},
        parts::{self, Tone},
        session::Session,
    },
    db::status::{self, IndexStatus},
};

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Page, Refusal> {
    let index = find(&console, &session, &id).await?;
    shown(&console, &session, &index, None, &Fields::default()).await
}

/// The page; `refusal` is of what was asked for on it, and `sent` the form that asked.
pub(super) async fn shown(
    console: &Console,
    session: &Session,
    index: &Index,
    refusal: Option<&Refusal>,
    sent: &Fields,
) -> Result<Page, Refusal> {
    let status = match Uuid::try_parse(&index.id) {
        Ok(id) => status::indexes(&console.pool, Some(id)).await?.pop(),
        Err(_) => None,
    };
    let versions = versions::all(console, session, &index.id).await?;
    let path = index.path();
    let body = html! {
        (forms::refused(refusal, &["maxAttempts", "cacheSeconds"]))
        (versions::under_way(session, &path, &versions.items))
        @if let Some(status) = &status { (figures(index, status)) }
        p .acts {
            a .button href=(with_query("/console/search", &[("in", Some(&format!("index:{}", index.id)))])) { "Search it" }
            a .button href=(with_query("/console/jobs", &[("index", Some(&index.id))])) { "Its jobs" }
            a .button href=(with_query("/console/dead-letters", &[("index", Some(&index.id))])) { "Its dead letters" }
        }
        div .cards {
            section .card { h2 { "What it is" } (facts(index, status.as_ref())) }
            section .card { h2 { "Settings" } (settings(session, index, refusal, sent)) }
            section .card { h2 { "Drift" } @if let Some(status) = &status { (checked(session, &path, status)) } }
        }
        h2 { "Fields" }
        (fields(&index.fields))
        h2 { "Versions" }
        (versions::table(session, index, &versions))
    };
    let title = match &status {
        Some(status) => format!("{} / {}", status.organization, status.index),
        None => index.slug.clone(),
    };
    Ok(Page::new(Section::Indexes, title, body).under("Indexes", HERE))
}

fn figures(index: &Index, status: &IndexStatus) -> Markup {
    let letters = with_query("/console/dead-letters", &[("index", Some(&index.id))]);
    let bad = |is_bad: bool, tone| if is_bad { tone } else { Tone::Quiet };
    let figure = |tone, value: &Markup, label, path| parts::figure(tone, value, label, path);
    html! {
        div .figures {
            (figure(Tone::Quiet, &html! { (parts::count(status.documents)) }, "documents", None))
            (figure(bad(status.backlog > 0, Tone::Busy), &html! { (parts::count(status.backlog)) }, "writes waiting", None))
            (figure(Tone::Quiet, &parts::time_if(status.oldest_enqueued_at), "oldest of them", None))
            (figure(bad(status.retries_due + status.retries_waiting > 0, Tone::Warn), &html! { (parts::counted(status.retries_due + status.retries_waiting)) }, "being retried", None))
            (figure(bad(status.dead_letters > 0, Tone::Bad), &html! { (parts::counted(status.dead_letters)) }, "dead letters", Some(&letters)))
            (figure(Tone::Quiet, &html! { (status.version) }, "live version", None))
        }
    }
}

fn facts(index: &Index, status: Option<&IndexStatus>) -> Markup {
    let organization = status.map_or(&index.organization_id, |status| &status.organization);
    html! {
        dl .facts {
            dt { "Organization" } dd { a href={ "/console/organizations/" (organization) } { (organization) } }
            dt { "Id" } dd { code { (index.id) } }
            dt { "Alias" } dd { code { (index.alias) } }
            dt { "Collection" } dd { @match &index.collection { Some(name) => code { (name) }, None => span .soft { "made with the first write" } } }
            dt { "Sorted by" } dd { @match &index.default_sorting_field { Some(name) => (parts::cut(name, 60)), None => (parts::dash()) } }
            dt { "By meaning" } dd { (embedding(index.embedding.as_ref())) }
            dt { "Made" } dd { (parts::time(index.created_at)) }
        }
    }
}

/// What documents are embedded from, in a few words.
pub(super) fn embedding(embedding: Option<&Embedding>) -> Markup {
    html! {
        @match embedding {
            None => span .soft { "no vectors" },
            Some(of) => { (parts::cut(&of.from.join(", "), 80)) " by " code { (of.model) } ", " @if of.outage == "skip" { "without a vector while it is away" } @else { "waits while it is away" } }
        }
    }
}

fn settings(session: &Session, index: &Index, refusal: Option<&Refusal>, sent: &Fields) -> Markup {
    let (attempts, seconds) = (index.max_attempts.to_string(), index.cache_seconds.to_string());
    let shown = |name, now| if sent.is_checked(name) { sent.text(name) } else { now };
    html! {
        @if session.may_act() {
            form method="post" action={ (index.path()) "/settings" } {
                (Field::number("cacheSeconds", "Seconds that an answer may be given again").required().value(shown("cacheSeconds", &seconds)).hint("0: never; 60 at most").judged(refusal))
                (Field::number("maxAttempts", "Attempts before a document is a dead letter").required().value(shown("maxAttempts", &attempts)).judged(refusal))
                button type="submit" { "Save" }
            }
        } @else {
            dl .facts { dt { "Answers are kept" } dd { (seconds) " s" } dt { "Attempts" } dd { (attempts) } }
        }
    }
}

fn checked(session: &Session, path: &str, status: &IndexStatus) -> Markup {
    let check = &status.check;
    let verify = format!("{path}/verify");
    html! {
        p { "Whether the collection holds what was written." }
        dl .facts {
            dt { "Found" } dd { (drift(check)) }
            dt { "Checked" } dd { (parts::time_if(check.checked_at)) }
            @if let Some(error) = &check.error { dt { "Since then" } dd { (parts::cut(error, 300)) } }
        }
        @if session.may_act() {
            div .acts {
                (forms::button("Check now", &verify, &[]))
                (forms::confirmed("Check and repair", "Whatever differs is written or deleted again.", &verify, &[("repair", "true")]))
            }
        }
    }
}

/// The fields of a schema.
pub(super) fn fields(fields: &[Value]) -> Markup {
    let more = |field: &Value| {
        let all =
            field.as_object().into_iter().flatten().filter(|(name, _)| !["name", "type"].contains(&name.as_str()));
        let told = all.map(|(name, value)| if value == true { name.clone() } else { format!("{name}: {value}") });
        told.collect::<Vec<_>>().join(", ")
    };
    html! {
        div .scroll tabindex="0" role="region" aria-label="Fields" {
            table {
                thead { tr { th { "Name" } th { "Type" } th { "Properties" } } }
                tbody {
                    @for field in fields {
                        @let name = field["name"].as_str().unwrap_or_default();
                        tr data-key=(name) {
                            th scope="row" { (parts::cut(name, 60)) }
                            td { code { (field["type"].as_str().unwrap_or_default()) } }
                            td { (parts::cut(&more(field), 200)) }
                        }
                    }
                }
            }
        }
    }
}
