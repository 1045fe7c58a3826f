//! What must come of a writer's acknowledged writes, by these alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What one writer knows of its own documents. Nobody else writes them, and it waits for each answer: the order of its requests is the
/// order of their acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Every document that was ever written, as it must be; `None`: deleted.
    pub(crate) documents: BTreeMap<String, Option<Value>>,
    /// `(id, title)` of every write that Typesense refuses.
    pub(crate) refused: BTreeSet<(String, String)>,
    /// The title of those that no later write of the document could overtake: they must be dead letters, all of them.
    pub(crate) last_refused: BTreeMap<String, String>,
    /// The rows of each job that was answered.
    pub(crate) jobs: BTreeMap<String, u64>,
    /// Rows that were acknowledged.
    pub(crate) accepted: u64,
    /// Rows of requests without a key whose answer was lost: they may have been accepted beside those that were answered.
    pub(crate) perhaps_accepted: u64,
}

impl Oracle {
    /// A document was acknowledged. One with a title that is no text is refused by Typesense, and leaves the one before it in its place.
    pub(crate) fn upsert(&mut self, document: Value) {
        let Some(id) = document["id"].as_str().map(str::to_owned) else { return };
        if document["title"].is_string() {
            self.last_refused.remove(&id);
            self.documents.insert(id, Some(document));
        } else {
            let title = document["title"].to_string();
            self.refused.insert((id.clone(), title.clone()));
            self.last_refused.insert(id.clone(), title);
            self.documents.entry(id).or_insert(None);
        }
    }

    pub(crate) fn delete(&mut self, id: &str) {
        self.last_refused.remove(id);
        self.documents.insert(id.to_owned(), None);
    }

    /// A letter's document was put in the place of what was refused.
    pub(crate) fn mend(&mut self, document: Value) {
        let id = document["id"].as_str().unwrap_or_default();
        if let Some(title) = self.last_refused.get(id) {
            self.refused.remove(&(id.to_owned(), title.clone()));
        }
        self.upsert(document);
    }

    /// A request of so many rows was acknowledged.
    pub(crate) fn accept(&mut self, job: &Value, rows: usize) {
        self.accepted += rows as u64;
        if let Some(id) = job["jobId"].as_str() {
            self.jobs.insert(id.to_owned(), rows as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_refused_leaves_the_document_before_it_in_its_place() {
        let mut oracle = Oracle::default();
        let good = json!({ "id": "a", "title": "good" });
        oracle.upsert(good.clone());
        oracle.upsert(json!({ "id": "a", "title": 7 }));
        oracle.upsert(json!({ "id": "never", "title": 8 }));
        assert_eq!(oracle.documents["a"], Some(good));
        assert_eq!(oracle.documents["never"], None);
        assert_eq!(oracle.last_refused.keys().collect::<Vec<_>>(), ["a", "never"]);
    }

    #[test]
    fn a_newer_write_may_overtake_what_is_refused_before_it_is_sent() {
        let mut oracle = Oracle::default();
        oracle.upsert(json!({ "id": "a", "title": 7 }));
        oracle.delete("a");
        assert!(oracle.last_refused.is_empty());
        assert_eq!(oracle.refused.len(), 1, "it may yet have been refused");
    }

    #[test]
    fn what_was_mended_is_no_letter_any_more() {
        let mut oracle = Oracle::default();
        oracle.upsert(json!({ "id": "a", "title": 7 }));
        oracle.mend(json!({ "id": "a", "title": "mended" }));
        assert!(oracle.refused.is_empty() && oracle.last_refused.is_empty());
        assert_eq!(oracle.documents["a"], Some(json!({ "id": "a", "title": "mended" })));
    }
}
