//! An index's fields, in Typesense's own words: what may be asked for, and what Tidewell adds.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::document::{OWN_FIELDS, TENANT_FIELD, VECTOR_FIELD, VERSION_FIELD};

/// Fields one index may have.
pub const MAX_FIELDS: usize = 250;
/// Bytes of a field's name.
const MAX_NAME_BYTES: usize = 200;

/// What a field may be.
pub const TYPES: [&str; 16] = [
    "string",
    "string[]",
    "int32",
    "int32[]",
    "int64",
    "int64[]",
    "float",
    "float[]",
    "bool",
    "bool[]",
    "geopoint",
    "geopoint[]",
    "object",
    "object[]",
    "string*",
    "auto",
];
const FLAGS: [&str; 5] = ["facet", "optional", "index", "sort", "infix"];
const SORTABLE: [&str; 7] = ["string", "int32", "int64", "float", "bool", "geopoint", "geopoint[]"];
/// Of what the documents of a search without an order of its own are sorted by.
const SORTED_BY_DEFAULT: [&str; 3] = ["int32", "int64", "float"];

/// What is wrong with one place of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldFault {
    /// Such as `fields[2].type`.
    pub place: String,
    pub message: String,
}

/// Everything wrong with a schema that can be told without asking Typesense; empty for one that it will take.
pub fn faults(fields: &[Value], default_sorting_field: Option<&str>) -> Vec<FieldFault> {
    let mut found = Vec::new();
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        found.push(FieldFault { place: "fields".to_owned(), message: format!("must be 1 to {MAX_FIELDS} fields") });
        return found;
    }
    let mut names = HashSet::new();
    for (position, field) in fields.iter().enumerate() {
        let mut fault = |property: &str, message: String| {
            let place = match property {
                "" => format!("fields[{position}]"),
                _ => format!("fields[{position}].{property}"),
            };
            found.push(FieldFault { place, message });
        };
        let Value::Object(field) = field else {
            fault("", "must be an object with a name and a type".to_owned());
            continue;
        };
        judge_name(field, &mut names, &mut fault);
        judge_properties(field, &mut fault);
    }
    if let Some(message) = default_sorting_field.and_then(|name| default_sorting_fault(fields, name)) {
        found.push(FieldFault { place: "defaultSortingField".to_owned(), message });
    }
    found
}

fn judge_name<'a>(field: &'a Map<String, Value>, names: &mut HashSet<&'a str>, fault: &mut impl FnMut(&str, String)) {
    let Some(name) = field.get("name").and_then(Value::as_str) else {
        return fault("name", "must be a string".to_owned());
    };
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(|c| c.is_control() || c == ',') {
        // A list of names is text with commas, for Typesense.
        fault("name", format!("must be 1 to {MAX_NAME_BYTES} bytes without commas and control characters"));
    } else if name == "id" || OWN_FIELDS.contains(&name) {
        fault("name", format!("{name} is always there and can't be declared"));
    } else if !names.insert(name) {
        fault("name", format!("{name} stands twice"));
    } else if is_wildcard(name) && !name.replace(".*", "").chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) {
        // Typesense reads it as a regular expression; a broken one is taken, and then fails every import.
        fault("name", "a name with a wildcard may hold letters, digits, `_`, `-`, `.` and `.*`".to_owned());
    }
}

fn judge_properties(field: &Map<String, Value>, fault: &mut impl FnMut(&str, String)) {
    let kind = field.get("type").and_then(Value::as_str).unwrap_or_default();
    if !TYPES.contains(&kind) {
        fault("type", format!("must be one of {}", TYPES.join(", ")));
    }
    for (property, value) in field {
        match property.as_str() {
            "name" | "type" => {}
            flag if FLAGS.contains(&flag) => {
                if !value.is_boolean() {
                    fault(flag, "must be true or false".to_owned());
                }
            }
            "locale" => {
                if !value.as_str().is_some_and(is_locale) {
                    fault("locale", "must be a language such as de or zh-Hans".to_owned());
                }
            }
            "num_dim" => {
                if kind != "float[]" {
                    fault("num_dim", "is for fields of type float[] alone".to_owned());
                } else if !value.as_u64().is_some_and(|dimensions| (1..=10_000).contains(&dimensions)) {
                    fault("num_dim", "must be 1 to 10000".to_owned());
                }
            }
            other => fault(other, "is not a property that a field may have".to_owned()),
        }
    }
    judge_together(field, kind, fault);
}

