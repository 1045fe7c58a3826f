//! What a check has found, and what to do about it.

use serde::Serialize;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    /// It works, and may not for long, or not as it should.
    Warning,
    /// It must be fixed.
    Problem,
    /// It could not be checked.
    Unknown,
}

/// One check of one thing.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// The check's name: stable, snake_case.
    pub(super) check: &'static str,
    /// What it is about, where there are several: a backend's name, a table's.
    pub(super) subject: Option<String>,
    pub(super) verdict: Verdict,
    pub(super) found: String,
    /// What to do.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, subject: None, verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..Self::ok(check, found) }
    }

    pub(super) fn problem(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, ..Self::warning(check, found, remedy) }
    }

    pub(super) fn unknown(check: &'static str, reason: impl ToString) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::ok(check, format!("could not be checked: {}", reason.to_string())) }
    }

    pub(super) fn of(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// One line, and another one for what to do.
    pub(super) fn told(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "PROBLEM",
            Verdict::Unknown => "unknown",
        };
        let subject = self.subject.as_ref().map(|subject| format!(" {subject}")).unwrap_or_default();
        let remedy = self.remedy.as_ref().map(|remedy| format!("\n         do: {remedy}")).unwrap_or_default();
        format!("{verdict:<7}  {}{subject}: {}{remedy}", self.check, self.found)
    }
}

/// What an answer leads to; [`Verdict::Unknown`] where there is none.
pub(super) fn judged<T, E: ToString>(
    check: &'static str,
    asked: Result<T, E>,
    judge: impl FnOnce(T) -> Finding,
) -> Finding {
    asked.map_or_else(|error| Finding::unknown(check, error), judge)
}

/// Names, the first ten of them.
pub(super) fn listed(names: &[String]) -> String {
    const TOLD: usize = 10;
    let more = names.len().saturating_sub(TOLD);
    let told = names[..names.len().min(TOLD)].join(", ");
    if more > 0 { format!("{told} and {more} more") } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_tells_what_it_is_about_and_what_to_do() {
        let finding = Finding::problem("client", "it does not answer", "start it").of("shop");
        assert_eq!(finding.told(), "PROBLEM  client shop: it does not answer\n         do: start it");
        assert_eq!(Finding::ok("clock", "right").told(), "ok       clock: right");
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
        assert_eq!(listed(&names[..2]), "0, 1");
    }
}
