//! Documents by what became of them, as a picture and in figures.

use maud::{Markup, html};
use serde::Deserialize;

use crate::console::parts::{self, Tone, count};

#[derive(Deserialize)]
pub(super) struct Counts {
    pub(super) total: i64,
    pub(super) pending: i64,
    pub(super) succeeded: i64,
    pub(super) retrying: i64,
    pub(super) dead: i64,
    pub(super) superseded: i64,
}

impl Counts {
    /// In the order in which they are shown.
    fn parts(&self) -> [(&'static str, Tone, i64); 5] {
        [
            ("succeeded", Tone::Good, self.succeeded),
            ("superseded", Tone::Quiet, self.superseded),
            ("retrying", Tone::Warn, self.retrying),
            ("pending", Tone::Busy, self.pending),
            ("dead", Tone::Bad, self.dead),
        ]
    }

    /// A bar whose pieces are as long as their shares.
    pub(super) fn bar(&self) -> Markup {
        let parts = self.parts();
        let there = parts.iter().filter(|(.., number)| *number > 0);
        let label = there.map(|(name, _, number)| format!("{} {name}", count(*number))).collect::<Vec<_>>().join(", ");
        let share = |number: i64| number as f64 / self.total.max(1) as f64 * 100.0;
        let pieces = parts.iter().scan(0.0, |from, (name, tone, number)| {
            let at = *from;
            *from += share(*number);
            Some((*name, *tone, at, share(*number)))
        });
        html! {
            svg .tally viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label=(if label.is_empty() { "no documents" } else { &label }) {
                @for (_, tone, at, wide) in pieces.filter(|(.., wide)| *wide > 0.0) {
                    rect class=(tone.class()) x=(format!("{at:.2}")) y="0" width=(format!("{wide:.2}")) height="8" {}
                }
            }
        }
    }

    /// Each as a figure; what there is none of is left quiet.
    pub(super) fn figures(&self) -> Markup {
        html! {
            div .figures {
                (parts::figure(Tone::Quiet, &html! { (count(self.total)) }, "documents", None))
                @for (name, tone, number) in self.parts() {
                    (parts::figure(if number > 0 { tone } else { Tone::Quiet }, &html! { (count(number)) }, name, None))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_pieces_together() {
        let counts = Counts { total: 8, pending: 0, succeeded: 6, retrying: 0, dead: 2, superseded: 0 };
        let bar = counts.bar().into_string();
        assert!(bar.contains(r#"aria-label="6 succeeded, 2 dead""#), "{bar}");
        assert!(bar.contains(r#"<rect class="good" x="0.00" y="0" width="75.00""#), "{bar}");
        assert!(bar.contains(r#"<rect class="bad" x="75.00" y="0" width="25.00""#), "{bar}");
        let none = Counts { total: 0, pending: 0, succeeded: 0, retrying: 0, dead: 0, superseded: 0 };
        assert!(!none.bar().into_string().contains("NaN"));
    }
}
