//! What a hostile tenant may send: almost valid filters, orders, lists and names, by a grammar and by mutation.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

/// Pieces that mutations put in: what opens, closes, joins and quotes, and parts of filters that were seen to leak.
const PIECES: [&str; 42] = [
    "tenantId:!=zzz",
    "tenantId:*",
    "tenantId:",
    "(tenantId:!=zzz)",
    "&& tenantId:!=`a`",
    "|| tenantId:!=`a`",
    "(",
    ")",
    "((",
    "))",
    " ",
    "`",
    "``",
    "&&",
    "||",
    " && ",
    " || ",
    "\\`",
    "\\",
    "[",
    "]",
    "[[",
    ",",
    ":",
    ":(",
    ":=",
    ":!=",
    ":>",
    "= ",
    "&",
    "|",
    "!",
    "\"",
    "'",
    "$books(year:>0)",
    "$",
    "*",
    "..",
    "(48.8, 2.3, 5 km)",
    "year:>0) || (year:>0",
    "\u{202e}",
    "\n",
];
const FIELDS: [&str; 12] = [
    "title",
    "tags",
    "genre",
    "year",
    "price",
    "place",
    "id",
    "nope",
    "tenantId",
    "_tidewell_version",
    "tenant.id",
    ".*",
];
const WORDS: [&str; 16] = [
    "red", "x", "kettle", "qz", "foreign0", "own1", "größe", "日本", ") || (", "a && b", "`", "red`", "*", "null",
    "zzz", "re",
];

pub(super) struct Hostile<'a> {
    random: StdRng,
    names: &'a [String],
}

impl<'a> Hostile<'a> {
    /// `names` are collections that are not the tenant's to name.
    pub(super) fn new(random: StdRng, names: &'a [String]) -> Self {
        Self { random, names }
    }

