//! What somebody wants of an index's schema, and whether it can be.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    db::{index::Index, reindex::Schema},
    domain::{
        embedding::Embedding,
        fields::{self, FieldFault},
    },
};

/// What an index is to be like. What is left out stays as it is; without anything it is built anew, as a repair.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schema(as = ReindexWish)]
pub struct Wish {
    /// All of its Typesense fields, not only the new ones.
    #[schema(value_type = Option<Vec<Object>>, min_items = 1, max_items = 250)]
    pub fields: Option<Vec<Value>>,
    /// A field of numbers that every document has; null: none.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub default_sorting_field: Option<Option<String>>,
    /// What its documents are embedded from; null: they have no vectors.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<Embedding>)]
    pub embedding: Option<Option<Embedding>>,
    /// How many documents the new schema may refuse before it is given up; null: any number.
    #[schema(default = 0, minimum = 0)]
    pub max_refused: Option<u32>,
    /// Builds a new version even where fields could be added to the live one.
    pub rebuild: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self { fields: None, default_sorting_field: None, embedding: None, max_refused: Some(0), rebuild: false }
    }
}

/// Tells what is null from what is left out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Wish {
    /// The whole schema that is wanted of an index.
    ///
    /// # Errors
    /// Everything that is wrong with it, by place.
    pub(super) fn schema(self, index: &Index) -> Result<Schema, Vec<FieldFault>> {
        let present = Schema::of(index);
        let schema = Schema {
            fields: self.fields.unwrap_or(present.fields),
            default_sorting_field: self.default_sorting_field.unwrap_or(present.default_sorting_field),
            embedding: self.embedding.unwrap_or(present.embedding),
        };
        let mut faults = fields::faults(&schema.fields, schema.default_sorting_field.as_deref());
        faults.extend(schema.embedding.iter().flat_map(|embedding| embedding.faults(&schema.fields)));
        if faults.is_empty() { Ok(schema) } else { Err(faults) }
    }
}

/// Whether a schema only adds fields that no document needs to have, so that the collection can be given them as it is.
pub(super) fn only_adds_optional_fields(present: &Schema, wanted: &Schema) -> bool {
    let mut added = wanted.fields.iter().filter(|field| !present.fields.contains(field)).peekable();
    added.peek().is_some()
        && added.all(|field| field["optional"] == true)
        && present.fields.iter().all(|field| wanted.fields.contains(field))
        && present.default_sorting_field == wanted.default_sorting_field
        && present.embedding == wanted.embedding
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(fields: Value) -> Schema {
        Schema { fields: fields.as_array().expect("a list").clone(), default_sorting_field: None, embedding: None }
    }

    #[test]
    fn null_is_told_from_what_is_left_out() {
        let wish = |text: &str| serde_json::from_str::<Wish>(text).expect("a wish");
        assert_eq!(wish("{}").embedding, None);
        assert_eq!(wish(r#"{"embedding":null}"#).embedding, Some(None));
        assert_eq!(wish(r#"{"defaultSortingField":null}"#).default_sorting_field, Some(None));
        assert_eq!(wish("{}").max_refused, Some(0));
        assert_eq!(wish(r#"{"maxRefused":null}"#).max_refused, None);
        assert!(serde_json::from_str::<Wish>(r#"{"field":[]}"#).is_err());
    }

    #[test]
    fn only_what_no_document_needs_is_added_in_place() {
        let present = schema(json!([{ "name": "title", "type": "string" }, { "name": "year", "type": "int32" }]));
        let title = json!({ "type": "string", "name": "title" });
        let (year, note) = (json!({ "name": "year", "type": "int32" }), json!({ "name": "note", "type": "string" }));
        let optional = json!({ "name": "note", "type": "string", "optional": true });
        let in_place = |fields: Value| only_adds_optional_fields(&present, &schema(fields));
        assert!(in_place(json!([title, year, optional])));
        assert!(in_place(json!([optional, year, title])), "in whatever order");
        assert!(!in_place(json!([title, year, note])), "every document would need it");
        assert!(!in_place(json!([title, optional])), "a field is gone");
        assert!(!in_place(json!([title, { "name": "year", "type": "int64" }, optional])), "a field is another");
        assert!(!in_place(json!([title, year])), "nothing is added");
        let wanted = |change: fn(&mut Schema)| {
            let mut wanted = schema(json!([title, year, optional]));
            change(&mut wanted);
            only_adds_optional_fields(&present, &wanted)
        };
        assert!(!wanted(|schema| schema.default_sorting_field = Some("year".to_owned())));
        assert!(!wanted(|schema| {
            schema.embedding = serde_json::from_value(json!({ "from": ["title"], "model": "openai:x" })).ok();
        }));
    }
}
