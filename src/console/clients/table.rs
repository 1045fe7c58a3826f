//! One table: its columns, what each would be in Typesense, and some rows.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    HERE,
    outline::{Outline, Sample, outline, samples},
    path,
};
use crate::console::{
    Console,
    api::{Refusal, with_query},
    page::{Page, Section},
    parts::{self, Tone},
    session::Session,
};

/// Rows that are shown.
const ROWS: usize = 10;
/// Characters of a value that are shown.
const VALUE_CHARS: usize = 60;

/// Asks the source, so it is not kept up.
pub(super) async fn show(
    session: Session,
    State(console): State<Console>,
    Path((client, schema, table)): Path<(String, String, String)>,
) -> Result<Page, Refusal> {
    let place = (client.as_str(), schema.as_str(), table.as_str());
    let outline = outline(&console, &session, place).await?;
    let rows = samples(&console, &session, place, ROWS).await;
    let new = [("client", Some(&*client)), ("schema", Some(&*schema)), ("table", Some(&*table))];
    let body = html! {
        @if session.may_act() {
            div .acts { a .button.primary href=(with_query("/console/syncs/new", &new)) { "Sync this " (outline.kind) } }
        }
        dl .facts {
            dt { "Kind" } dd { (outline.kind) }
            dt { "Schema" } dd { (parts::cut(&schema, 60)) }
            dt { "Rows, about" } dd { @match outline.estimated_rows { Some(rows) => (parts::count(rows)), None => (parts::dash()) } }
            dt { "Unique" } dd {
                @if outline.unique_keys.is_empty() { "nothing: a document's id needs a column that tells rows apart" }
                @for key in &outline.unique_keys { code { (key.join(", ")) } br; }
            }
        }
        h2 { "Columns" }
        (columns(&outline))
        h2 { "Some rows" }
        @match &rows {
            Ok(rows) if rows.is_empty() => (parts::empty("It has no rows yet.")),
            Ok(rows) => (values(&outline, rows)),
            Err(refusal) => (parts::alert(&refusal.in_a_sentence())),
        }
    };
    let page = Page::new(Section::Clients, table, body).under("Clients", HERE).under(client.clone(), path(&client));
    Ok(page.still())
}

fn columns(outline: &Outline) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Columns" {
            table .types {
                thead { tr { th { "Column" } th { "Type" } th { "May be null" } th { "In Typesense" } } }
                tbody {
                    @for column in &outline.columns {
                        tr {
                            th scope="row" { (parts::cut(&column.name, 63)) }
                            td { code { (column.declared) } }
                            td { (if column.nullable { "yes" } else { "no" }) }
                            td {
                                @if let Some(kind) = &column.field_type { code { (kind) } }
                                @else { (parts::badge(Tone::Warn, "left out")) " " (column.reason.as_deref().unwrap_or_default()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn values(outline: &Outline, rows: &[Sample]) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Some rows" {
            table .values {
                thead { tr { th { "Row" } @for column in &outline.columns { th { (parts::cut(&column.name, 63)) } } } }
                tbody {
                    @for (n, row) in rows.iter().enumerate() {
                        tr {
                            th scope="row" { (n + 1) }
                            @for column in &outline.columns {
                                td { @match row.text(&column.name) { Some(text) => (parts::cut(&text, VALUE_CHARS)), None => span .none { "null" } } }
                            }
                        }
                    }
                }
            }
        }
    }
}
