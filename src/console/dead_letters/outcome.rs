//! What can be done to letters, and how it ended.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::API;
use crate::console::{Console, api::Refusal, fields::Fields, parts::count, session::Session};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Act {
    Redrive,
    Discard,
}

impl Act {
    /// By the name of its value in a form.
    pub(super) fn of(fields: &Fields) -> Result<Self, Refusal> {
        match fields.text("act") {
            "redrive" => Ok(Self::Redrive),
            "discard" => Ok(Self::Discard),
            _ => Err(Refusal::of_field("act", "redrive or discard")),
        }
    }

    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Redrive => "Redrive",
            Self::Discard => "Discard",
        }
    }

    /// What it means, for whoever is about to.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Redrive => {
                "Each is tried again in its old place in the order: one whose document has a newer write ends without effect."
            }
            Self::Discard => {
                "They are gone for ever: what they would have written is not written. The trail of who did it stays."
            }
        }
    }

    /// Does it to some letters, or only counts them.
    pub(super) async fn on(
        self,
        console: &Console,
        session: &Session,
        which: (&str, Value),
        dry_run: bool,
    ) -> Result<Outcome, Refusal> {
        let verb = match self {
            Self::Redrive => "retry",
            Self::Discard => "discard",
        };
        let body: Map<String, Value> =
            [(which.0.to_owned(), which.1), ("dryRun".to_owned(), json!(dry_run))].into_iter().collect();
        console.api.post(session, &format!("{API}:{verb}"), &body.into()).await
    }
}

/// What became of letters, or would.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Outcome {
    pub(super) matched: i64,
    pub(super) retried: i64,
    pub(super) deferred: i64,
    pub(super) superseded: i64,
    discarded: i64,
}

impl Outcome {
    /// In a sentence.
    pub(super) fn told(&self, act: Act) -> String {
        if self.matched == 0 {
            return "There was no such dead letter any more.".to_owned();
        }
        if act == Act::Discard {
            return format!("{} discarded.", letters(self.discarded));
        }
        let mut told = format!("{} back in line", letters(self.retried));
        if self.superseded > 0 {
            told += &format!("; {} ended, since newer writes of their documents stand", count(self.superseded));
        }
        if self.deferred > 0 {
            told += &format!("; {} wait for the next run of their sync job", count(self.deferred));
        }
        told + "."
    }
}

/// A number of them.
pub(super) fn letters(number: i64) -> String {
    if number == 1 { "1 dead letter".to_owned() } else { format!("{} dead letters", count(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_told_with_what_is_unusual_about_it() {
        let told = |retried, superseded, deferred| {
            let matched = retried + superseded;
            Outcome { matched, retried, superseded, deferred, discarded: 0 }.told(Act::Redrive)
        };
        assert_eq!(told(1, 0, 0), "1 dead letter back in line.");
        assert_eq!(
            told(1200, 3, 1),
            "1,200 dead letters back in line; 3 ended, since newer writes of their documents stand; 1 wait for the next run of their \
             sync job."
        );
        assert_eq!(Outcome::default().told(Act::Discard), "There was no such dead letter any more.");
    }
}
