//! Searches by meaning, wherever they are made: for a tenant, or in what a table was synced into.

use serde_json::value::RawValue;

use super::{
    hybrid,
    mode::Ranking,
    query_vector::made_by_another_model,
    request::{Ask, By, Part, Shows},
};
use crate::{
    domain::document::VECTOR_FIELD,
    embed::Vector,
    http::Error,
    typesense::{self, Client, Found},
};

/// The nearest documents that a search by meaning alone finds: beyond them nothing is near any more, and Typesense gives no more than
/// 250 at once.
const NEAREST: u32 = 250;

/// Why a search was not made.
#[derive(Debug)]
pub(in crate::http) enum Failure {
    Here(Error),
    Typesense(typesense::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl From<typesense::Error> for Failure {
    fn from(error: typesense::Error) -> Self {
        match &error {
            // What the collection holds is not what the query's vector was made for, or it holds no vectors at all.
            typesense::Error::Status { message, .. }
                if message.contains("does not have a vector query index") || message.ends_with("dimensions.") =>
            {
                Self::Here(made_by_another_model())
            }
            _ => Self::Typesense(error),
        }
    }
}

/// Runs a search. `vector` is the query's, `None` where there are no vectors to compare it with; `request` makes each request, and
/// confines it.
pub(in crate::http) async fn run(
    client: &Client,
    ask: &Ask,
    vector: impl Future<Output = Result<Option<Vector>, Error>>,
    request: impl Fn(&Part<'_>) -> Result<String, Error>,
) -> Result<Found, Failure> {
    match ask.ranking {
        Ranking::Keyword => one(client, &request(&Part::whole(ask))?).await,
        Ranking::Vector => match vector.await? {
            Some(vector) => nearest(client, ask, &vector, request).await,
            None => Ok(Found::nothing(ask.page.into())),
        },
        Ranking::Hybrid { alpha } => hybrid::run(client, ask, alpha, vector, request).await,
    }
}

async fn nearest(
    client: &Client,
    ask: &Ask,
    vector: &[f32],
    request: impl Fn(&Part<'_>) -> Result<String, Error>,
) -> Result<Found, Failure> {
    let skipped = (ask.page - 1).saturating_mul(ask.per_page);
    let ends_within = ask.page.saturating_mul(ask.per_page) <= NEAREST;
    // Typesense would look for more than asked, so that the page is full: one that goes beyond the nearest is cut out of them all.
    let (page, per_page) = match ends_within {
        true => (ask.page, ask.per_page),
        false if skipped >= NEAREST => (1, 0),
        false => (1, NEAREST),
    };
    let query = query(vector, NEAREST);
    let part = Part { by: By::Meaning(&query), shows: Shows::Both, page, per_page, ids: None };
    let mut found = one(client, &request(&part)?).await?;
    found.page = ask.page.into();
    if let (false, Some(hits)) = (ends_within, &found.hits) {
        let hits: Vec<&RawValue> = serde_json::from_str(hits.get()).map_err(typesense::Error::Answer)?;
        let rest = hits.get(skipped as usize..).unwrap_or_default();
        found.hits = Some(serde_json::value::to_raw_value(rest).map_err(typesense::Error::Answer)?);
    }
    Ok(found)
}

/// The query for the `nearest` documents, in Typesense's syntax. Where no more than that pass the filter, all are compared: an index of
/// neighbours is slower then. Above that it is not asked to, for it would count them all as found.
pub(super) fn query(vector: &[f32], nearest: u32) -> String {
    let vector = vector.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    format!("{VECTOR_FIELD}:([{vector}], k:{nearest}, flat_search_cutoff:{})", nearest + 1)
}

/// One request's answer.
pub(super) async fn one(client: &Client, request: &str) -> Result<Found, Failure> {
    match client.search(&[request]).await?.pop() {
        Some(found) => Ok(found?),
        None => Err(Error::Internal("Typesense answered a search with nothing".to_owned()).into()),
    }
}
