//! How hits are found and ranked: by their words, by their meaning, or by both.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::{Error, Fault};

/// How hits are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SearchMode)]
pub(in crate::http) enum Mode {
    /// By the words of `q`.
    #[default]
    Keyword,
    /// By how near their meaning is to that of `q`: the nearest 250.
    Vector,
    /// By both: the best 30 of each, or as many as a page has, ranked together.
    Hybrid,
}

/// A mode with what belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::http) enum Ranking {
    #[default]
    Keyword,
    Vector,
    /// `alpha`, 0 to 1, is how much meaning counts beside words.
    Hybrid {
        alpha: f64,
    },
}

impl Ranking {
    /// As metrics call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Vector => "vector",
            Self::Hybrid { .. } => "hybrid",
        }
    }

    /// # Errors
    /// An `alpha` that is none, or belongs to no mode.
    pub(in crate::http) fn of(mode: Option<Mode>, alpha: Option<f64>) -> Result<Self, Error> {
        let fault = |message: &str| Err(Error::validation(vec![Fault::new("alpha", message)]));
        match (mode.unwrap_or_default(), alpha) {
            (Mode::Hybrid, None) => Ok(Self::Hybrid { alpha: 0.5 }),
            (Mode::Hybrid, Some(alpha)) if (0.0..=1.0).contains(&alpha) => Ok(Self::Hybrid { alpha }),
            (Mode::Hybrid, Some(_)) => fault("from 0 to 1"),
            (_, Some(_)) => fault("belongs to mode hybrid"),
            (Mode::Keyword, None) => Ok(Self::Keyword),
            (Mode::Vector, None) => Ok(Self::Vector),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_a_share_and_belongs_to_hybrid() {
        let of = |mode, alpha| Ranking::of(mode, alpha).ok();
        assert_eq!(of(None, None), Some(Ranking::Keyword));
        assert_eq!(of(Some(Mode::Hybrid), None), Some(Ranking::Hybrid { alpha: 0.5 }));
        assert_eq!(of(Some(Mode::Hybrid), Some(1.0)), Some(Ranking::Hybrid { alpha: 1.0 }));
        for (mode, alpha) in [
            (Some(Mode::Hybrid), 1.01),
            (Some(Mode::Hybrid), -0.1),
            (Some(Mode::Hybrid), f64::NAN),
            (Some(Mode::Vector), 0.5),
            (None, 0.5),
        ] {
            assert_eq!(of(mode, Some(alpha)), None, "{mode:?} {alpha}");
        }
    }
}