/// What each property allows alone and the others forbid.
fn judge_together(field: &Map<String, Value>, kind: &str, fault: &mut impl FnMut(&str, String)) {
    let says = |flag: &str, value: bool| field.get(flag).and_then(Value::as_bool) == Some(value);
    let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
    // Fields that come into being with the first document that has them.
    let dynamic = is_wildcard(name) || ["auto", "string*"].contains(&kind);
    if dynamic && says("optional", false) {
        fault("optional", "can't be false of a field whose name or type documents decide".to_owned());
    }
    if says("index", false) {
        if name == ".*" {
            fault("index", "can't be false of `.*`".to_owned());
        } else if !dynamic && !says("optional", true) {
            fault("optional", "must be true where index is false".to_owned());
        }
    }
    let is_vector = field.contains_key("num_dim");
    if says("facet", true) && (name == ".*" || is_vector || says("index", false)) {
        fault("facet", "can't be true of `.*`, of a vector or of a field that is not indexed".to_owned());
    }
    if says("sort", true) && !SORTABLE.contains(&kind) {
        fault("sort", format!("can be true of {} alone", SORTABLE.join(", ")));
    }
}

fn default_sorting_fault(fields: &[Value], name: &str) -> Option<String> {
    let Some(field) = fields.iter().find(|field| field["name"] == name) else {
        return Some("must be the name of one of the fields".to_owned());
    };
    if is_wildcard(name) || !field["type"].as_str().is_some_and(|kind| SORTED_BY_DEFAULT.contains(&kind)) {
        Some(format!("must be a field of type {}", SORTED_BY_DEFAULT.join(", ")))
    } else if field["optional"] == true || field["sort"] == false {
        Some("must be a field that is neither optional nor barred from sorting".to_owned())
    } else {
        None
    }
}

/// The fields that a search looks in when it names none: everything of text that is indexed under a name of its own.
pub fn searchable(fields: &[Value]) -> Vec<String> {
    fields
        .iter()
        .filter(|field| matches!(field["type"].as_str(), Some("string" | "string[]" | "string*")))
        .filter(|field| field["index"] != false)
        .filter_map(|field| field["name"].as_str())
        .filter(|name| !is_wildcard(name))
        .map(str::to_owned)
        .collect()
}

/// The fields of the index's collection: its own, and those that Tidewell sets; `dimensions` are those of its vectors, if it has some.
pub fn collection_fields(fields: &[Value], dimensions: Option<usize>) -> Vec<Value> {
    let own = [
        json!({ "name": TENANT_FIELD, "type": "string" }),
        json!({ "name": VERSION_FIELD, "type": "int64", "index": false, "optional": true }),
    ];
    fields.iter().cloned().chain(own).chain(dimensions.map(vector_field)).collect()
}

/// The field of the vectors that Tidewell makes, of so many dimensions.
pub fn vector_field(dimensions: usize) -> Value {
    json!({ "name": VECTOR_FIELD, "type": "float[]", "num_dim": dimensions, "vec_dist": "cosine", "optional": true })
}

/// Nothing, or 2 to 8 letters and hyphens.
fn is_locale(text: &str) -> bool {
    text.is_empty() || (2..=8).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphabetic() || c == b'-')
}

