//! Documents of about 1 KB, the same in every run.

use std::fmt::Write;

use serde_json::{Value, json};

const WORDS: usize = 5000;
const TITLE_WORDS: usize = 6;
const DESCRIPTION_WORDS: usize = 100;
const CATEGORIES: [&str; 12] =
    ["books", "games", "garden", "kitchen", "music", "office", "outdoor", "pets", "sports", "tools", "toys", "travel"];

/// Makes documents out of a vocabulary.
pub(crate) struct Documents {
    vocabulary: Vec<String>,
}

/// The schema of the documents, in Typesense's words.
pub(crate) fn fields() -> Vec<Value> {
    vec![
        json!({ "name": "title", "type": "string" }),
        json!({ "name": "description", "type": "string" }),
        json!({ "name": "category", "type": "string", "facet": true }),
        json!({ "name": "price", "type": "float" }),
        json!({ "name": "created", "type": "int64" }),
    ]
}

impl Documents {
    pub(crate) fn new() -> Self {
        let mut random = Random(1);
        let mut vocabulary = Vec::with_capacity(WORDS);
        while vocabulary.len() < WORDS {
            let word: String = (0..2 + random.below(3)).map(|_| syllable(&mut random)).collect();
            if !vocabulary.contains(&word) {
                vocabulary.push(word);
            }
        }
        Self { vocabulary }
    }

    pub(crate) fn id(n: usize) -> String {
        format!("doc-{n:08}")
    }

    /// The document of that number, as JSON.
    pub(crate) fn json(&self, n: usize) -> String {
        self.json_of(n, DESCRIPTION_WORDS)
    }

    /// One with so many words in its description, of about eight bytes each.
    pub(crate) fn json_of(&self, n: usize, words: usize) -> String {
        let mut random = Random::of(n);
        let mut json = String::with_capacity(220 + words * 9);
        let _ = write!(json, r#"{{"id":"{}","title":""#, Self::id(n));
        self.text(&mut random, TITLE_WORDS, &mut json);
        json.push_str(r#"","description":""#);
        self.text(&mut random, words, &mut json);
        let category = CATEGORIES[random.below(CATEGORIES.len())];
        let (price, created) = (random.below(100_000), 1_700_000_000 + n);
        let _ = write!(
            json,
            r#"","category":"{category}","price":{}.{:02},"created":{created}}}"#,
            price / 100,
            price % 100
        );
        json
    }

    /// Words to search for, of the documents' own.
    pub(crate) fn query(&self, n: usize) -> String {
        let mut query = String::new();
        self.text(&mut Random::of(usize::MAX - n), 2, &mut query);
        query
    }

    /// Common words come more often than rare ones, as in any language.
    fn text(&self, random: &mut Random, words: usize, out: &mut String) {
        for n in 0..words {
            let part = random.unit();
            if n > 0 {
                out.push(' ');
            }
            out.push_str(&self.vocabulary[(part * part * WORDS as f64) as usize]);
        }
    }
}

fn syllable(random: &mut Random) -> String {
    const ONSETS: [&str; 16] = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr"];
    const RIMES: [&str; 12] = ["a", "e", "i", "o", "u", "an", "el", "in", "or", "us", "ai", "em"];
    format!("{}{}", ONSETS[random.below(ONSETS.len())], RIMES[random.below(RIMES.len())])
}

/// SplitMix64: the same numbers on every machine, in every version.
struct Random(u64);

impl Random {
    fn of(n: usize) -> Self {
        Self((n as u64).wrapping_mul(0x2545_F491_4F6C_DD1D))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }
}
