//! Searches by words and by meaning at once: two rankings of documents, fused, and one page of them.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use super::{
    fusion::{Fused, Ranked, fuse},
    meaning::{Failure, one, query},
    parameters::Spelling,
    request::{Ask, By, Part, Shows},
};
use crate::{
    embed::Vector,
    http::Error,
    typesense::{self, Client, Found, goes_by_path, naming},
};

/// The best of each half that are fused: as many as a page has, and no fewer than this. Typesense reads every document that it gives from
/// its store, vector and all, which is what the time of a hybrid search goes into; more would bring in only what both halves rank low.
const HALF: u32 = 30;

/// A hit, property by property.
type Hit = BTreeMap<String, Box<RawValue>>;

/// Both halves give whole documents: to ask for those of the page alone would be a second search, which takes longer than it spares.
pub(super) async fn run(
    client: &Client,
    ask: &Ask,
    alpha: f64,
    vector: impl Future<Output = Result<Option<Vector>, Error>>,
    request: impl Fn(&Part<'_>) -> Result<String, Error>,
) -> Result<Found, Failure> {
    // The same for each page, or a document could stand on two of them.
    let most = ask.per_page.max(HALF);
    let by_words = async { one(client, &request(&half(By::Words, most))?).await };
    let by_meaning = async {
        let Some(vector) = vector.await? else { return Ok(Found::default()) };
        one(client, &request(&half(By::Meaning(&query(&vector, most)), most))?).await
    };
    let (by_words, by_meaning) = futures::future::try_join(by_words, by_meaning).await?;
    let (words, mut word_hits) = ranked(&by_words)?;
    let (meaning, mut meaning_hits) = ranked(&by_meaning)?;
    let fused = fuse(&words, &meaning, alpha);
    let skipped = (ask.page - 1).saturating_mul(ask.per_page) as usize;
    let page = fused.iter().skip(skipped).take(ask.per_page as usize);
    // The half by words has highlighted what it found.
    let hits =
        page.filter_map(|fused| Some((fused, word_hits.remove(fused.id).or_else(|| meaning_hits.remove(fused.id))?)));
    let hits = hits.map(|(fused, mut hit)| {
        hit.remove("vector_distance");
        if ask.hides_id {
            hide_id(&mut hit)?;
        }
        hit.insert("fusion".to_owned(), to_raw_value(&told(fused, ask.spelling))?);
        Ok(hit)
    });
    let hits = hits.collect::<serde_json::Result<Vec<_>>>().and_then(|hits| to_raw_value(&hits));

    let mut found = Found::nothing(ask.page.into());
    found.hits = Some(hits.map_err(typesense::Error::Answer)?);
    found.found = fused.len() as u64;
    found.search_time_ms = by_words.search_time_ms.max(by_meaning.search_time_ms);
    found.search_cutoff = by_words.search_cutoff || by_meaning.search_cutoff;
    let nameable: Vec<&str> = fused.iter().map(|fused| fused.id).filter(|id| !goes_by_path(id)).collect();
    if ask.wants_facets() && !nameable.is_empty() {
        let ids = naming(&nameable);
        let counted = Part { by: By::Filter, shows: Shows::Facets, page: 1, per_page: 0, ids: Some(&ids) };
        let counted = one(client, &request(&counted)?).await?;
        found.search_time_ms += counted.search_time_ms;
        found.search_cutoff |= counted.search_cutoff;
        found.facet_counts = counted.facet_counts;
    }
    Ok(found)
}

fn half(by: By<'_>, most: u32) -> Part<'_> {
    Part { by, shows: Shows::Documents, page: 1, per_page: most, ids: None }
}

/// What a half has found, in its order, and each hit by its document's id.
fn ranked(found: &Found) -> Result<(Vec<Ranked>, HashMap<String, Hit>), typesense::Error> {
    #[derive(Deserialize)]
    struct Document {
        id: String,
    }
    let Some(hits) = &found.hits else { return Ok(Default::default()) };
    let hits: Vec<Hit> = serde_json::from_str(hits.get()).map_err(typesense::Error::Answer)?;
    let mut ranked = Vec::with_capacity(hits.len());
    let mut by_id = HashMap::with_capacity(hits.len());
    for hit in hits {
        let document = hit.get("document").map_or("null", |document| document.get());
        let Document { id } = serde_json::from_str(document).map_err(typesense::Error::Answer)?;
        let distance = hit.get("vector_distance").and_then(|distance| distance.get().parse().ok());
        ranked.push(Ranked { id: id.clone(), distance });
        by_id.insert(id, hit);
    }
    Ok((ranked, by_id))
}

fn hide_id(hit: &mut Hit) -> serde_json::Result<()> {
    if let Some(document) = hit.get_mut("document") {
        let mut shown: BTreeMap<String, Box<RawValue>> = serde_json::from_str(document.get())?;
        shown.remove("id");
        *document = to_raw_value(&shown)?;
    }
    Ok(())
}

fn told(fused: &Fused<'_>, spelling: Spelling) -> Map<String, Value> {
    let all = [
        ("score", json!(fused.score)),
        ("keyword_rank", json!(fused.keyword_rank)),
        ("vector_rank", json!(fused.vector_rank)),
        ("vector_distance", json!(fused.vector_distance)),
    ];
    all.into_iter().map(|(name, value)| (spelling.of(name).into_owned(), value)).collect()
}
