//! Searches by words and by meaning at once: two rankings of ids, fused, and the documents of one page of them.

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

/// The best of each half that are fused. Typesense reads every document that it gives from its store, vector and all, though only its id
/// is asked for: that is what a hybrid search's time goes into.
const HALF: u32 = 100;

/// A hit, property by property.
type Hit = BTreeMap<String, Box<RawValue>>;

pub(super) async fn run(
    client: &Client,
    ask: &Ask,
    alpha: f64,
    vector: impl Future<Output = Result<Option<Vector>, Error>>,
    request: impl Fn(&Part<'_>) -> Result<String, Error>,
) -> Result<Found, Failure> {
    let by_words = async { one(client, &request(&half(By::Words))?).await };
    let by_meaning = async {
        let Some(vector) = vector.await? else { return Ok(None) };
        let query = query(&vector, HALF);
        let found = one(client, &request(&half(By::Meaning(&query)))?).await?;
        Ok(Some((query, found)))
    };
    let (by_words, by_meaning) = futures::future::try_join(by_words, by_meaning).await?;
    let (query, by_meaning) = by_meaning.unzip();
    let by_meaning = by_meaning.unwrap_or_default();
    let (words, meaning) = (ranked(&by_words)?, ranked(&by_meaning)?);
    let fused = fuse(&words, &meaning, alpha);
    let skipped = (ask.page - 1).saturating_mul(ask.per_page) as usize;
    let page: Vec<&Fused<'_>> = fused.iter().skip(skipped).take(ask.per_page as usize).collect();

    let mut requests = documents(&page, query.as_deref(), &request)?;
    let nameable: Vec<&str> = fused.iter().map(|fused| fused.id).filter(|id| !goes_by_path(id)).collect();
    let counts_facets = ask.wants_facets() && !nameable.is_empty();
    if counts_facets {
        let ids = naming(&nameable);
        requests.push(request(&Part { by: By::Filter, shows: Shows::Facets, page: 1, per_page: 0, ids: Some(&ids) })?);
    }
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    let answers = if requests.is_empty() { vec![] } else { client.search(&requests).await? };
    let mut answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut found = Found::nothing(ask.page.into());
    found.found = fused.len() as u64;
    found.search_time_ms = by_words.search_time_ms.max(by_meaning.search_time_ms)
        + answers.iter().map(|found| found.search_time_ms).sum::<u64>();
    found.search_cutoff = [&by_words, &by_meaning].into_iter().chain(&answers).any(|found| found.search_cutoff);
    found.facet_counts = if counts_facets { answers.pop().and_then(|facets| facets.facet_counts) } else { None };
    found.hits = Some(hits(&page, &answers, ask.spelling).map_err(typesense::Error::Answer)?);
    Ok(found)
}

fn half(by: By<'_>) -> Part<'_> {
    Part { by, shows: Shows::Ids, page: 1, per_page: HALF, ids: None }
}

/// What a half has found, in its order.
fn ranked(found: &Found) -> Result<Vec<Ranked>, typesense::Error> {
    #[derive(Deserialize)]
    struct Hit {
        document: Document,
        vector_distance: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Document {
        id: String,
    }
    let Some(hits) = &found.hits else { return Ok(vec![]) };
    let hits: Vec<Hit> = serde_json::from_str(hits.get()).map_err(typesense::Error::Answer)?;
    Ok(hits.into_iter().map(|hit| Ranked { id: hit.document.id, distance: hit.vector_distance }).collect())
}

/// The requests for a page's documents: those that the words found by the words again, so that what matches in them is highlighted.
fn documents(
    page: &[&Fused<'_>],
    query: Option<&str>,
    request: &impl Fn(&Part<'_>) -> Result<String, Error>,
) -> Result<Vec<String>, Error> {
    let (unnameable, nameable): (Vec<&Fused<'_>>, Vec<_>) = page.iter().partition(|fused| goes_by_path(fused.id));
    let (by_words, others): (Vec<&Fused<'_>>, Vec<_>) =
        nameable.into_iter().partition(|fused| fused.keyword_rank.is_some());
    let mut requests = Vec::new();
    let most = u32::try_from(page.len()).unwrap_or(u32::MAX);
    for (by, those) in [(By::Words, by_words), (By::Filter, others)] {
        if !those.is_empty() {
            let ids: Vec<&str> = those.iter().map(|fused| fused.id).collect();
            let part = Part { by, shows: Shows::Documents, page: 1, per_page: most, ids: Some(&naming(&ids)) };
            requests.push(request(&part)?);
        }
    }
    // What no filter can name stands where its half has ranked it.
    for fused in unnameable {
        let (by, page) = match (fused.keyword_rank, fused.vector_rank, query) {
            (Some(rank), ..) => (By::Words, rank),
            (None, Some(rank), Some(query)) => (By::Meaning(query), rank),
            _ => continue,
        };
        requests.push(request(&Part { by, shows: Shows::Documents, page, per_page: 1, ids: None })?);
    }
    Ok(requests)
}

/// The hits of a page in their order, each with how it came to stand there. A document that has vanished meanwhile is left out.
fn hits(page: &[&Fused<'_>], answers: &[Found], spelling: Spelling) -> serde_json::Result<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Document {
        id: String,
    }
    let mut found: HashMap<String, Hit> = HashMap::with_capacity(page.len());
    for hits in answers.iter().filter_map(|answer| answer.hits.as_ref()) {
        for hit in serde_json::from_str::<Vec<Hit>>(hits.get())? {
            if let Some(document) = hit.get("document") {
                found.insert(serde_json::from_str::<Document>(document.get())?.id, hit);
            }
        }
    }
    let hits = page.iter().filter_map(|fused| Some((fused, found.remove(fused.id)?)));
    let hits = hits.map(|(fused, mut hit)| {
        hit.insert("fusion".to_owned(), to_raw_value(&told(fused, spelling))?);
        Ok(hit)
    });
    to_raw_value(&hits.collect::<serde_json::Result<Vec<_>>>()?)
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
