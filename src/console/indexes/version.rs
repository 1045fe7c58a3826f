//! One version of an index: its schema, and the documents that it does not take.

use axum::extract::{Path, State};
use maud::html;
use serde::Deserialize;

use super::{HERE, Version, find, show};
use crate::console::{
    Console,
    api::{List, Refusal, segment, with_query},
    fields::Fields,
    page::{Page, Section},
    parts,
    session::Session,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    document_id: String,
    code: String,
    message: String,
}

pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path((id, number)): Path<(String, i32)>,
    asked: Fields,
) -> Result<Page, Refusal> {
    let index = find(&console, &session, &id).await?;
    let api = format!("/v1/indexes/{}/versions", segment(&index.id));
    // Versions are listed from the newest, and a cursor is the number that they come after.
    let after = number.saturating_add(1).to_string();
    let list = with_query(&api, &[("cursor", Some(&after)), ("limit", Some("1"))]);
    let found: Option<Version> = console.api.get::<List<Version>>(&session, &list).await?.items.pop();
    let cursor = asked.given("cursor");
    let refused: List<Refused> =
        console.api.get(&session, &with_query(&format!("{api}/{number}/refusals"), &[("cursor", cursor)])).await?;
    let here = format!("{}/versions/{number}", index.path());
    let next = refused.next_cursor.as_deref().map(|cursor| with_query(&here, &[("cursor", Some(cursor))]));
    let body = html! {
        @if let Some(version) = found.filter(|version| version.number == number) {
            dl .facts {
                dt { "State" } dd { (parts::state(&version.state)) }
                dt { "Collection" } dd { code { (version.collection) } }
                dt { "Made" } dd { (parts::time(version.created_at)) }
                dt { "Live since" } dd { (parts::time_if(version.live_at)) }
                dt { "Sorted by" } dd { @match &version.default_sorting_field { Some(name) => (parts::cut(name, 60)), None => (parts::dash()) } }
                dt { "By meaning" } dd { (show::embedding(version.embedding.as_ref())) }
            }
            h2 { "Fields" }
            (show::fields(&version.fields))
        }
        h2 { "Documents that it does not take" }
        @if refused.items.is_empty() { (parts::empty("None. Those of a version that has become the live one are dead letters.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Documents that it does not take" {
                table {
                    thead { tr { th { "Document" } th { "Why" } th { "In Typesense's words" } } }
                    tbody {
                        @for one in &refused.items {
                            tr data-key=(one.document_id) {
                                th scope="row" { (parts::cut(&one.document_id, 60)) }
                                td { code { (one.code) } }
                                td { (parts::cut(&one.message, 300)) }
                            }
                        }
                    }
                }
            }
            (parts::next(next.as_deref()))
        }
    };
    let page = Page::new(Section::Indexes, format!("Version {number}"), body);
    Ok(page.under("Indexes", HERE).under(&index.slug, index.path()))
}
