//! The columns of a table, and what is made of each.

use maud::{Markup, html};

use crate::console::{
    api::Refusal,
    clients::outline::{Column, Sample},
    fields::Fields,
    parts::{self, Tone},
};

/// Characters of an example.
const EXAMPLE_CHARS: usize = 32;
/// What a column may be checked for: the form's field, the heading, and what a box says to who can't see the table.
const USES: [(&str, &str, &str); 5] = [
    ("document_id_column", "Id", "makes the document's id"),
    ("query_by_fields", "Search", "is searched in"),
    ("facet_by_fields", "Facet", "is a facet"),
    ("sort_by_fields", "Sort", "can be sorted by"),
    ("embedding", "Embed", "is embedded"),
];
/// The form's fields whose faults belong here.
pub(super) const FIELDS: [&str; 6] =
    ["selected_columns", "document_id_column", "query_by_fields", "facet_by_fields", "sort_by_fields", "embedding"];

pub(super) fn shown(columns: &[Column], samples: &[Sample], fields: &Fields, refusal: Option<&Refusal>) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Columns" {
            table .matrix {
                thead {
                    tr {
                        th { label .check { input type="checkbox" data-check-all="selected_columns"; "Take" } }
                        th { "Column" } th { "Type" } th { "Becomes" } th { "Examples" }
                        @for (_, heading, _) in USES { th { (heading) } }
                    }
                }
                tbody { @for column in columns { (row(column, samples, fields)) } }
            }
        }
        @for fault in refusal.iter().flat_map(|refusal| &refusal.faults).filter(|fault| FIELDS.contains(&&*fault.field)) {
            p .fault { b { (called(&fault.field)) ": " } (fault.message) }
        }
    }
}

/// A fault's field by the heading of its column.
fn called(field: &str) -> &str {
    USES.iter().find(|(name, ..)| *name == field).map_or("Take", |(_, heading, _)| heading)
}

fn row(column: &Column, samples: &[Sample], fields: &Fields) -> Markup {
    let examples: Vec<String> = samples.iter().filter_map(|row| row.text(&column.name)).collect();
    html! {
        tr {
            td { (boxed("selected_columns", &column.name, "is taken", column.field_type.is_some(), fields)) }
            th scope="row" { (parts::cut(&column.name, 63)) @if !column.nullable { span .soft title="never null" { " •" } } }
            td { code { (column.declared) } }
            td {
                @match (&column.field_type, &column.reason) {
                    (Some(kind), _) => code { (kind) },
                    (None, Some(reason)) => { (parts::badge(Tone::Warn, "left out")) p .hint { (reason) } },
                    (None, None) => (parts::dash()),
                }
            }
            td .examples { @for (n, example) in examples.iter().enumerate() { @if n > 0 { span .soft { " · " } } (parts::cut(example, EXAMPLE_CHARS)) } }
            @for (name, _, does) in USES {
                td { (boxed(name, &column.name, does, can_be(column, name, fields), fields)) }
            }
        }
    }
}

/// Whether a box makes sense. With another type in `field_config`, any may.
fn can_be(column: &Column, name: &str, fields: &Fields) -> bool {
    let Some(kind) = &column.field_type else { return false };
    if fields.text("field_config").contains(&column.name) {
        return true;
    }
    match name {
        "query_by_fields" => kind.starts_with("string"),
        "embedding" => kind.starts_with("string"),
        "facet_by_fields" => !kind.starts_with("object") && !kind.starts_with("geopoint"),
        "sort_by_fields" => !kind.ends_with("[]") && kind != "object",
        _ => !kind.ends_with("[]"),
    }
}

fn boxed(name: &str, column: &str, does: &str, makes_sense: bool, fields: &Fields) -> Markup {
    let is_checked = fields.all(name).contains(&column);
    html! {
        @if makes_sense || is_checked {
            label .box { input type="checkbox" name=(name) value=(column) checked[is_checked] aria-label={ (column) " " (does) }; }
        }
    }
}
