//! Bodies that are of the right shape and still wrong: every fault is collected before the answer.

use uuid::Uuid;

use super::{Error, Fault};
use crate::domain::slug;

const MAX_NAME: usize = 200;

/// The faults of one request.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Fault::new(field, message));
    }

    pub(super) fn slug(&mut self, text: &str) {
        if !slug::is_slug(text) {
            self.add("slug", slug::SLUG_RULE);
        } else if Uuid::try_parse(text).is_ok() {
            // Wherever a slug may stand an id may, too.
            self.add("slug", "must not look like an id");
        }
    }

    pub(super) fn name(&mut self, text: &str) {
        if !(1..=MAX_NAME).contains(&text.chars().count())
            || text.chars().any(char::is_control)
            || text.trim().is_empty()
        {
            self.add(
                "name",
                format!("must be 1 to {MAX_NAME} characters, not all of them blank, none a control character"),
            );
        }
    }

    /// Passes where nothing is wrong.
    pub(super) fn check(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::validation(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(judge: impl FnOnce(&mut Faults)) -> usize {
        let mut faults = Faults::default();
        judge(&mut faults);
        faults.0.len()
    }

    #[test]
    fn a_slug_can_never_be_taken_for_an_id() {
        assert_eq!(faults(|faults| faults.slug("acme-2")), 0);
        assert_eq!(faults(|faults| faults.slug("Acme")), 1);
        assert_eq!(faults(|faults| faults.slug("01890a5d-ac96-774b-bcce-b302099a8057")), 1);
        assert_eq!(faults(|faults| faults.slug("01890a5dac96774bbcceb302099a8057")), 1);
    }

    #[test]
    fn a_name_is_for_people_to_read() {
        for good in ["A", "Käse & Söhne", &"ü".repeat(200)] {
            assert_eq!(faults(|faults| faults.name(good)), 0, "{good}");
        }
        for bad in ["", " ", "a\nb", "\u{7f}", &"x".repeat(201)] {
            assert_eq!(faults(|faults| faults.name(bad)), 1, "{bad}");
        }
    }
}
