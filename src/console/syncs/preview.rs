//! What a job would write, before it is saved.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::API;
use crate::console::{
    Console,
    api::{Refusal, with_query},
    parts,
    session::Session,
};

/// Characters of a document that are shown.
const DOCUMENT_CHARS: usize = 20_000;

#[derive(Deserialize)]
pub(super) struct Preview {
    documents: Vec<Value>,
    refused: Vec<Refused>,
    schema: Schema,
}

#[derive(Deserialize)]
struct Refused {
    id: String,
    message: String,
}

#[derive(Deserialize)]
struct Schema {
    name: String,
    fields: Vec<Value>,
    default_sorting_field: Option<String>,
}

/// Of a job to be made, or of what another is to become.
pub(super) async fn ask(
    console: &Console,
    session: &Session,
    body: &Value,
    job: Option<&str>,
) -> Result<Preview, Refusal> {
    console.api.post(session, &with_query(&format!("{API}/preview"), &[("job", job)]), body).await
}

impl Preview {
    /// With a button that saves the form `draft`, for who may.
    pub(super) fn shown(&self, may_act: bool) -> Markup {
        html! {
            section .card.preview aria-label="Preview" {
                h2 { "Preview" }
                p .soft { "Nothing is written yet." }
                @if self.documents.is_empty() && self.refused.is_empty() { p { "The table has no rows yet." } }
                div .cards {
                    @for document in &self.documents { div { (parts::json(&shortened(document))) } }
                }
                @for refused in &self.refused {
                    p .fault { "The row " code { (parts::cut(&refused.id, 80)) } " can be no document: " (refused.message) }
                }
                h3 { "The collection " (parts::cut(&self.schema.name, 80)) }
                @if let Some(field) = &self.schema.default_sorting_field { p { "Sorted by " code { (field) } " where a search has no order." } }
                ul .plain.fields { @for field in &self.schema.fields { li { (parts::field(field)) } } }
                @if may_act {
                    div .acts { button .primary type="submit" form="draft" formmethod="post" { "Save the job" } a .button href="#draft" { "Change it" } }
                }
            }
        }
    }
}

/// A document whose long texts are cut.
fn shortened(document: &Value) -> Value {
    match document {
        Value::String(text) if text.chars().count() > DOCUMENT_CHARS / 100 => {
            let beginning: String = text.chars().take(DOCUMENT_CHARS / 100).collect();
            Value::from(format!("{beginning}…"))
        }
        Value::Array(items) => items.iter().take(50).map(shortened).collect(),
        Value::Object(object) => object.iter().map(|(name, value)| (name.clone(), shortened(value))).collect(),
        value => value.clone(),
    }
}
