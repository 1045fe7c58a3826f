//! A search's parameters: nothing of a caller's reaches Typesense but what is named here, each checked.

use std::{borrow::Cow, fmt::Write, sync::Arc};

use super::{
    mode::Ranking,
    request::Ask,
    run::Search,
    values::{Kind, Named},
};
use crate::{
    db::index::Index,
    domain::{
        document::{VECTOR_FIELD, VERSION_FIELD},
        fields,
    },
    http::{Error, Fault},
};

const MAX_PER_PAGE: u32 = 100;
/// How deep pages go: Typesense sorts everything before the page, too.
const MAX_DEPTH: u64 = 10_000;
/// Hits of a page in all its groups.
const MAX_HITS: u64 = 300;
/// Hits of a group, where nothing else is said.
const GROUP_LIMIT: u64 = 3;
/// After how long Typesense gives what it has found so far.
const CUT_OFF_MS: u32 = 5000;

/// Typesense 0.24's parameters that callers may set. Missing on purpose are those that go around filters (`pinned_hits`,
/// overrides, presets), reach beyond the index (joins), or cost more than one search does (vectors of the caller's, conversations).
const OFFERED: [(&str, Kind); 39] = [
    ("q", Kind::Query),
    ("query_by", Kind::Searched),
    ("query_by_weights", Kind::Counts(127)),
    ("prefix", Kind::Flags),
    ("infix", Kind::Choices(&["off", "always", "fallback"])),
    ("max_extra_prefix", Kind::Count(100)),
    ("max_extra_suffix", Kind::Count(100)),
    ("pre_segmented_query", Kind::Flag),
    ("split_join_tokens", Kind::Choice(&["off", "fallback", "always"])),
    ("num_typos", Kind::Counts(2)),
    ("min_len_1typo", Kind::Count(100)),
    ("min_len_2typo", Kind::Count(100)),
    ("typo_tokens_threshold", Kind::Count(10_000)),
    ("drop_tokens_threshold", Kind::Count(10_000)),
    ("filter_by", Kind::Filter),
    ("sort_by", Kind::Order),
    ("prioritize_exact_match", Kind::Flag),
    ("prioritize_token_position", Kind::Flag),
    ("text_match_type", Kind::Choice(&["max_score", "max_weight"])),
    ("exhaustive_search", Kind::Flag),
    ("max_candidates", Kind::Count(10_000)),
    ("search_cutoff_ms", Kind::Count(CUT_OFF_MS)),
    ("facet_by", Kind::Searched),
    ("facet_query", Kind::FacetQuery),
    ("facet_query_num_typos", Kind::Count(2)),
    ("max_facet_values", Kind::Count(1000)),
    ("group_by", Kind::Searched),
    ("group_limit", Kind::Count(99)),
    ("include_fields", Kind::Shown),
    ("exclude_fields", Kind::Shown),
    ("highlight_fields", Kind::Shown),
    ("highlight_full_fields", Kind::Shown),
    ("highlight_affix_num_tokens", Kind::Count(100)),
    ("highlight_start_tag", Kind::Tag),
    ("highlight_end_tag", Kind::Tag),
    ("snippet_threshold", Kind::Count(1000)),
    ("enable_highlight_v1", Kind::Flag),
    ("page", Kind::Count(u32::MAX)),
    ("per_page", Kind::Count(u32::MAX)),
];

/// Taken from Typesense's own callers, and judged here.
const NATIVE: [(&str, Kind); 6] = [
    // Typesense 0.24.1 overlooks both.
    ("limit", Kind::Count(u32::MAX)),
    ("offset", Kind::Count(u32::MAX)),
    ("enable_overrides", Kind::Off),
    ("use_cache", Kind::Ignored),
    ("cache_ttl", Kind::Ignored),
    ("x-typesense-user-id", Kind::Ignored),
];

/// How a caller spells parameters: `filter_by` or `filterBy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Spelling {
    Snake,
    Camel,
}

impl Spelling {
    pub(super) fn of(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Snake => Cow::Borrowed(name),
            Self::Camel => {
                let mut parts = name.split('_');
                let mut camel = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let (first, rest) = part.split_at(part.len().min(1));
                    _ = write!(camel, "{}{rest}", first.to_ascii_uppercase());
                }
                Cow::Owned(camel)
            }
        }
    }
}

/// Parameters as they come in.
#[derive(Debug)]
pub(in crate::http) struct Parameters {
    spelling: Spelling,
    ranking: Ranking,
    set: Vec<(&'static str, String)>,
}

impl Parameters {
    pub(in crate::http) fn new(spelling: Spelling) -> Self {
        Self { spelling, ranking: Ranking::Keyword, set: Vec::with_capacity(12) }
    }

    /// Has hits ranked in this way.
    pub(in crate::http) fn rank(&mut self, ranking: Ranking) {
        self.ranking = ranking;
    }

