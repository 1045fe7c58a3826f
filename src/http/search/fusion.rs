//! Two rankings made one.

use std::collections::HashMap;

/// How much the first ranks of a list stand out; the value that the method was published with.
const K: f64 = 60.0;

/// A document as one half of a search ranked it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranked {
    pub(super) id: String,
    /// Of its vector to the query's, where that half is by meaning.
    pub(super) distance: Option<f64>,
}

/// A document of the fused ranking; ranks count from 1, and are `None` where a half did not have it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fused<'a> {
    pub(super) id: &'a str,
    pub(super) score: f64,
    pub(super) keyword_rank: Option<u32>,
    pub(super) vector_rank: Option<u32>,
    pub(super) vector_distance: Option<f64>,
}

/// Fuses the rankings by words and by meaning into one, the best first, each document once. `alpha`, 0 to 1, weighs meaning.
///
/// Reciprocal rank fusion (Cormack, Clarke, Büttcher: "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
/// Methods", SIGIR 2009), weighted: `alpha / (60 + vector_rank) + (1 - alpha) / (60 + keyword_rank)`. It looks at ranks alone, so that
/// scores of text matches and distances of vectors need no common scale. Of equal scores the lower id is first: every page is cut
/// out of the same order.
pub(super) fn fuse<'a>(by_words: &'a [Ranked], by_meaning: &'a [Ranked], alpha: f64) -> Vec<Fused<'a>> {
    let mut fused: HashMap<&str, Fused<'a>> = HashMap::with_capacity(by_words.len() + by_meaning.len());
    let nowhere = |id| Fused { id, score: 0.0, keyword_rank: None, vector_rank: None, vector_distance: None };
    for (rank, Ranked { id, .. }) in (1..).zip(by_words) {
        let of_it = fused.entry(id).or_insert(nowhere(id));
        of_it.score += (1.0 - alpha) / (K + f64::from(rank));
        of_it.keyword_rank = Some(rank);
    }
    for (rank, Ranked { id, distance }) in (1..).zip(by_meaning) {
        let of_it = fused.entry(id).or_insert(nowhere(id));
        of_it.score += alpha / (K + f64::from(rank));
        (of_it.vector_rank, of_it.vector_distance) = (Some(rank), *distance);
    }
    let mut fused: Vec<_> = fused.into_values().collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(b.id)));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(ids: &str) -> Vec<Ranked> {
        ids.chars().map(|id| Ranked { id: id.to_string(), distance: Some(0.25) }).collect()
    }

    fn order(by_words: &str, by_meaning: &str, alpha: f64) -> String {
        fuse(&ranked(by_words), &ranked(by_meaning), alpha).iter().map(|fused| fused.id).collect()
    }

    #[test]
    fn what_both_halves_found_is_before_what_one_found() {
        assert_eq!(order("abc", "xcy", 0.5), "caxby");
        assert_eq!(order("", "", 0.5), "");
        assert_eq!(order("ba", "", 0.5), "ba");
    }

    #[test]
    fn alpha_weighs_meaning_and_loses_no_document() {
        assert_eq!(order("ab", "xy", 1.0), "xyab");
        assert_eq!(order("ab", "xy", 0.0), "abxy");
        assert_eq!(order("ab", "xy", 0.6), "xyab");
    }

    #[test]
    fn equal_scores_are_ordered_by_id() {
        assert_eq!(order("ba", "ab", 0.5), "ab");
        assert_eq!(order("z", "a", 0.5), "az");
    }

    #[test]
    fn a_fused_document_tells_where_it_came_from() {
        let (by_words, by_meaning) = (ranked("ab"), ranked("cb"));
        let fused = fuse(&by_words, &by_meaning, 0.25);
        let of = |id| fused.iter().find(|fused| fused.id == id).unwrap();
        assert_eq!(
            *of("b"),
            Fused {
                id: "b",
                score: 0.75 / 62.0 + 0.25 / 62.0,
                keyword_rank: Some(2),
                vector_rank: Some(2),
                vector_distance: Some(0.25),
            }
        );
        assert_eq!((of("a").vector_rank, of("a").vector_distance, of("c").keyword_rank), (None, None, None));
    }
}
