//! The versions of an index, and what is under way on it.

use maud::{Markup, html};

use super::{Index, Reindex, Version};
use crate::console::{
    Console,
    api::{List, Refusal, segment},
    forms, parts,
    session::Session,
};

/// The newest of an index.
pub(super) async fn all(console: &Console, session: &Session, index: &str) -> Result<List<Version>, Refusal> {
    console.api.get(session, &format!("/v1/indexes/{}/versions?limit=20", segment(index))).await
}

/// How far a reindex or a rollback is; nothing where none is under way.
pub(super) fn under_way(session: &Session, path: &str, versions: &[Version]) -> Markup {
    let all = versions.iter().filter_map(|version| version.reindex.as_ref());
    html! {
        @for reindex in all.filter(|reindex| reindex.is_under_way()) {
            section .card.under-way aria-label="Under way" {
                p {
                    b { (doing(reindex)) } " " (parts::state(&reindex.status)) " "
                    span .soft { (reindex.phase.replace('_', " ")) ", asked for by " (parts::cut(&reindex.requested_by, 60)) }
                }
                p { (parts::progress(reindex.progress * 100.0, "How far it is")) }
                p {
                    (parts::count(reindex.done)) " of about " (parts::count(reindex.total)) " documents"
                    @if let Some((rate, eta)) = pace(reindex) { ", " (parts::count(rate)) " a second, " (parts::duration(eta)) " to go" }
                    @if reindex.refused > 0 { ", " (parts::count(reindex.refused)) " refused" }
                    "."
                }
                @if let Some(error) = &reindex.error { p { (parts::cut(error, 500)) } }
                div .acts {
                    a .button href={ "/console/jobs/" (segment(&reindex.job_id)) } { "The job" }
                    @if reindex.cancel_requested { span .soft { "Its end is asked for." } }
                    @else if session.may_act() {
                        (forms::confirmed("Cancel", "The live version stays what it is; what was built is thrown away.", &format!("{path}/cancel"), &[]))
                    }
                }
            }
        }
    }
}

fn doing(reindex: &Reindex) -> String {
    match &*reindex.kind {
        "rollback" => format!("Version {} is put back", reindex.version),
        "in_place" => format!("Fields are added to version {}", reindex.version),
        _ => format!("Version {} is built", reindex.version),
    }
}

/// Documents a second, and the seconds that are left at that pace.
fn pace(reindex: &Reindex) -> Option<(i64, f64)> {
    let eta = reindex.eta_seconds.filter(|eta| *eta > 0.0)?;
    Some((((reindex.total - reindex.done) as f64 / eta).round() as i64, eta))
}

pub(super) fn table(session: &Session, index: &Index, versions: &List<Version>) -> Markup {
    let path = index.path();
    html! {
        @if session.may_act() {
            div .acts {
                a .button.primary href={ (path) "/reindex" } { "Change the schema" }
                (forms::confirmed("Rebuild as it is", "A new version is filled from the record and takes the place of the live one. It costs a unit a document.",
                    &format!("{path}/rebuild"), &[]))
            }
        }
        div .scroll tabindex="0" role="region" aria-label="Versions" {
            table {
                thead { tr { th .number { "Version" } th { "State" } th { "Collection" } th { "Live since" } th { "Made by" } th .number { "Written" } th .number { "Refused" } th { "Acts" } } }
                tbody { @for version in &versions.items { (row(session, &path, version)) } }
            }
        }
        @if versions.next_cursor.is_some() { p .hint { "Older versions are told of by the API." } }
    }
}

fn row(session: &Session, path: &str, version: &Version) -> Markup {
    let reindex = version.reindex.as_ref();
    html! {
        tr data-key=(version.number) {
            th .number scope="row" { a href={ (path) "/versions/" (version.number) } { (version.number) } }
            td { (parts::state(&version.state)) }
            td { code { (version.collection) } }
            td { (parts::time_if(version.live_at)) }
            td {
                @match reindex {
                    Some(reindex) => { a href={ "/console/jobs/" (segment(&reindex.job_id)) } { (reindex.kind.replace('_', " ")) } " " (parts::state(&reindex.status)) },
                    None => "the index itself",
                }
            }
            td .number { @match reindex { Some(reindex) => (parts::count(reindex.done)), None => (parts::dash()) } }
            td .number { @match reindex { Some(reindex) => (parts::count(reindex.refused)), None => (parts::dash()) } }
            td {
                @if version.state == "retired" && session.may_act() {
                    (forms::confirmed("Roll back", "It is brought up to date and becomes the live one. Documents that it does not take become dead letters.",
                        &format!("{path}/rollback"), &[("version", &version.number.to_string())]))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pace_is_told_where_there_is_one() {
        let reindex = |eta: Option<f64>| -> Reindex {
            let told = json!({
                "jobId": "a", "kind": "reindex", "version": 2, "status": "running", "phase": "building", "cancelRequested": false,
                "total": 1000, "done": 400, "refused": 0, "progress": 0.4, "etaSeconds": eta, "error": null, "requestedBy": "operator",
            });
            serde_json::from_value(told).expect("a reindex")
        };
        assert_eq!(pace(&reindex(Some(6.0))), Some((100, 6.0)));
        assert_eq!(pace(&reindex(None)), None);
        assert_eq!(pace(&reindex(Some(0.0))), None);
    }
}
