//! What an event says, as it is kept.

use std::fmt::Debug;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use uuid::Uuid;

/// What a line may be about, what tells most first: a line about a run of a sync job is looked for at the run.
const SUBJECTS: [&str; 3] = ["run_id", "reindex_id", "job_id"];
/// Characters of a text.
const CHARS: usize = 1000;
/// Names of fields whose values are kept nowhere, should one ever be logged.
const SECRETS: [&str; 5] = ["key", "password", "secret", "token", "url"];

/// Whether something with these fields may be about one of the subjects.
pub(super) fn has_subject(fields: &tracing::field::FieldSet) -> bool {
    SUBJECTS.iter().any(|name| fields.field(name).is_some())
}

/// The fields of an event or of a span.
#[derive(Debug, Default)]
pub(super) struct Heard {
    subjects: [Option<Uuid>; SUBJECTS.len()],
    pub(super) message: String,
    pub(super) fields: Map<String, Value>,
}

impl Heard {
    pub(super) fn subject(&self) -> Option<Uuid> {
        self.subjects.iter().copied().flatten().next()
    }

    fn keep(&mut self, field: &Field, value: Value) {
        let name = field.name();
        if !SECRETS.iter().any(|secret| name.ends_with(secret)) {
            self.fields.insert(name.to_owned(), value);
        }
    }
}

impl Visit for Heard {
    fn record_str(&mut self, field: &Field, value: &str) {
        let subject = SUBJECTS.iter().position(|name| *name == field.name());
        if let Some(place) = subject {
            self.subjects[place] = Uuid::try_parse(value).ok();
        }
        // PostgreSQL takes no NUL.
        let text: String = value.chars().take(CHARS).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect();
        match field.name() {
            "message" => self.message = text,
            _ => self.keep(field, text.into()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }
}
