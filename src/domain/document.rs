//! Documents as they arrive: what is judged at the door, before anything is stored.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The field that names the organization in every stored document; set by Tidewell alone.
pub const TENANT_FIELD: &str = "tenantId";
/// The stored, unindexed field that carries a document's version, so that a stale landing can be seen.
pub const VERSION_FIELD: &str = "_tidewell_version";
/// The field that carries a document's vector, where its index has an embedding.
pub const VECTOR_FIELD: &str = "_tidewell_vector";
/// The fields that Tidewell alone sets: nobody sends, declares or searches by them.
pub const OWN_FIELDS: [&str; 3] = [TENANT_FIELD, VERSION_FIELD, VECTOR_FIELD];

/// Documents one request may carry.
pub const MAX_DOCUMENTS: usize = 1000;
/// Bytes of one document's JSON.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// Bytes of a document's id: more would not fit the URL of a single delete.
pub const MAX_ID_BYTES: usize = 512;
/// Levels of arrays and objects: far beyond this a JSON library that recurses would run out of stack.
const MAX_DEPTH: usize = 64;

/// A document that may be accepted: syntactically a JSON object with an id, within the limits, free of reserved names.
/// Whether it fits the index's schema is Typesense's verdict, later.
#[derive(Debug, PartialEq)]
pub struct Document<'a> {
    pub id: Cow<'a, str>,
    /// The JSON text, an object: as sent, unless it had no id and was given one.
    pub json: Cow<'a, str>,
}

/// Why one document of a request was refused while the others were accepted.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Rejection {
    /// Where it stood in the request, from 0.
    pub position: usize,
    /// Its id, where one could be read.
    pub id: Option<String>,
    /// Stable, snake_case.
    pub code: String,
    pub message: String,
}

impl<'a> Document<'a> {
    /// Judges one JSON text.
    pub fn parse(json: &'a str, position: usize) -> Result<Self, Rejection> {
        match read_id(json, position)? {
            Some(id) => Ok(Self { id, json: json.into() }),
            None => Err(Rejection::new(position, None, "missing_id", "every document needs an id, a string")),
        }
    }

    /// As [`Document::parse`], where a document without an id is given one.
    pub fn parse_or_name(json: &'a str, position: usize, name: impl FnOnce() -> String) -> Result<Self, Rejection> {
        match read_id(json, position)? {
            Some(id) => Ok(Self { id, json: json.into() }),
            None => Self::named(json, position, name().into()),
        }
    }

    /// As [`Document::parse`], of a document whose id is known: its own, if it has one, must be the same.
    pub fn parse_as(json: &'a str, position: usize, id: &'a str) -> Result<Self, Rejection> {
        match read_id(json, position)? {
            Some(own) if own == id => Ok(Self { id: own, json: json.into() }),
            Some(own) => {
                let message = "The `id` of the resource does not match the `id` in the JSON body.";
                Err(Rejection::new(position, Some(&own), "invalid_id", message))
            }
            None => Self::named(json, position, id.into()),
        }
    }

    /// Puts an id into a JSON object that has none.
    fn named(json: &str, position: usize, id: Cow<'a, str>) -> Result<Self, Rejection> {
        let rest = json.trim_start().strip_prefix('{').unwrap_or("}").trim_start();
        let comma = if rest.starts_with('}') { "" } else { "," };
        let json = format!("{{\"id\":{}{comma}{rest}", serde_json::Value::from(&*id));
        check_size(&json, position)?;
        Ok(Self { id, json: json.into() })
    }
}

impl Rejection {
    /// The id is cut to what may be one.
    pub fn new(position: usize, id: Option<&str>, code: &str, message: impl Into<String>) -> Self {
        let id = id.map(|id| id.chars().take(MAX_ID_BYTES).collect());
        Self { position, id, code: code.to_owned(), message: message.into() }
    }
}

/// Sees that a document is not too large to be taken.
pub fn check_size(json: &str, position: usize) -> Result<(), Rejection> {
    if json.len() <= MAX_DOCUMENT_BYTES {
        return Ok(());
    }
    let message = format!("the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are taken", json.len());
    Err(Rejection::new(position, None, "document_too_large", message))
}

/// Judges a JSON text in everything but whether it has an id, and gives that.
fn read_id(json: &str, position: usize) -> Result<Option<Cow<'_, str>>, Rejection> {
    let reject = |id: Option<&str>, code: &str, message: String| Rejection::new(position, id, code, message);
    check_size(json, position)?;
    // Most documents have too few brackets to be nested too deep, and those are found many times faster than the depth.
    let mut brackets = memchr::memchr2_iter(b'{', b'[', json.as_bytes());
    if brackets.nth(MAX_DEPTH).is_some() && depth(json) > MAX_DEPTH {
        let message = format!("arrays and objects are nested more than {MAX_DEPTH} deep");
        return Err(reject(None, "document_too_deep", message));
    }
    let head: Head<'_> = serde_json::from_str(json).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => reject(None, "invalid_document", error.to_string()),
        _ => reject(None, "invalid_json", error.to_string()),
    })?;
    if let Some(name) = head.reserved {
        let id = head.id.as_ref().and_then(Id::text);
        return Err(reject(id, "reserved_field", format!("the field {name} is set by Tidewell: leave it out")));
    }
    match head.id {
        Some(Id::Text(id)) => match id_fault(&id) {
            None => Ok(Some(id)),
            Some(fault) => Err(reject(Some(&id), "invalid_id", fault)),
        },
        Some(Id::Other) => Err(reject(None, "invalid_id", "Document's `id` field should be a string.".to_owned())),
        None => Ok(None),
    }
}