    fn one<'b>(&mut self, of: &[&'b str]) -> &'b str {
        of.choose(&mut self.random).expect("one")
    }

    fn often(&mut self, chance: f64) -> bool {
        self.random.random_bool(chance)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    /// The name of an index, as a segment of a path.
    pub(super) fn index(&mut self) -> String {
        let name = self.name();
        name.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    fn name(&mut self) -> String {
        match self.below(20) {
            0 => self.names.choose(&mut self.random).expect("a name").clone(),
            1 => self
                .one(&[
                    "other",
                    "books_v1",
                    "*",
                    "books,other",
                    "../books",
                    "books/../other",
                    "BOOKS",
                    " books",
                    "tidewell",
                    "%",
                ])
                .to_owned(),
            _ => "books".to_owned(),
        }
    }

    pub(super) fn id(&mut self) -> String {
        let id = match self.below(4) {
            0 => format!("own{}", self.below(5)),
            1 => format!("foreign{}", self.below(3)),
            2 => {
                let start = self.one(&["own1", "foreign0", "a"]).to_owned();
                let more = self.one(&[
                    "`]) || (id:=[`foreign0",
                    "]) || (year:>0",
                    ",foreign0",
                    " || year:>0",
                    ") && (",
                    "*",
                    "&&",
                    "ü",
                ]);
                start + more
            }
            _ => self.filter(),
        };
        id.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    /// By the grammar, and in most cases then bent.
    pub(super) fn filter(&mut self) -> String {
        let mut filter = self.expression(0);
        if self.often(0.4) {
            for _ in 0..=self.below(2) {
                filter = self.mutated(&filter);
            }
        }
        filter
    }

    fn expression(&mut self, depth: usize) -> String {
        let mut expression = self.term(depth);
        for _ in 0..self.below(3) {
            let sound = self.often(0.95);
            let glue =
                if sound { self.one(&[" && ", " || ", "&&", "||"]) } else { self.one(&[" ", "", ") || (", ","]) };
            expression = expression + glue + self.term(depth).as_str();
        }
        expression
    }

    fn term(&mut self, depth: usize) -> String {
        if depth < 4 && self.often(0.25) {
            return format!("({})", self.expression(depth + 1));
        }
        let field = if self.often(0.95) { self.one(&FIELDS[..6]) } else { self.one(&FIELDS) };
        format!("{field}:{}", self.value(field))
    }

    fn value(&mut self, field: &str) -> String {
        match field {
            "year" | "price" => {
                let (n, m) = (self.below(10), self.below(60_000));
                let shapes = [
                    format!(">={n}"),
                    format!("<{m}"),
                    format!("!={n}"),
                    format!("[{n}..{m}]"),
                    format!("=[{n},{m}]"),
                    format!("-{n}"),
                ];
                shapes.choose(&mut self.random).expect("one").clone()
            }
            "place" => self
                .one(&["(48.8, 2.3, 5 km)", "(48.9,2.2,48.9,2.4,48.7,2.4,48.7,2.2)", "(48.8, 2.3, 5 mi)", "(1,2"])
                .to_owned(),
            _ => {
                let (word, other) = (self.one(&WORDS), self.one(&WORDS));
                let sound = |word: &str| !word.contains(['(', '&', '`', '*']);
                let (word, other) =
                    if sound(word) && sound(other) || self.often(0.2) { (word, other) } else { ("red", "x") };
                let operator = self.one(&["", "=", "!=", "", "="]);
                match self.below(5) {
                    0 => format!("{operator}{word}"),
                    1 => format!("{operator}`{word}`"),
                    2 => format!("{operator}[{word},`{other}`]"),
                    3 => format!("{operator}[`{word}`, {other}]"),
                    _ => format!("{operator}{word}*"),
                }
            }
        }
    }

    /// A text with something put in, taken out, doubled or turned round.
    fn mutated(&mut self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        let (a, b) = (self.below(chars.len() + 1), self.below(chars.len() + 1));
        let (from, to) = (a.min(b), a.max(b));
        match self.below(5) {
            0 | 1 => {
                let piece = self.one(&PIECES);
                chars.splice(from..from, piece.chars());
            }
            2 => drop(chars.drain(from..to.min(from + 4))),
            3 => {
                let again = chars[from..to].to_vec();
                chars.splice(to..to, again);
            }
            _ => chars[from..to].reverse(),
        }
        chars.into_iter().collect()
    }

    /// A value for a parameter, by Typesense's name for it.
    fn parameter(&mut self, name: &str) -> String {
        let bent = |hostile: &mut Self, sound: &str| match hostile.often(0.08) {
            true => hostile.mutated(sound),
            false => sound.to_owned(),
        };
        match name {
            "q" => match self.below(3) {
                0 => "*".to_owned(),
                1 => self.one(&WORDS).to_owned(),
                _ => bent(self, "red kettle"),
            },
            "filter_by" => self.filter(),
            "sort_by" => {
                let sorts = [
                    "year:desc",
                    "year:asc,price:desc",
                    "place(48.8,2.3):asc",
                    "_text_match:desc",
                    "_eval(tenantId:zzz):desc",
                    "tenantId:asc",
                    "_seq_id:asc",
                    "$books(year:asc)",
                    "_text_match(buckets: 2):desc",
                    "id:asc",
                    "place(48.8,2.3):asc,year:asc",
                ];
                let sort = self.one(&sorts);
                bent(self, sort)
            }
            "query_by"
            | "facet_by"
            | "group_by"
            | "include_fields"
            | "exclude_fields"
            | "highlight_fields"
            | "highlight_full_fields" => {
                let sound: &[&str] = match name {
                    "query_by" => &["title", "title,tags", "genre,title", "tags"],
                    "facet_by" | "group_by" => &["genre", "year", "tags,genre", "year,genre"],
                    _ => &["title", "id,title,year", "*", "tenantId", "genre,tenantId"],
                };
                let hostile = [
                    "_tidewell_version",
                    "tenantId",
                    "*",
                    "$other(*)",
                    "$books(title)",
                    "genre(sort_by:_alpha)",
                    "year(a:[0,99999])",
                    "t*",
                    "title,$x(a)",
                ];
                let list = if self.often(0.9) { self.one(sound) } else { self.one(&hostile) };
                bent(self, list)
            }
            "facet_query" => self
                .one(&[
                    "genre:q",
                    "genre:x",
                    "tags:qz",
                    "tenantId:0",
                    "year:5",
                    "genre",
                    ":",
                    "genre:",
                    "genre:`) ||",
                    "_tidewell_version:1",
                ])
                .to_owned(),
            "page" | "limit" => self.one(&["1", "1", "2", "0", "-1", "1000", "99999999999", "x"]).to_owned(),
            "per_page" | "offset" => self.one(&["100", "10", "5", "0", "250", "-5", "1e3"]).to_owned(),
            "pinned_hits" | "hidden_hits" => self.one(&["foreign0:1", "foreign0:1,foreign1:2", "own1"]).to_owned(),
            "vector_query" => "title:([], id: foreign0)".to_owned(),
            "preset" | "override_tags" => "all".to_owned(),
            "infix" => self.one(&["always", "fallback", "off", "always,off"]).to_owned(),
            "tenantId" | "collection" => self.name(),
            _ => self.one(&["true", "false", "0", "1", "2", "off", "always"]).to_owned(),
        }
    }

    /// Some parameters; the rarer ones are those that go around filters.
    fn parameters(&mut self) -> Vec<(&'static str, String)> {
        const COMMON: [&str; 14] = [
            "q",
            "sort_by",
            "query_by",
            "facet_by",
            "facet_query",
            "include_fields",
            "exclude_fields",
            "highlight_fields",
            "highlight_full_fields",
            "per_page",
            "page",
            "group_by",
            "group_limit",
            "infix",
        ];
        const RARE: [&str; 16] = [
            "pinned_hits",
            "hidden_hits",
            "preset",
            "override_tags",
            "enable_overrides",
            "filter_curated_hits",
            "vector_query",
            "offset",
            "limit",
            "exhaustive_search",
            "use_cache",
            "prefix",
            "num_typos",
            "split_join_tokens",
            "tenantId",
            "filter_by",
        ];
        let mut chosen = vec!["filter_by"];
        for _ in 0..self.below(4) {
            chosen.push(self.one(&COMMON));
        }
        if self.often(0.08) {
            chosen.push(self.one(&RARE));
        }
        if self.often(0.9) {
            chosen.dedup();
        }
        chosen.into_iter().map(|name| (name, self.parameter(name))).collect()
    }

    /// A query string of Typesense's.
    pub(super) fn query(&mut self) -> Vec<(&'static str, String)> {
        self.parameters()
    }

    /// What a query string adds to several searches.
    pub(super) fn common(&mut self) -> Vec<(&'static str, String)> {
        let name = self.one(&["filter_by", "per_page", "q", "facet_by", "collection", "include_fields"]);
        if self.often(0.3) { vec![(name, self.parameter(name))] } else { vec![] }
    }

    /// One of several searches of Typesense's.
    pub(super) fn snake(&mut self) -> Value {
        let mut search: Map<String, Value> =
            self.parameters().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        search.insert("collection".to_owned(), json!(self.name()));
        Value::Object(search)
    }

    /// A search of ours.
    pub(super) fn camel(&mut self) -> Value {
        const NAMES: [(&str, &str); 11] = [
            ("q", "q"),
            ("filter_by", "filterBy"),
            ("sort_by", "sortBy"),
            ("query_by", "queryBy"),
            ("facet_by", "facetBy"),
            ("facet_query", "facetQuery"),
            ("include_fields", "includeFields"),
            ("exclude_fields", "excludeFields"),
            ("highlight_fields", "highlightFields"),
            ("highlight_full_fields", "highlightFullFields"),
            ("pinned_hits", "pinnedHits"),
        ];
        let parameters = self.parameters();
        let named = parameters.into_iter().filter_map(|(name, value)| {
            let (_, camel) = NAMES.iter().find(|(snake, _)| *snake == name)?;
            Some(((*camel).to_owned(), json!(value)))
        });
        Value::Object(named.collect())
    }

    /// One of several searches of ours.
    pub(super) fn named(&mut self) -> Value {
        let mut search = if self.often(0.6) {
            json!({ "filterBy": self.expression(3), "facetBy": "genre,year" })
        } else {
            self.camel()
        };
        search["index"] = json!(self.name());
        search
    }

    /// What is typed, for suggestions.
    pub(super) fn typed(&mut self) -> Value {
        let mut body =
            json!({ "q": self.one(&["r", "re", "ke", "q", "qz", "qzp", "red k", "x", "*", "`"]), "limit": 20 });
        if self.often(0.5) {
            body["filterBy"] = json!(self.filter());
        }
        if self.often(0.3) {
            body["fields"] = json!(self.parameter("query_by"));
        }
        body
    }
}
