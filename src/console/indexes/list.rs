//! All indexes, those that want attention seen at a glance.

use axum::extract::State;
use maud::{Markup, html};

use super::{HERE, path};
use crate::{
    console::{
        Console,
        api::{Refusal, with_query},
        fields::Fields,
        forms::Field,
        page::{Page, Section},
        parts::{self, Tone},
        session::Session,
    },
    db::status::{self, CheckStatus, IndexStatus},
};

/// As many are shown at once.
const SHOWN: usize = 200;

pub(super) async fn show(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    let (organization, name) = (asked.text("organization"), asked.text("name"));
    let is_wanted = |index: &IndexStatus| {
        (organization.is_empty() || index.organization == organization) && index.index.contains(name)
    };
    let all = status::indexes(&console.pool, None).await?;
    let mut organizations: Vec<&str> = all.iter().map(|index| index.organization.as_str()).collect();
    organizations.dedup();
    let found: Vec<&IndexStatus> = all.iter().filter(|index| is_wanted(index)).collect();
    let new = with_query("/console/indexes/new", &[("organization", Some(organization))]);
    let body = html! {
        form .filters method="get" action=(HERE) {
            (Field::choice("organization", "Organization", &choices(&organizations)).value(organization))
            (Field::text("name", "Slug").value(name))
            button type="submit" { "Show" }
            @if session.may_act() { a .button.primary href=(new) { "New index" } }
        }
        @if found.is_empty() {
            (parts::empty(if all.is_empty() { "There are no indexes yet." } else { "No index is like that." }))
        } @else {
            div .scroll tabindex="0" role="region" aria-label="Indexes" {
                table {
                    thead {
                        tr {
                            th { "Index" } th .number { "Documents" } th .number { "Backlog" } th { "Oldest write waiting" }
                            th .number { "Dead letters" } th .number { "Live version" } th { "Drift" } th { "Checked" }
                        }
                    }
                    tbody { @for index in found.iter().take(SHOWN) { (row(index)) } }
                }
            }
            @if found.len() > SHOWN { p .hint { (found.len() - SHOWN) " more: narrow them down above." } }
        }
    };
    Ok(Page::new(Section::Indexes, "Indexes", body))
}

fn choices<'a>(organizations: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    [("", "all")].into_iter().chain(organizations.iter().map(|slug| (*slug, *slug))).collect()
}

fn row(index: &IndexStatus) -> Markup {
    let id = index.id.to_string();
    let letters = with_query("/console/dead-letters", &[("index", Some(&id))]);
    html! {
        tr data-key=(id) {
            th scope="row" { a href=(path(&id)) { (index.organization) " / " (index.index) } }
            td .number { (parts::count(index.documents)) }
            td .number { (parts::count(index.backlog)) }
            td { (parts::time_if(index.oldest_enqueued_at)) }
            td .number { @if index.dead_letters == 0 { "0" } @else { a href=(letters) { (parts::counted(index.dead_letters)) } } }
            td .number { (index.version) }
            td { (drift(&index.check)) }
            td { (parts::time_if(index.check.checked_at)) }
        }
    }
}

/// How an index compared with its collection.
pub(super) fn drift(check: &CheckStatus) -> Markup {
    let counts = [(check.missing, "missing"), (check.extra, "too many"), (check.stale, "stale")];
    let told = counts.into_iter().filter_map(|(count, word)| Some((count.filter(|count| *count > 0)?, word)));
    let told: Vec<String> = told.map(|(count, word)| format!("{} {word}", parts::count(count))).collect();
    html! {
        @if check.error.is_some() { (parts::badge(Tone::Warn, "check failed")) " " }
        @if check.checked_at.is_none() { @if check.error.is_none() { (parts::badge(Tone::Quiet, "not checked")) } }
        @else if told.is_empty() { (parts::badge(Tone::Good, "none")) }
        @else { (parts::badge(Tone::Bad, &told.join(", "))) }
    }
}
