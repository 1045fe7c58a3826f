//! Bodies that are of the right shape and still wrong: every fault is collected before the answer.

use chrono::{DateTime, Datelike, Utc};

use super::{Error, Fault};
use crate::domain::slug;

/// Whether a moment lies in the years 1 to 9999, which the database and every reader of RFC 3339 take.
pub(super) fn is_storable(moment: DateTime<Utc>) -> bool {
    (1..=9999).contains(&moment.year())
}

/// The faults of one request.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Fault::new(field, message));
    }

    pub(super) fn slug(&mut self, text: &str) {
        if let Some(fault) = slug::slug_fault(text) {
            self.add("slug", fault);
        }
    }

    pub(super) fn name(&mut self, text: &str) {
        if let Some(fault) = slug::name_fault(text) {
            self.add("name", fault);
        }
    }

    /// A name by which something is found.
    pub(super) fn label(&mut self, text: &str) {
        if let Some(fault) = slug::label_fault(text) {
            self.add("name", fault);
        }
    }

    /// Passes where nothing is wrong.
    pub(super) fn check(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Self::validation(faults.0)
    }
}
