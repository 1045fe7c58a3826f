//! Merging a change into a document, as Typesense's `update` and `emplace` do.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A JSON object by its fields, their values as they were written: no number loses a digit.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
struct Fields<'a>(#[serde(borrow)] BTreeMap<Name<'a>, &'a RawValue>);

/// A field's name, borrowed unless it holds escapes.
#[derive(Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The document with the fields that the change names, whole: an object or an array takes the place of the one before it. A field
/// that the change sets to null goes. On one line.
pub fn merge(document: &str, change: &str) -> Result<String, serde_json::Error> {
    let Fields(mut merged) = serde_json::from_str(document)?;
    let Fields(changed) = serde_json::from_str(change)?;
    for (name, value) in changed {
        if value.get() == "null" {
            merged.remove(&name);
        } else {
            merged.insert(name, value);
        }
    }
    let mut json = serde_json::to_string(&Fields(merged))?;
    // Line breaks stand between tokens only; within strings JSON escapes them.
    if json.contains(['\n', '\r']) {
        json = json.replace(['\n', '\r'], " ");
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};
    use serde_json::{Map, Value, json};

    use super::*;

    fn objects() -> impl Strategy<Value = Map<String, Value>> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
            ("[a-d\"\\\\]", any::<bool>()).prop_map(|(name, value)| json!({ name: [value, null] })),
        ];
        btree_map("[a-d\"\\\\\n]{1,2}", value, 0..6).prop_map(|fields| fields.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_merge_is_the_document_overlaid_by_the_change_without_its_nulls(document in objects(), change in objects()) {
            let change_text = Value::Object(change.clone()).to_string();
            let merged = merge(&serde_json::to_string_pretty(&document)?, &change_text)?;
            prop_assert!(!merged.contains('\n'));
            let mut expected = document;
            for (name, value) in change {
                match value {
                    Value::Null => expected.remove(&name),
                    value => expected.insert(name, value),
                };
            }
            prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&merged)?, expected);
            prop_assert_eq!(merge(&merged, &change_text)?, merged);
        }
    }

    fn merged(document: &str, change: &str) -> String {
        merge(document, change).expect("two objects")
    }

    #[test]
    fn named_fields_are_replaced_whole_and_the_others_stay() {
        let document = r#"{"id":"a","title":"T","n":{"x":1,"y":2},"list":[1,2]}"#;
        assert_eq!(merged(document, r#"{"n":{"x":9}}"#), r#"{"id":"a","list":[1,2],"n":{"x":9},"title":"T"}"#);
        assert_eq!(
            merged(document, r#"{"list":[],"new":null}"#),
            r#"{"id":"a","list":[],"n":{"x":1,"y":2},"title":"T"}"#
        );
        assert_eq!(merged(document, r#"{"n":null,"title":null}"#), r#"{"id":"a","list":[1,2]}"#);
    }

    #[test]
    fn names_are_compared_as_text_and_numbers_keep_their_digits() {
        assert_eq!(merged(r#"{"id":"a","t":1}"#, r#"{"\u0074":2}"#), r#"{"id":"a","t":2}"#);
        let big = r#"{"id":"a","n":123456789012345678901234567890.10}"#;
        assert_eq!(merged(big, "{}"), big);
    }

    #[test]
    fn the_result_is_one_line() {
        assert_eq!(merged("{\"id\":\"a\",\n\"n\":{\r\n\"x\":\"\\n\"}}", "{}"), r#"{"id":"a","n":{  "x":"\n"}}"#);
    }
}
