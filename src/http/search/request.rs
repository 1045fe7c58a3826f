//! What is asked for, and the requests to Typesense that it becomes.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{mode::Ranking, parameters::Spelling};

/// What is asked for: all of it checked, wherever it is to be looked for.
#[derive(Debug)]
pub(in crate::http) struct Ask {
    pub(in crate::http) q: String,
    pub(in crate::http) page: u32,
    pub(in crate::http) per_page: u32,
    pub(in crate::http) ranking: Ranking,
    pub(in crate::http) spelling: Spelling,
    /// The caller's own.
    pub(in crate::http) filter: Option<String>,
    /// Documents bear their ids though they are not to be shown.
    pub(super) hides_id: bool,
    /// Everything else, by Typesense's names.
    pub(super) sent: Vec<(&'static str, String)>,
}

impl Ask {
    /// Whether it asks for facets.
    pub(super) fn wants_facets(&self) -> bool {
        self.sent.iter().any(|(name, _)| *name == "facet_by")
    }
}

/// What finds the documents of a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) enum By<'a> {
    Words,
    /// A vector query, in Typesense's syntax.
    Meaning(&'a str),
    /// Its filter alone.
    Filter,
}

/// What a request shows of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Shows {
    Documents,
    /// Nothing of them: they are counted.
    Facets,
    Both,
}

/// One of the requests that a search becomes.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Part<'a> {
    pub(super) by: By<'a>,
    pub(super) shows: Shows,
    pub(super) page: u32,
    pub(super) per_page: u32,
    /// Confined to documents of these ids, as a condition.
    pub(in crate::http) ids: Option<&'a str>,
}

impl Part<'_> {
    /// The whole of a search by words.
    pub(in crate::http) fn whole(ask: &Ask) -> Self {
        Self { by: By::Words, shows: Shows::Both, page: ask.page, per_page: ask.per_page, ids: None }
    }

    /// Whether a parameter of the search belongs to this request, too.
    fn takes(&self, name: &str) -> bool {
        let documents = matches!(self.shows, Shows::Documents | Shows::Both);
        match name {
            "search_cutoff_ms" | "enable_overrides" => true,
            "include_fields" | "exclude_fields" => documents,
            "facet_by" | "facet_query" | "facet_query_num_typos" | "max_facet_values" => {
                matches!(self.shows, Shows::Facets | Shows::Both)
            }
            "snippet_threshold" | "enable_highlight_v1" => documents && matches!(self.by, By::Words),
            name if name.starts_with("highlight_") => documents && matches!(self.by, By::Words),
            _ => matches!(self.by, By::Words),
        }
    }
}

/// A request as Typesense takes it.
pub(in crate::http) struct Request<'a> {
    pub(in crate::http) collection: &'a str,
    pub(in crate::http) ask: &'a Ask,
    pub(in crate::http) part: &'a Part<'a>,
    /// Everything that confines it.
    pub(in crate::http) filter: Option<&'a str>,
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { collection, ask, part, filter } = self;
        let mut request = serializer.serialize_map(None)?;
        request.serialize_entry("collection", collection)?;
        request.serialize_entry("q", if let By::Words = part.by { ask.q.as_str() } else { "*" })?;
        for (name, value) in ask.sent.iter().filter(|(name, _)| part.takes(name)) {
            request.serialize_entry(name, value)?;
        }
        if let By::Meaning(vector) = part.by {
            request.serialize_entry("vector_query", vector)?;
        }
        request.serialize_entry("page", &part.page)?;
        request.serialize_entry("per_page", &part.per_page)?;
        if let Some(filter) = filter {
            request.serialize_entry("filter_by", filter)?;
        }
        request.end()
    }
}