    /// Takes one by Typesense's name for it, lists as text with commas. An empty one counts as left out, as with Typesense.
    pub(in crate::http) fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        if value.is_empty() && name != "q" {
            return Ok(());
        }
        let Some((name, kind)) = OFFERED.iter().chain(&NATIVE).find(|(offered, _)| *offered == name) else {
            let name: String = name.chars().filter(|c| !c.is_control()).take(50).collect();
            return Err(Error::invalid(format!("the parameter {name} is not offered")));
        };
        if self.get(name).is_some() {
            return Err(Error::invalid(format!("the parameter {} stands twice", self.spelling.of(name))));
        }
        if let Some(value) = kind.check(&Named { name, spelling: self.spelling }, value)? {
            self.set.push((name, value));
        }
        Ok(())
    }

    pub(in crate::http) fn get(&self, name: &str) -> Option<&str> {
        self.set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.as_str())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let position = self.set.iter().position(|(set, _)| *set == name)?;
        Some(self.set.swap_remove(position).1)
    }

    fn take_count(&mut self, name: &str) -> Option<u32> {
        self.take(name)?.parse().ok()
    }

    /// The search that they make of an index, with what is left out filled in.
    pub(in crate::http) fn search(mut self, index: Arc<Index>) -> Result<Search, Error> {
        if self.get("query_by").is_none() {
            let fields = fields::searchable(&index.fields);
            if !fields.is_empty() {
                self.set.push(("query_by", fields.join(",")));
            } else if self.ranking != Ranking::Vector && self.get("q").is_some_and(|q| q != "*") {
                let name = self.spelling.of("query_by");
                return Err(Error::invalid(format!("{name}: the index has no string fields to search in by default")));
            }
        }
        Ok(Search { index, ask: self.ask(&[VERSION_FIELD, VECTOR_FIELD])? })
    }

    /// What they ask of a collection that is no index's; `searched` are the fields that it looks in where nothing else is said.
    pub(in crate::http) fn of_collection(mut self, searched: &[String]) -> Result<Ask, Error> {
        if self.get("query_by").is_none() && !searched.is_empty() {
            self.set.push(("query_by", searched.join(",")));
        }
        self.ask(&[VECTOR_FIELD])
    }

    /// What they ask; hits show none of the fields that are `hidden`.
    fn ask(mut self, hidden: &[&str]) -> Result<Ask, Error> {
        let (page, per_page) = self.extent()?;
        let q = self.take("q").unwrap_or_else(|| "*".to_owned());
        if self.ranking != Ranking::Keyword {
            self.check_meaning(&q)?;
        }
        let hides_id = matches!(self.ranking, Ranking::Hybrid { .. }) && self.bear_ids();
        let excluded: Vec<String> =
            self.take("exclude_fields").into_iter().chain(hidden.iter().map(|&field| field.to_owned())).collect();
        let cut_off = self.take_count("search_cutoff_ms").filter(|ms| *ms > 0).unwrap_or(CUT_OFF_MS);
        let filter = self.take("filter_by");
        self.set.extend([
            ("exclude_fields", excluded.join(",")),
            ("search_cutoff_ms", cut_off.to_string()),
            ("enable_overrides", "false".to_owned()),
        ]);
        Ok(Ask { q, page, per_page, ranking: self.ranking, spelling: self.spelling, filter, hides_id, sent: self.set })
    }

    /// Has every document bear its id, by which rankings are fused. Whether it is not to be shown.
    fn bear_ids(&mut self) -> bool {
        let included = self.take("include_fields");
        let excluded = self.take("exclude_fields").unwrap_or_default();
        let (hidden, excluded): (Vec<&str>, Vec<&str>) = excluded.split(',').partition(|name| *name == "id");
        let lacks_id = included.as_ref().is_some_and(|names| names.split(',').all(|name| name != "id"));
        self.set.extend(included.map(|names| ("include_fields", if lacks_id { names + ",id" } else { names })));
        self.set
            .extend(Some(excluded.join(",")).filter(|names| !names.is_empty()).map(|names| ("exclude_fields", names)));
        lacks_id || !hidden.is_empty()
    }

    /// Refuses what a ranking by meaning leaves no room for.
    fn check_meaning(&self, q: &str) -> Result<(), Error> {
        if q.trim().trim_matches('*').trim().is_empty() {
            return Err(Error::invalid("q: must say what is looked for: everything, with *, is found by mode keyword"));
        }
        if self.get("sort_by").is_some() {
            let name = self.spelling.of("sort_by");
            let detail = format!("{name}: a search by meaning has its own order: leave it out, or use mode keyword");
            return Err(Error::Invalid { code: "invalid_sort", detail });
        }
        Ok(())
    }

    /// Which page, and of how many hits. Typesense 0.24.1 knows no `offset`, so it must be where a page begins.
    fn extent(&mut self) -> Result<(u32, u32), Error> {
        let limit = self.take_count("limit");
        let per_page = self.take_count("per_page").or(limit).unwrap_or(10);
        let offset = self.take_count("offset");
        let page = self.take_count("page");
        let mut faults = Vec::new();
        let fault = |name: &str, message: String| Fault::new(&self.spelling.of(name), message);
        if per_page > MAX_PER_PAGE {
            faults.push(fault("per_page", format!("at most {MAX_PER_PAGE}")));
        }
        let page = match (page, offset) {
            (page, None) => page.unwrap_or(1),
            (None, Some(0)) => 1,
            (None, Some(offset)) if per_page > 0 && offset % per_page == 0 => offset / per_page + 1,
            (None, Some(_)) => {
                faults.push(fault("offset", "must be a multiple of limit: pages are what is offered".to_owned()));
                1
            }
            (Some(_), Some(_)) => {
                faults.push(fault("offset", "stands beside page: send one of them".to_owned()));
                1
            }
        };
        if page == 0 {
            faults.push(fault("page", "from 1".to_owned()));
        }
        // A page without hits has its number, too, and Typesense takes no more than 31 bits of it.
        if u64::from(page) * u64::from(per_page.max(1)) > MAX_DEPTH {
            let (per_page, filter) = (self.spelling.of("per_page"), self.spelling.of("filter_by"));
            let message =
                format!("page times {per_page} may be {MAX_DEPTH} at most: narrow the search with {filter} instead");
            faults.push(fault("page", message));
        }
        if u64::from(per_page) * self.group_limit() > MAX_HITS {
            let message = format!("times {} may be {MAX_HITS} at most", self.spelling.of("per_page"));
            faults.push(fault("group_limit", message));
        }
        if faults.is_empty() { Ok((page, per_page)) } else { Err(Error::validation(faults)) }
    }

    /// How many documents stand for one hit of a page.
    fn group_limit(&self) -> u64 {
        let grouped = self.get("group_by").map_or(1, |_| GROUP_LIMIT);
        self.get("group_limit").and_then(|limit| limit.parse().ok()).unwrap_or(grouped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(given: &[(&str, &str)]) -> Option<(u32, u32)> {
        let mut parameters = Parameters::new(Spelling::Snake);
        given.iter().try_for_each(|(name, value)| parameters.set(name, value)).ok()?;
        parameters.extent().ok()
    }

    #[test]
    fn pages_end_at_the_ten_thousandth_document() {
        for (page, per_page, good) in [
            ("1000", "10", true),
            ("1001", "10", false),
            ("100", "100", true),
            ("101", "100", false),
            ("4294967295", "100", false),
            ("0", "10", false),
            ("1", "0", true),
            ("10000", "0", true),
            ("10001", "0", false),
            ("2147483648", "0", false),
        ] {
            assert_eq!(extent(&[("page", page), ("per_page", per_page)]).is_some(), good, "{page} {per_page}");
        }
    }

    #[test]
    fn an_offset_is_where_a_page_begins() {
        assert_eq!(extent(&[]), Some((1, 10)));
        assert_eq!(extent(&[("limit", "5"), ("offset", "20")]), Some((5, 5)));
        assert_eq!(extent(&[("offset", "0")]), Some((1, 10)));
        assert_eq!(extent(&[("offset", "20"), ("limit", "0")]), None);
        assert_eq!(extent(&[("offset", "7")]), None);
        assert_eq!(extent(&[("offset", "10000")]), None);
    }

    #[test]
    fn groups_of_a_page_hold_300_documents_at_most() {
        for (given, good) in [
            (&[("per_page", "100"), ("group_by", "a"), ("group_limit", "99")][..], false),
            (&[("per_page", "30"), ("group_by", "a"), ("group_limit", "10")], true),
            (&[("per_page", "31"), ("group_by", "a"), ("group_limit", "10")], false),
            (&[("limit", "31"), ("group_by", "a"), ("group_limit", "10")], false),
            (&[("per_page", "100"), ("group_by", "a")], true),
            (&[("per_page", "100"), ("group_by", "a"), ("group_limit", "4")], false),
            (&[("group_by", "a"), ("group_limit", "30")], true),
            (&[("group_by", "a"), ("group_limit", "31")], false),
            (&[("per_page", "100")], true),
        ] {
            assert_eq!(extent(given).is_some(), good, "{given:?}");
        }
    }

    #[test]
    fn a_parameter_is_told_of_as_it_was_spelled() {
        assert_eq!(Spelling::Camel.of("highlight_full_fields"), "highlightFullFields");
        assert_eq!(Spelling::Camel.of("q"), "q");
        assert_eq!(Spelling::Snake.of("filter_by"), "filter_by");
    }
}