/// What is wrong with a document's id, if anything.
pub fn id_fault(id: &str) -> Option<String> {
    if id.is_empty() {
        Some("The `id` should not be empty.".to_owned())
    } else if id.len() > MAX_ID_BYTES {
        Some(format!("id has {} bytes; at most {MAX_ID_BYTES} are taken", id.len()))
    } else if id.chars().any(char::is_control) {
        Some("id must not hold control characters".to_owned())
    } else {
        None
    }
}

/// The deepest nesting of a JSON text: a scan that no input can make recurse.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}

/// What the door needs of a document, read without building the rest.
struct Head<'a> {
    id: Option<Id<'a>>,
    reserved: Option<&'static str>,
}

enum Id<'a> {
    Text(Cow<'a, str>),
    Other,
}

impl Id<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(id) => Some(id),
            Self::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Head<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadVisitor;
        impl<'de> Visitor<'de> for HeadVisitor {
            type Value = Head<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
                let mut head = Head { id: None, reserved: None };
                while let Some(Name(name)) = map.next_key()? {
                    match &*name {
                        "id" => {
                            let raw: &'de RawValue = map.next_value()?;
                            let id = match raw.get().starts_with('"') {
                                true => Id::Text(serde_json::from_str::<Name>(raw.get()).map_err(A::Error::custom)?.0),
                                false => Id::Other,
                            };
                            if head.id.replace(id).is_some() {
                                return Err(A::Error::custom("id stands twice"));
                            }
                            continue;
                        }
                        TENANT_FIELD => head.reserved = Some(TENANT_FIELD),
                        VERSION_FIELD => head.reserved = Some(VERSION_FIELD),
                        VECTOR_FIELD => head.reserved = Some(VECTOR_FIELD),
                        _ => {}
                    }
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(head)
            }
        }
        deserializer.deserialize_map(HeadVisitor)
    }
}

/// A string, borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn code(json: &str) -> String {
        Document::parse(json, 0).expect_err(json).code
    }

    #[test]
    fn a_document_is_an_object_with_a_string_id() {
        assert_eq!(Document::parse(r#"{"id":"a","n":[1,{"x":null}]}"#, 0).unwrap().id, "a");
        assert_eq!(Document::parse(r#"{"n":1,"id":"\u00fc\/"}"#, 0).unwrap().id, "ü/");
        assert_eq!(code("[1]"), "invalid_document");
        assert_eq!(code("null"), "invalid_document");
        assert_eq!(code(r#"{"n":1}"#), "missing_id");
        assert_eq!(code(r#"{"id":7}"#), "invalid_id");
        assert_eq!(code(r#"{"id":"\ud800"}"#), "invalid_document", "half a surrogate pair is no text");
        assert_eq!(code(r#"{"id":""}"#), "invalid_id");
        assert_eq!(code(r#"{"id":"a\nb"}"#), "invalid_id");
        assert_eq!(code(&format!(r#"{{"id":"{}"}}"#, "x".repeat(513))), "invalid_id");
        assert_eq!(code(r#"{"id":"a","id":"b"}"#), "invalid_document");
    }

    #[test]
    fn a_document_without_an_id_is_given_one() {
        let named =
            |json| Document::parse_or_name(json, 0, || "n\"1".to_owned()).map(|document| document.json.into_owned());
        assert_eq!(named(" { \"x\":1}").unwrap(), r#"{"id":"n\"1","x":1}"#);
        assert_eq!(named("{ }").unwrap(), r#"{"id":"n\"1"}"#);
        assert_eq!(named(r#"{"id":"a"}"#).unwrap(), r#"{"id":"a"}"#);
        assert_eq!(named(r#"{"id":1}"#).unwrap_err().code, "invalid_id");
        assert_eq!(Document::parse_as(r#"{"id":"a"}"#, 0, "a").unwrap().json, r#"{"id":"a"}"#);
        assert_eq!(Document::parse_as(r#"{"x":1}"#, 0, "a").unwrap().json, r#"{"id":"a","x":1}"#);
        assert_eq!(Document::parse_as(r#"{"id":"b"}"#, 0, "a").unwrap_err().code, "invalid_id");
    }

    #[test]
    fn broken_json_is_refused() {
        for bad in ["", "{", r#"{"id":"a"} x"#, r#"{"id":"a",}"#, "{\"id\":\"a\",\"b\":\"\u{1}\"}"] {
            assert_eq!(code(bad), "invalid_json", "{bad}");
        }
    }

    #[test]
    fn reserved_names_are_refused_however_they_are_written() {
        assert_eq!(code(r#"{"id":"a","tenantId":"x"}"#), "reserved_field");
        assert_eq!(code(r#"{"tenant\u0049d":"x","id":"a"}"#), "reserved_field");
        assert_eq!(code(r#"{"id":"a","_tidewell_version":1}"#), "reserved_field");
        assert!(Document::parse(r#"{"id":"a","nested":{"tenantId":"x"}}"#, 0).is_ok());
    }

    #[test]
    fn size_and_depth_are_bounded() {
        assert_eq!(code(&format!(r#"{{"id":"a","x":"{}"}}"#, "y".repeat(MAX_DOCUMENT_BYTES))), "document_too_large");
        let nested = |levels: usize| format!(r#"{{"id":"a","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(Document::parse(&nested(MAX_DEPTH - 1), 0).is_ok());
        assert_eq!(code(&nested(MAX_DEPTH)), "document_too_deep");
        assert_eq!(code(&nested(400_000)), "document_too_deep");
        assert!(Document::parse(&format!(r#"{{"id":"a","x":"{}"}}"#, "[".repeat(100)), 0).is_ok());
    }
}
