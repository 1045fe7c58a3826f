//! The page of a search.

use maud::{Markup, html};
use serde_json::Value;

use super::{
    HERE, Outcome,
    answer::{Facet, Found, Hit},
    marks,
    question::Question,
    target::{Kind, Target},
};
use crate::console::{forms::Field, parts};

/// Characters of a field's text that a hit shows.
const SHOWN_CHARS: usize = 300;
/// Fields that a hit shows where nothing is marked.
const SHOWN_FIELDS: usize = 4;
/// Pages end here, as they do for everybody.
const DEEPEST: u64 = 10_000;

pub(super) fn without_target(targets: &[Target]) -> Markup {
    match targets.is_empty() {
        true => parts::empty("There is no index and no sync job yet: make one, and it can be searched here."),
        false => html! {
            (parts::alert("There is no such index or sync job any more."))
            p { a href=(HERE) { "Search another" } }
        },
    }
}

pub(super) fn searched(targets: &[Target], target: &Target, question: &Question, outcome: &Outcome) -> Markup {
    html! {
        @if matches!(target.kind(), Kind::Index) {
            p .soft { "Each search here is a unit of the organization's month, as any other." }
        }
        (form(targets, target, question))
        div #results {
            @match &outcome.found {
                Ok(found) => (results(target, question, found, outcome.seconds)),
                Err(refusal) => (parts::alert(&refusal.in_a_sentence())),
            }
            @if let Some(command) = &outcome.command {
                h2 { "The same search by the API" }
                (parts::copied(command, "the command"))
            }
        }
    }
}

fn form(targets: &[Target], target: &Target, question: &Question) -> Markup {
    let hint = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("{what}{}", names.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ")),
    };
    let (texts, facets) = (hint("left out: ", &target.texts), hint("of ", &target.facets));
    let sorts = if target.sorts.is_empty() { String::new() } else { format!("such as {}:desc", target.sorts[0]) };
    let modes = [("", "by words"), ("vector", "by meaning"), ("hybrid", "by both")];
    html! {
        form .find #find method="get" action=(HERE) data-find {
            div .first {
                div .field {
                    label for="in" { "In" }
                    select #in name="in" data-anew { (options(targets, target)) }
                }
                div .field {
                    label for="q" { "Search for" }
                    input #q type="search" name="q" value=(question.q) placeholder="everything" maxlength="500" autocomplete="off" spellcheck="false";
                }
                button .primary type="submit" { "Search" }
            }
            div .rest {
                @if target.has_vectors {
                    (Field::choice("mode", "Find", &modes).value(&question.mode))
                    (Field::text("alpha", "Weight of meaning").value(&question.alpha).hint("by both: 0 to 1"))
                }
                (Field::text("filterBy", "Filter").value(&question.filter_by).hint("such as price:<10 && inStock:=true"))
                (Field::text("sortBy", "Sort by").value(&question.sort_by).hint(&sorts))
            }
            details open[question.is_particular()] {
                summary { "Facets, fields and length of a page" }
                div .rest {
                    (Field::text("facetBy", "Facets").value(&question.facet_by).hint(&facets))
                    (Field::text("queryBy", "Fields to search").value(&question.query_by).hint(&texts))
                    (Field::number("perPage", "Hits a page").value(&question.per_page).hint("10 where left out"))
                }
            }
        }
    }
}

fn options(targets: &[Target], chosen: &Target) -> Markup {
    html! {
        @for (kind, label) in [(Kind::Index, "Indexes"), (Kind::SyncJob, "Sync jobs")] {
            @if targets.iter().any(|target| target.kind() == kind) {
                optgroup label=(label) {
                    @for target in targets.iter().filter(|target| target.kind() == kind) {
                        option value=(target.value()) selected[target.is_called(&chosen.value())] {
                            (target.name.chars().take(80).collect::<String>())
                        }
                    }
                }
            }
        }
    }
}

