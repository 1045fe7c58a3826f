//! What must hold of each parser of what comes from outside, whatever bytes come. `ops/fuzz-parsers` looks for some that break it;
//! those in `corpus/` are fed to the same functions by `cargo test`.

use chrono::DateTime;
use serde_json::Value;
use tidewell::{
    domain::{
        backend::{PlainHttp, node_url},
        client_url,
        document::{Document, id_fault},
        fields, filter,
        merge::merge,
        schedule::Schedule,
        scoped_token::{Claims, Signer},
        signature::signature,
        sort,
    },
    reach::Policy,
    replication, typesense,
};
use uuid::Uuid;

/// A parser's name, which is its corpus' too, and what must hold of it.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("client_url", client_url),
    ("document", document),
    ("fields", fields),
    ("filter", filter),
    ("import_answer", import_answer),
    ("merge", merge_documents),
    ("node_url", backend_url),
    ("pgoutput", pgoutput),
    ("schedule", schedule),
    ("scoped_token", scoped_token),
    ("signature", error_signature),
    ("sort", sort),
];

/// The URL of a source.
pub fn client_url(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        client_url::fault(text, &Policy::default());
    }
}

/// A line of an import: what is taken is an object with this id, and one that may be.
pub fn document(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(document) = Document::parse(text, 0) else { return };
    assert_eq!(id_fault(&document.id), None);
    let id = document.id.clone().into_owned();
    assert!(Document::parse_as(text, 0, &id).is_ok_and(|same| same.id == id));
    assert!(Document::parse_as(text, 0, &format!("{id}x")).is_err());
}

/// The fields of an index.
pub fn fields(bytes: &[u8]) {
    let Ok(listed) = serde_json::from_slice::<Vec<Value>>(bytes) else { return };
    if fields::faults(&listed, None).is_empty() {
        assert!(fields::searchable(&listed).len() <= listed.len());
    }
}

/// A caller's filter: what passes stays what it is within parentheses and beside another, and the organization's clause stands last.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if filter::check(text).is_err() {
        return;
    }
    if let Err(reason) = filter::check(&format!("({text}) && ({text})")) {
        assert!(reason.contains("more than"), "{reason}");
    }
    assert!(filter::check(&format!("({text}) ({text})")).is_err());
    let confined = filter::confine([text], Uuid::nil());
    assert!(confined.ends_with(") && tenantId:=`00000000-0000-0000-0000-000000000000`"));
}

/// Typesense's answer to an import of as many lines as the first byte says: a result for each.
pub fn import_answer(bytes: &[u8]) {
    let Some((lines, answer)) = bytes.split_first() else { return };
    let lines = usize::from(*lines);
    assert_eq!(typesense::line_results(answer, lines).len(), lines);
}

/// A document and a change of it, parted by a zero byte: on one line, and the same again when it is changed again.
pub fn merge_documents(bytes: &[u8]) {
    let Some((document, change)) = str::from_utf8(bytes).ok().and_then(|text| text.split_once('\0')) else { return };
    let Ok(merged) = merge(document, change) else { return };
    assert!(!merged.contains(['\n', '\r']));
    assert_eq!(merge(&merged, change).ok(), Some(merged));
}

/// The address of a node: what passes is stored as it would be read again, and holds no password.
pub fn backend_url(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(stored) = node_url(text, PlainHttp::Everywhere) {
        assert_eq!(node_url(&stored, PlainHttp::Everywhere).as_ref(), Ok(&stored));
        assert!(!stored.contains('@'));
    }
}

/// A message of PostgreSQL's output plugin.
pub fn pgoutput(bytes: &[u8]) {
    replication::is_message(bytes);
}

/// A cron expression: what passes comes, and later than now.
pub fn schedule(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(schedule) = Schedule::parse(None, Some(text), "Europe/Berlin") {
        let now = DateTime::UNIX_EPOCH;
        assert!(schedule.next_after(now).is_some_and(|next| next > now));
    }
}

/// A scoped token: nothing passes that was not signed, and what was says what was signed, as long as its filter is one.
pub fn scoped_token(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let signer = Signer::new("a secret of the fuzzer's own");
    assert_eq!(signer.verify(text), None);
    let (organization_id, index_id, key_id) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let claims = Claims { organization_id, index_id, key_id, filter_by: text.to_owned(), expires_at: None };
    let Some(token) = signer.sign(&claims) else { return };
    assert_eq!(signer.verify(&token), filter::check(text).is_ok().then_some(claims));
    assert_eq!(Signer::new("another secret").verify(&token), None);
}

/// Why Typesense refused a document: it is named in twelve digits, whatever numbers it holds.
pub fn error_signature(bytes: &[u8]) {
    let Ok(message) = str::from_utf8(bytes) else { return };
    let named = signature("document_refused", message);
    assert!(named.len() == 12 && named.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if !message.contains('`') {
        assert_eq!(signature("document_refused", &message.replace(|c: char| c.is_ascii_digit(), "7")), named);
    }
}

/// A caller's order: what passes is sent as it would be read again.
pub fn sort(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let rendered = |text: &str| {
        let keys: Vec<&str> = sort::split(text).collect();
        let keys = sort::parse(&keys).ok()?;
        Some(keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    };
    if let Some(sent) = rendered(text) {
        assert_eq!(rendered(&sent).as_ref(), Some(&sent));
    }
}