/// Typesense takes a name with `.*` in it for a pattern of names.
fn is_wildcard(name: &str) -> bool {
    name.contains(".*")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of the faults of a schema.
    fn places(fields: Value, default_sorting_field: Option<&str>) -> Vec<String> {
        let fields = fields.as_array().expect("an array").clone();
        faults(&fields, default_sorting_field).into_iter().map(|fault| fault.place).collect()
    }

    #[test]
    fn a_schema_of_every_kind_of_field_is_taken() {
        let fields = json!([
            { "name": "title", "type": "string", "infix": true, "locale": "de" },
            { "name": "tags", "type": "string[]", "facet": true, "optional": true },
            { "name": "price", "type": "float", "sort": true },
            { "name": "maker.name", "type": "string" },
            { "name": "maker", "type": "object" },
            { "name": "note", "type": "string", "index": false, "optional": true },
            { "name": "vector", "type": "float[]", "num_dim": 384 },
            { "name": "price_.*", "type": "float", "optional": true },
            { "name": ".*_facet", "type": "string*", "facet": true },
            { "name": ".*", "type": "auto" },
        ]);
        assert_eq!(places(fields, Some("price")), [""; 0]);
    }

    #[test]
    fn each_fault_is_told_with_its_place() {
        for (field, place) in [
            (json!("title"), "fields[0]"),
            (json!({ "type": "string" }), "fields[0].name"),
            (json!({ "name": "", "type": "string" }), "fields[0].name"),
            (json!({ "name": "a\n", "type": "string" }), "fields[0].name"),
            (json!({ "name": "id", "type": "string" }), "fields[0].name"),
            (json!({ "name": "tenantId", "type": "string" }), "fields[0].name"),
            (json!({ "name": "_tidewell_version", "type": "int64" }), "fields[0].name"),
            (json!({ "name": "(.*", "type": "string" }), "fields[0].name"),
            (json!({ "name": "a", "type": "text" }), "fields[0].type"),
            (json!({ "name": "a" }), "fields[0].type"),
            (json!({ "name": "a", "type": "string", "facet": 1 }), "fields[0].facet"),
            (json!({ "name": "a", "type": "string", "embed": {} }), "fields[0].embed"),
            (json!({ "name": "a", "type": "string", "locale": "d" }), "fields[0].locale"),
            (json!({ "name": "a", "type": "string", "locale": "d\u{0}" }), "fields[0].locale"),
            (json!({ "name": "a", "type": "string", "locale": "zh-Hans-X" }), "fields[0].locale"),
            (json!({ "name": "a,b", "type": "string" }), "fields[0].name"),
            (json!({ "name": "a", "type": "string", "index": false }), "fields[0].optional"),
            (json!({ "name": "a", "type": "float", "num_dim": 3 }), "fields[0].num_dim"),
            (json!({ "name": "a", "type": "float[]", "num_dim": 0 }), "fields[0].num_dim"),
            (json!({ "name": ".*", "type": "auto", "facet": true }), "fields[0].facet"),
            (json!({ "name": "a", "type": "auto", "optional": false }), "fields[0].optional"),
            (json!({ "name": "a", "type": "float[]", "num_dim": 3, "facet": true }), "fields[0].facet"),
            (json!({ "name": "a", "type": "int32[]", "sort": true }), "fields[0].sort"),
        ] {
            assert_eq!(places(json!([field]), None), [place], "{field}");
        }
        let twice = json!([{ "name": "a", "type": "string" }, { "name": "a", "type": "int32" }]);
        assert_eq!(places(twice, None), ["fields[1].name"]);
        assert_eq!(places(json!([]), None), ["fields"]);
    }

    #[test]
    fn documents_are_sorted_by_a_number_that_each_of_them_has() {
        let fields = json!([
            { "name": "price", "type": "float" },
            { "name": "stock", "type": "int32", "optional": true },
            { "name": "title", "type": "string" },
        ]);
        assert_eq!(places(fields.clone(), Some("price")), [""; 0]);
        for wrong in ["stock", "title", "absent"] {
            assert_eq!(places(fields.clone(), Some(wrong)), ["defaultSortingField"], "{wrong}");
        }
    }

    #[test]
    fn a_search_looks_in_indexed_text_by_default() {
        let fields = json!([
            { "name": "title", "type": "string" },
            { "name": "tags", "type": "string[]" },
            { "name": "price", "type": "float" },
            { "name": "note", "type": "string", "index": false, "optional": true },
            { "name": "attr_.*", "type": "string" },
            { "name": "any", "type": "string*" },
        ]);
        assert_eq!(searchable(fields.as_array().unwrap()), ["title", "tags", "any"]);
    }

    #[test]
    fn the_collection_has_the_fields_that_tidewell_sets() {
        let fields = [json!({ "name": "title", "type": "string" })];
        let names = |dimensions| -> Vec<String> {
            collection_fields(&fields, dimensions)
                .iter()
                .map(|field| field["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(None), ["title", "tenantId", "_tidewell_version"]);
        assert_eq!(names(Some(3)), ["title", "tenantId", "_tidewell_version", "_tidewell_vector"]);
    }
}