fn results(target: &Target, question: &Question, found: &Found, seconds: f64) -> Markup {
    let (page, per_page) = (question.page(), question.per_page());
    let has_facets = found.facet_counts.iter().any(|facet| !facet.counts.is_empty());
    let first = page.saturating_sub(1).saturating_mul(per_page) + 1;
    html! {
        p .found role="status" {
            b { (parts::count(found.found as i64)) } " found "
            span .soft { "· " (format!("{:.1}", seconds * 1000.0)) " ms here, " (found.search_time_ms) " ms of them in Typesense" }
        }
        div .with-facets[has_facets] {
            @if has_facets {
                aside aria-label="Facets" { @for facet in &found.facet_counts { (facets(question, facet)) } }
            }
            div {
                @if found.hits.is_empty() { (parts::empty("Nothing is found.")) }
                @else {
                    ol .hits start=(first) { @for one in &found.hits { (hit(target, one)) } }
                }
                (pages(question, found, page, per_page))
            }
        }
    }
}

fn facets(question: &Question, facet: &Facet) -> Markup {
    html! {
        @if !facet.counts.is_empty() {
            h2 { (parts::cut(&facet.field_name, 30)) }
            ul .facet {
                @for count in &facet.counts {
                    li {
                        @match question.among(&facet.field_name, &count.value) {
                            Some(path) => a href=(path) { (parts::cut(&count.value, 40)) },
                            None => (parts::cut(&count.value, 40)),
                        }
                        span .soft { (parts::count(count.count)) }
                    }
                }
            }
        }
    }
}

fn hit(target: &Target, hit: &Hit) -> Markup {
    let matches: Vec<_> = hit.matches().collect();
    html! {
        li .hit data-key=(hit.id()) {
            p .head {
                b { (parts::cut(hit.id(), 60)) }
                @if let Some(fusion) = &hit.fusion {
                    span .soft {
                        "score " (format!("{:.3}", fusion.score))
                        @if let Some(rank) = fusion.keyword_rank { " · by words " (rank) "." }
                        @if let Some(rank) = fusion.vector_rank { " · by meaning " (rank) "." }
                    }
                } @else if let Some(distance) = hit.vector_distance {
                    span .soft { "distance " (format!("{distance:.3}")) }
                }
            }
            dl .facts {
                @if matches.is_empty() {
                    @for (field, text) in fields(target, &hit.document) { dt { (parts::cut(field, 30)) } dd { (marks::shown(&text, SHOWN_CHARS)) } }
                }
                @for (field, text) in matches { dt { (parts::cut(field, 30)) } dd { (marks::shown(text, SHOWN_CHARS)) } }
            }
            details { summary { "Document" } (parts::json(&hit.document)) }
        }
    }
}

/// The fields that tell most of a document: those that are searched first.
fn fields<'a>(target: &Target, document: &'a Value) -> Vec<(&'a str, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    let all = document.as_object().into_iter().flatten().filter(|(name, _)| *name != "id" && !name.starts_with('_'));
    let mut all: Vec<_> = all.filter_map(|(name, value)| Some((name.as_str(), text(value)?))).collect();
    all.sort_by_key(|(name, _)| target.texts.iter().position(|text| text == name).unwrap_or(usize::MAX));
    all.truncate(SHOWN_FIELDS);
    all
}

fn pages(question: &Question, found: &Found, page: u64, per_page: u64) -> Markup {
    let last = found.found.min(DEEPEST).div_ceil(per_page.max(1)).max(1);
    html! {
        @if last > 1 || page > 1 {
            nav .pages aria-label="Pages" {
                @if page > 1 { a .button rel="prev" href=(question.at_page(page - 1)) { "Before" } }
                span { "page " (page) " of " (last) }
                @if page < last { a .button rel="next" href=(question.at_page(page + 1)) { "Next" } }
            }
        }
    }
}
