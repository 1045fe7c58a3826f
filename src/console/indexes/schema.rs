//! A schema as a form: a row for each field, or all of them as JSON where rows can't say it.

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::Embedding;
use crate::{
    console::{api::Refusal, fields::Fields, forms::Field},
    domain::fields::{MAX_FIELDS, TYPES},
};

/// Fields of the form that show their own faults.
pub(super) const SHOWN: [&str; 4] = ["slug", "defaultSortingField", "embedding.model", "fieldsJson"];

const FLAGS: [&str; 3] = ["facet", "optional", "sort"];
/// Rows that wait to be filled in.
const SPARE_ROWS: usize = 4;

/// A schema as a form shows it.
pub(super) struct Draft {
    rows: Vec<Row>,
    fields_json: String,
    default_sorting_field: String,
    from: String,
    model: String,
    outage: String,
    document_prefix: String,
    query_prefix: String,
}

struct Row {
    name: String,
    kind: String,
    flags: [bool; 3],
}

impl Draft {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self::of_schema(&[], None, None)
    }

    /// A schema that there is.
    pub(super) fn of_schema(
        fields: &[Value],
        default_sorting_field: Option<&str>,
        embedding: Option<&Embedding>,
    ) -> Self {
        let rows: Option<Vec<Row>> = fields.iter().map(Row::of_field).collect();
        let fields_json = match rows {
            Some(_) => String::new(),
            None => serde_json::to_string_pretty(fields).unwrap_or_default(),
        };
        let text = |text: fn(&Embedding) -> &str| embedding.map(text).unwrap_or_default().to_owned();
        Self {
            rows: rows.unwrap_or_default(),
            fields_json,
            default_sorting_field: default_sorting_field.unwrap_or_default().to_owned(),
            from: embedding.map(|embedding| embedding.from.join(", ")).unwrap_or_default(),
            model: text(|embedding| &embedding.model),
            outage: text(|embedding| &embedding.outage),
            document_prefix: text(|embedding| &embedding.prefixes.document),
            query_prefix: text(|embedding| &embedding.prefixes.query),
        }
    }

    /// What was sent.
    pub(super) fn sent(sent: &Fields) -> Self {
        let rows = (0..MAX_FIELDS + SPARE_ROWS).filter_map(|row| Row::sent(sent, row)).collect();
        Self {
            rows,
            fields_json: sent.text("fieldsJson").to_owned(),
            default_sorting_field: sent.text("defaultSortingField").to_owned(),
            from: sent.text("embedding.from").to_owned(),
            model: sent.text("embedding.model").to_owned(),
            outage: sent.text("embedding.outage").to_owned(),
            document_prefix: sent.raw("embedding.prefixes.document").to_owned(),
            query_prefix: sent.raw("embedding.prefixes.query").to_owned(),
        }
    }

    /// What the API is to be told of it.
    ///
    /// # Errors
    /// JSON that is none.
    pub(super) fn body(&self) -> Result<Map<String, Value>, Refusal> {
        let fields: Vec<Value> = match self.fields_json.is_empty() {
            true => self.rows.iter().map(Row::field).collect(),
            false => serde_json::from_str(&self.fields_json)
                .map_err(|error| Refusal::of_field("fieldsJson", format!("must be a list of fields: {error}")))?,
        };
        let sorting = Some(&self.default_sorting_field).filter(|name| !name.is_empty());
        let body =
            [("fields", json!(fields)), ("defaultSortingField", json!(sorting)), ("embedding", self.embedding())];
        Ok(body.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn embedding(&self) -> Value {
        if self.from.is_empty() && self.model.is_empty() {
            return Value::Null;
        }
        let from: Vec<&str> = self.from.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let prefixes = json!({ "document": self.document_prefix, "query": self.query_prefix });
        json!({ "from": from, "model": self.model, "outage": self.outage, "prefixes": prefixes })
    }

    /// The part of a form that asks for it. Its button `more` asks for the form with rows to spare.
    pub(super) fn shown(&self, refusal: Option<&Refusal>) -> Markup {
        let fault = |row: usize| {
            let place = format!("fields[{row}]");
            refusal.is_some_and(|refusal| refusal.faults.iter().any(|fault| fault.field.starts_with(&place)))
        };
        let outages = [("wait", "wait for it"), ("skip", "are written without a vector, which they get later")];
        html! {
            fieldset {
                legend { "Fields" }
                p .hint { "An " code { "id" } " is always there. Where the JSON below is filled in, it counts instead of these rows." }
                div .scroll tabindex="0" role="region" aria-label="Fields" {
                    table .schema {
                        thead { tr { th { "Name" } th { "Type" } th { "Facet" } th { "Optional" } th { "Sort" } } }
                        tbody {
                            @for (n, row) in self.rows.iter().enumerate() { (row.shown(n, fault(n))) }
                            @for n in self.rows.len()..self.rows.len() + SPARE_ROWS { (Row::spare().shown(n, false)) }
                        }
                    }
                }
                p .next { button type="submit" name="more" value="rows" formnovalidate { "More rows" } }
                details open[!self.fields_json.is_empty()] {
                    summary { "As JSON" }
                    (Field::area("fieldsJson", "Fields in Typesense's words", 10).value(&self.fields_json)
                        .hint(r#"[{"name": "title", "type": "string", "locale": "de", "infix": true}, …]"#).judged(refusal))
                }
            }
            (Field::text("defaultSortingField", "Sorted by, where a search does not say").value(&self.default_sorting_field)
                .hint("a field of numbers that every document has").judged(refusal))
            fieldset {
                legend { "Found by meaning" }
                (Field::text("embedding.from", "Fields to embed").value(&self.from).hint("fields of text, with commas; empty: no vectors"))
                (Field::text("embedding.model", "Model").value(&self.model)
                    .hint("local:all-MiniLM-L6-v2, or openai: and the name of a model").judged(refusal))
                (Field::choice("embedding.outage", "While the model is away, documents", &outages).required().value(&self.outage))
                details {
                    summary { "Prefixes, which some models want" }
                    (Field::text("embedding.prefixes.document", "Before each document").value(&self.document_prefix))
                    (Field::text("embedding.prefixes.query", "Before each search").value(&self.query_prefix))
                }
            }
        }
    }
}

impl Row {
    fn spare() -> Self {
        Self { name: String::new(), kind: "string".to_owned(), flags: [false; 3] }
    }

    /// `None` where a row has no place for something that the field says.
    fn of_field(field: &Value) -> Option<Self> {
        let field = field.as_object()?;
        let flag = |flag: &str| field.get(flag).and_then(Value::as_bool).unwrap_or(false);
        let is_told = |(property, value): (&String, &Value)| match property.as_str() {
            "name" => value.is_string(),
            "type" => value.as_str().is_some_and(|kind| TYPES.contains(&kind)),
            "facet" | "optional" => value.is_boolean(),
            "sort" => value == true,
            _ => false,
        };
        let text = |name: &str| Some(field.get(name)?.as_str()?.to_owned());
        field.iter().all(is_told).then_some(Self { name: text("name")?, kind: text("type")?, flags: FLAGS.map(flag) })
    }

    /// `None` where the row was left empty.
    fn sent(sent: &Fields, row: usize) -> Option<Self> {
        let name = sent.given(&format!("field{row}.name"))?.to_owned();
        let kind = sent.text(&format!("field{row}.type")).to_owned();
        Some(Self { name, kind, flags: FLAGS.map(|flag| sent.is_checked(&format!("field{row}.{flag}"))) })
    }

    fn field(&self) -> Value {
        let mut field = json!({ "name": self.name, "type": self.kind });
        for (flag, _) in FLAGS.iter().zip(self.flags).filter(|(_, is_set)| *is_set) {
            field[flag] = json!(true);
        }
        field
    }

    fn shown(&self, n: usize, is_faulty: bool) -> Markup {
        let named = |property: &str| format!("field{n}.{property}");
        html! {
            tr {
                th scope="row" {
                    input type="text" name=(named("name")) value=(self.name) aria-label={ "Name of field " (n + 1) }
                        aria-invalid=[is_faulty.then_some("true")] autocomplete="off" spellcheck="false";
                }
                td {
                    select name=(named("type")) aria-label={ "Type of field " (n + 1) } {
                        @for kind in TYPES { option value=(kind) selected[kind == self.kind] { (kind) } }
                    }
                }
                @for (flag, is_set) in FLAGS.iter().zip(self.flags) {
                    td { input type="checkbox" name=(named(flag)) value="true" checked[is_set] aria-label={ "Field " (n + 1) " " (flag) }; }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(fields: &Value) -> Draft {
        Draft::of_schema(fields.as_array().expect("a list"), None, None)
    }

    #[test]
    fn a_schema_that_rows_can_say_comes_back_as_it_is() {
        let fields = json!([{ "name": "a", "type": "string", "facet": true }, { "name": "b", "type": "int32", "optional": true }]);
        let draft = drawn(&fields);
        assert!(draft.fields_json.is_empty());
        assert_eq!(draft.body().expect("a body")["fields"], fields);
    }

    #[test]
    fn a_schema_that_rows_cannot_say_is_json() {
        for field in [
            json!({ "name": "a", "type": "string", "locale": "de" }),
            json!({ "name": "a", "type": "int32", "sort": false }),
            json!({ "name": "a", "type": "string", "index": false, "optional": true }),
        ] {
            let fields = json!([field]);
            let draft = drawn(&fields);
            assert!(draft.rows.is_empty());
            assert_eq!(draft.body().expect("a body")["fields"], fields);
        }
    }

    #[test]
    fn rows_that_were_left_empty_are_none() {
        let sent = [
            ("field0.name", ""),
            ("field0.type", "string"),
            ("field1.name", "a"),
            ("field1.type", "bool"),
            ("field1.facet", "true"),
        ];
        let sent: Fields = sent.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let body = Draft::sent(&sent).body().expect("a body");
        assert_eq!(body["fields"], json!([{ "name": "a", "type": "bool", "facet": true }]));
        assert_eq!(body["embedding"], Value::Null);
    }
}
