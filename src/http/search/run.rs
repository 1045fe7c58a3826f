//! The one way to Typesense that every search takes, whichever route it came by.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

use super::{cache::Key, parameters::Spelling, verdict};
use crate::{
    db::index::Index,
    domain::{document::id_fault, filter},
    http::{
        Error, State,
        caller::{Caller, Spent},
    },
    ingest::permits::Permit,
    typesense::{self, Found},
};

/// Searches of one request.
pub(in crate::http) const MAX_SEARCHES: usize = 20;

/// A search that may be run: all of it checked, but not yet confined.
#[derive(Debug)]
pub(in crate::http) struct Search {
    pub(in crate::http) index: Arc<Index>,
    pub(in crate::http) q: String,
    pub(in crate::http) page: u32,
    pub(in crate::http) per_page: u32,
    pub(super) spelling: Spelling,
    /// The caller's own.
    pub(super) filter: Option<String>,
    /// Everything else, by Typesense's names.
    pub(super) sent: Vec<(&'static str, String)>,
}

impl Search {
    /// Narrowed to the document of an id.
    pub(in crate::http) fn of_id(self, id: &str) -> Result<Self, Error> {
        if let Some(fault) = id_fault(id) {
            return Err(Error::invalid(format!("id: {fault}")));
        }
        // Neither can be named in a filter.
        if id.contains(['`', '\\']) || id.trim() != id {
            let why = "id: one with a backtick, a backslash or blanks at its edges can't be looked up: search for the document";
            return Err(Error::invalid(why));
        }
        Ok(Self { filter: Some(format!("id:=[`{id}`]")), ..self })
    }
}

/// A caller that may search.
pub(in crate::http) struct Searcher {
    pub(in crate::http) caller: Caller,
    spent: Spent,
}

impl<S: Sync> FromRequestParts<S> for Searcher {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.require(&["search"])?;
        Ok(Self { caller, spent: Spent::of(parts) })
    }
}

/// Runs the searches of one request, each for itself, and gives their answers in order. Each that succeeds is a unit.
pub(in crate::http) async fn run_each(
    state: &State,
    searcher: &Searcher,
    searches: &[Search],
) -> Result<Vec<Result<Arc<Found>, Error>>, Error> {
    let permits = take_permits(state, searches).await?;
    let answers = answers(state, searcher, searches).await?;
    for (organization_id, permit) in permits {
        let of_it = searches.iter().zip(&answers).filter(|(search, _)| search.index.organization_id == organization_id);
        searcher.spent.note(permit.spend(of_it.filter(|(_, answer)| answer.is_ok()).count() as i64));
    }
    Ok(answers)
}

/// Runs the searches of one request, all of them or none, and gives what they found in order. Each is a unit.
pub(in crate::http) async fn run_all(
    state: &State,
    searcher: &Searcher,
    searches: &[Search],
) -> Result<Vec<Arc<Found>>, Error> {
    let permits = take_permits(state, searches).await?;
    let found: Vec<_> = answers(state, searcher, searches).await?.into_iter().collect::<Result<_, _>>()?;
    for (_, permit) in permits {
        searcher.spent.note(permit.spend_all());
    }
    Ok(found)
}

/// A single search, run.
pub(in crate::http) async fn run_one(state: &State, searcher: &Searcher, search: &Search) -> Result<Arc<Found>, Error> {
    let found = run_all(state, searcher, std::slice::from_ref(search)).await?.pop();
    found.ok_or_else(|| Error::Internal("a search had no answer".to_owned()))
}

/// A unit for each search, from the organizations whose indexes they are. Those that fail are given back.
async fn take_permits(state: &State, searches: &[Search]) -> Result<Vec<(Uuid, Permit)>, Error> {
    let mut units: Vec<(Uuid, i64)> = Vec::with_capacity(1);
    for Search { index, .. } in searches {
        match units.iter_mut().find(|(organization_id, _)| *organization_id == index.organization_id) {
            Some((_, units)) => *units += 1,
            None => units.push((index.organization_id, 1)),
        }
    }
    let mut permits = Vec::with_capacity(units.len());
    for (organization_id, units) in units {
        permits.push((organization_id, state.permits.take(organization_id, units).await?));
    }
    Ok(permits)
}

async fn answers(
    state: &State,
    Searcher { caller, .. }: &Searcher,
    searches: &[Search],
) -> Result<Vec<Result<Arc<Found>, Error>>, Error> {
    let mut answers: Vec<Option<Result<Arc<Found>, Error>>> = Vec::with_capacity(searches.len());
    let mut missing: Vec<(usize, Arc<Key>)> = Vec::with_capacity(searches.len());
    for (n, search) in searches.iter().enumerate() {
        answers.push(match confined(caller, search) {
            Ok(request) => {
                let key = Key::of(&search.index, request);
                let kept = state.results.get(&key).await.map(Ok);
                if kept.is_none() {
                    missing.push((n, key));
                }
                kept
            }
            Err(error) => Some(Err(error)),
        });
    }
    if let [(first, _), ..] = missing[..] {
        let requests: Vec<&str> = missing.iter().map(|(_, key)| key.request.as_str()).collect();
        let found = state.typesense.search(&requests).await;
        let found = found.map_err(|error| verdict::of_all(error, searches[first].spelling))?;
        for ((n, key), found) in missing.into_iter().zip(found) {
            let answer = judge(&searches[n], found).map(Arc::new);
            if let Ok(found) = &answer {
                state.results.keep(&key, found).await;
            }
            answers[n] = Some(answer);
        }
    }
    let unanswered = || Err(Error::Internal("a search had no answer".to_owned()));
    Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect())
}

/// The request as Typesense gets it, behind everything that confines the caller. This is the only place that makes one.
fn confined(caller: &Caller, search: &Search) -> Result<String, Error> {
    let filter = filter::confine_caller(search.filter.as_deref(), caller.signed_filter(), search.index.organization_id)
        .map_err(|detail| Error::Invalid { code: "invalid_filter", detail })?;
    // Text can't fail to become JSON.
    Ok(serde_json::to_string(&Request { search, filter }).unwrap_or_default())
}

struct Request<'a> {
    search: &'a Search,
    filter: String,
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut request = serializer.serialize_map(None)?;
        request.serialize_entry("collection", &self.search.index.alias)?;
        request.serialize_entry("q", &self.search.q)?;
        for (name, value) in &self.search.sent {
            request.serialize_entry(name, value)?;
        }
        request.serialize_entry("filter_by", &self.filter)?;
        request.end()
    }
}

fn judge(search: &Search, found: Result<Found, typesense::Error>) -> Result<Found, Error> {
    match found {
        // Not made yet: nothing has been written to the index.
        Err(typesense::Error::Status { status: 404, message }) if message.starts_with("Not found") => {
            Ok(Found::nothing(search.page.into()))
        }
        found => found.map_err(|error| verdict::translate(error, search.spelling)),
    }
}
