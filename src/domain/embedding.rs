//! What documents are embedded from, and by which model.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::FieldFault;

/// Fields that one document is embedded from.
const MAX_FIELDS: usize = 10;
/// Characters of a model's name.
const MAX_MODEL_CHARS: usize = 200;
/// Characters of a prefix.
const MAX_PREFIX_CHARS: usize = 500;

/// Asks for a vector of each document, so that it can be found by its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Fields of text, joined by line breaks.
    #[schema(min_items = 1, max_items = 10)]
    pub from: Vec<String>,
    /// `local:all-MiniLM-L6-v2`, or `openai:` and the name of a model at the address in the settings.
    #[schema(example = "local:all-MiniLM-L6-v2")]
    pub model: String,
    /// What some models want to have before each text.
    #[serde(default, skip_serializing_if = "Prefixes::is_none")]
    pub prefixes: Prefixes,
    /// What becomes of documents while the model is away.
    #[serde(default)]
    pub outage: Outage,
}

/// Put before each text that is embedded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prefixes {
    pub document: String,
    pub query: String,
}

impl Prefixes {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of documents while their model is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outage {
    /// They wait for it.
    #[default]
    Wait,
    /// They are written without a vector, and get it once it is back.
    Skip,
}

/// Who makes the vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model<'a> {
    /// In the process.
    Local(&'a str),
    /// A model of that name at an address that speaks OpenAI's protocol.
    OpenAi(&'a str),
}

impl Embedding {
    /// The model, by who runs it; `None` where the name says nobody.
    pub fn model(&self) -> Option<Model<'_>> {
        match self.model.split_once(':')? {
            ("local", name @ "all-MiniLM-L6-v2") => Some(Model::Local(name)),
            ("openai", name) if !name.trim().is_empty() => Some(Model::OpenAi(name)),
            _ => None,
        }
    }

    /// Everything wrong with it for documents of these fields.
    pub fn faults(&self, fields: &[Value]) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let mut fault = |place: &str, message: String| faults.push(FieldFault { place: place.to_owned(), message });
        if !(1..=MAX_FIELDS).contains(&self.from.len()) {
            fault("embedding.from", format!("must be 1 to {MAX_FIELDS} fields"));
        }
        for (position, name) in self.from.iter().enumerate() {
            if self.from[..position].contains(name) {
                fault(&format!("embedding.from[{position}]"), format!("{name} stands twice"));
            } else if !holds_text(fields, name) {
                fault(&format!("embedding.from[{position}]"), format!("there is no field of text named {name:?}"));
            }
        }
        if self.model.chars().count() > MAX_MODEL_CHARS || self.model.chars().any(char::is_control) {
            fault("embedding.model", format!("must be at most {MAX_MODEL_CHARS} characters"));
        } else if self.model().is_none() {
            fault("embedding.model", "must be local:all-MiniLM-L6-v2, or openai: and the name of a model".to_owned());
        }
        for (name, prefix) in [("document", &self.prefixes.document), ("query", &self.prefixes.query)] {
            if prefix.chars().count() > MAX_PREFIX_CHARS || prefix.contains('\0') {
                fault(&format!("embedding.prefixes.{name}"), format!("must be at most {MAX_PREFIX_CHARS} characters"));
            }
        }
        faults
    }

    /// The text that a document is embedded from, without the prefix; empty where it has none.
    pub fn text_of(&self, document: &Value) -> String {
        let mut texts = Vec::new();
        for name in &self.from {
            match document.get(name) {
                Some(value) => collect(value, &[], &mut texts),
                // A name with dots leads into objects, unless the document has a field of that very name.
                None => collect(document, &name.split('.').collect::<Vec<_>>(), &mut texts),
            }
        }
        texts.join("\n")
    }
}

fn holds_text(fields: &[Value], name: &str) -> bool {
    fields.iter().any(|field| {
        let kind = field["type"].as_str().unwrap_or_default();
        match field["name"].as_str() {
            Some(own) if own == name => matches!(kind, "string" | "string[]" | "string*" | "auto"),
            // Within an object there may be any field.
            Some(own) => kind.starts_with("object") && name.strip_prefix(own).is_some_and(|rest| rest.starts_with('.')),
            None => false,
        }
    })
}

/// Adds the texts at a path; of arrays each.
fn collect<'a>(value: &'a Value, path: &[&str], texts: &mut Vec<&'a str>) {
    match (value, path) {
        (Value::Array(items), _) => items.iter().for_each(|item| collect(item, path, texts)),
        (Value::Object(object), [first, rest @ ..]) => {
            if let Some(value) = object.get(*first) {
                collect(value, rest, texts);
            }
        }
        (Value::String(text), []) if !text.trim().is_empty() => texts.push(text.trim()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn embedding(from: &[&str]) -> Embedding {
        serde_json::from_value(json!({ "from": from, "model": "local:all-MiniLM-L6-v2" })).unwrap()
    }

    #[test]
    fn a_document_is_embedded_from_its_texts_wherever_they_are() {
        let document = json!({
            "title": " Tides ", "tags": ["sea", "", "moon"], "maker": { "name": "Kelvin", "born": 1824 },
            "a.b": "dotted", "pages": 12, "parts": [{ "name": "one" }, { "name": "two" }],
        });
        let text = |from: &[&str]| embedding(from).text_of(&document);
        assert_eq!(text(&["title", "tags"]), "Tides\nsea\nmoon");
        assert_eq!(text(&["maker.name", "a.b", "parts.name"]), "Kelvin\ndotted\none\ntwo");
        assert_eq!(text(&["pages", "absent", "maker", "maker.born"]), "");
    }

    #[test]
    fn what_can_not_be_embedded_from_is_told_with_its_place() {
        let fields = [
            json!({ "name": "title", "type": "string" }),
            json!({ "name": "price", "type": "float" }),
            json!({ "name": "maker", "type": "object" }),
        ];
        let places = |embedding: &Embedding| -> Vec<String> {
            embedding.faults(&fields).into_iter().map(|fault| fault.place).collect()
        };
        assert_eq!(places(&embedding(&["title", "maker.name"])), [""; 0]);
        assert_eq!(places(&embedding(&[])), ["embedding.from"]);
        assert_eq!(
            places(&embedding(&["price", "title", "title", "gone"])),
            ["embedding.from[0]", "embedding.from[2]", "embedding.from[3]"]
        );
        for model in ["", "local:", "local:other", "openai:", "openai: ", "cohere:x", "all-MiniLM-L6-v2"] {
            let wrong = Embedding { model: model.to_owned(), ..embedding(&["title"]) };
            assert_eq!(places(&wrong), ["embedding.model"], "{model}");
        }
    }
}
