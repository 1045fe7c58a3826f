//! The one way to Typesense that every search takes, whichever route it came by.

use std::{sync::Arc, time::Instant};

use axum::{extract::FromRequestParts, http::request::Parts};
use futures::{StreamExt, stream};
use metrics::{counter, histogram};
use uuid::Uuid;

use super::{
    cache::Key,
    meaning::{self, Failure},
    mode::Ranking,
    query_vector,
    request::{Ask, Part, Request},
    verdict,
};
use crate::{
    db::index::Index,
    domain::{document::id_fault, filter},
    http::{
        Error, State,
        caller::{Caller, Spent},
    },
    ingest::permits::Permit,
    metrics::{SEARCH_DURATION, SEARCHES},
    typesense::{self, Found, goes_by_path, naming},
};

/// Searches of one request.
pub(in crate::http) const MAX_SEARCHES: usize = 20;
/// Of those by meaning how many are run at a time: each is several requests to Typesense.
const BY_MEANING_AT_ONCE: usize = 4;

/// A search that may be run: all of it checked, but not yet confined.
#[derive(Debug)]
pub(in crate::http) struct Search {
    pub(in crate::http) index: Arc<Index>,
    pub(in crate::http) ask: Ask,
}

impl Search {
    /// Narrowed to the document of an id.
    pub(in crate::http) fn of_id(self, id: &str) -> Result<Self, Error> {
        if let Some(fault) = id_fault(id) {
            return Err(Error::invalid(format!("id: {fault}")));
        }
        // Neither can be named in a filter.
        if goes_by_path(id) {
            let why = "id: one with a backtick, a backslash or blanks at its edges can't be looked up: search for the document";
            return Err(Error::invalid(why));
        }
        Ok(Self { ask: Ask { filter: Some(naming(&[id])), ..self.ask }, ..self })
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

/// The answers, counted and timed.
async fn answers(
    state: &State,
    searcher: &Searcher,
    searches: &[Search],
) -> Result<Vec<Result<Arc<Found>, Error>>, Error> {
    let began = Instant::now();
    let answers = ask(state, searcher, searches).await;
    histogram!(SEARCH_DURATION.name).record(began.elapsed());
    for (n, search) in searches.iter().enumerate() {
        let error = answers.as_ref().map_or_else(Some, |answers| answers[n].as_ref().err());
        count(search.ask.ranking, error);
    }
    answers
}

/// Counts one search, with the error that it ended with.
pub(in crate::http) fn count(ranking: Ranking, error: Option<&Error>) {
    let outcome = match error {
        None => "found",
        Some(error) if error.is_the_callers() => "refused",
        Some(_) => "failed",
    };
    counter!(SEARCHES.name, "mode" => ranking.name(), "outcome" => outcome).increment(1);
}

#[tracing::instrument(name = "search", skip_all)]
async fn ask(
    state: &State,
    Searcher { caller, .. }: &Searcher,
    searches: &[Search],
) -> Result<Vec<Result<Arc<Found>, Error>>, Error> {
    let mut answers: Vec<Option<Result<Arc<Found>, Error>>> = Vec::with_capacity(searches.len());
    let (mut by_words, mut by_meaning) = (Vec::with_capacity(searches.len()), Vec::new());
    for (n, search) in searches.iter().enumerate() {
        answers.push(match confined(caller, search, &Part::whole(&search.ask)) {
            Ok(request) => {
                let key = Key::of(&search.index, search.ask.ranking, request);
                let kept = state.results.get(&key).await.map(Ok);
                if kept.is_none() {
                    let missing = if search.ask.ranking == Ranking::Keyword { &mut by_words } else { &mut by_meaning };
                    missing.push((n, key));
                }
                kept
            }
            Err(error) => Some(Err(error)),
        });
    }
    let meant = stream::iter(by_meaning).map(|(n, key)| async move {
        let found = run_by_meaning(state, caller, &searches[n]).await;
        ((n, key), found)
    });
    let (worded, meant) = tokio::join!(
        run_by_words(state, searches, by_words),
        meant.buffer_unordered(BY_MEANING_AT_ONCE).collect::<Vec<_>>()
    );
    for ((n, key), found) in worded?.into_iter().chain(meant) {
        let answer = found.map(Arc::new);
        if let Ok(found) = &answer {
            state.results.keep(&key, found).await;
        }
        answers[n] = Some(answer);
    }
    let unanswered = || Err(Error::Internal("a search had no answer".to_owned()));
    Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect())
}

/// A search by its place among those of a request, and what its answer is kept by.
type Missing = (usize, Arc<Key>);

/// Searches by words, in one request to Typesense.
async fn run_by_words(
    state: &State,
    searches: &[Search],
    missing: Vec<Missing>,
) -> Result<Vec<(Missing, Result<Found, Error>)>, Error> {
    let [(first, _), ..] = missing[..] else { return Ok(vec![]) };
    let requests: Vec<&str> = missing.iter().map(|(_, key)| key.request.as_str()).collect();
    let found = state.typesense.search(&requests).await;
    let found = found.map_err(|error| verdict::of_all(error, searches[first].ask.spelling))?;
    let answered = missing.into_iter().zip(found);
    Ok(answered
        .map(|(missing, found)| {
            let found = judge(&searches[missing.0].ask, found);
            (missing, found)
        })
        .collect())
}

async fn run_by_meaning(state: &State, caller: &Caller, search: &Search) -> Result<Found, Error> {
    let Search { index, ask } = search;
    let vector = query_vector::of_index(state, index, &ask.q);
    match meaning::run(&state.typesense, ask, vector, |part| confined(caller, search, part)).await {
        Ok(found) => Ok(found),
        Err(Failure::Here(error)) => Err(error),
        Err(Failure::Typesense(error @ typesense::Error::TooLarge)) => Err(verdict::of_all(error, ask.spelling)),
        Err(Failure::Typesense(error)) => judge(ask, Err(error)),
    }
}

/// A request as Typesense gets it, behind everything that confines the caller. This is the only place that makes one.
fn confined(caller: &Caller, search: &Search, part: &Part<'_>) -> Result<String, Error> {
    let Search { index, ask } = search;
    // A hybrid search's first request is refused where its last would be too long.
    let narrowed = part.ids.or(matches!(ask.ranking, Ranking::Hybrid { .. }).then_some(""));
    let own = ask.filter.as_deref();
    let filter = filter::confine_caller(own, caller.signed_filter(), narrowed, index.organization_id)
        .map_err(|detail| Error::Invalid { code: "invalid_filter", detail })?;
    let request =
        Request { collection: index.collection.as_deref().unwrap_or(&index.alias), ask, part, filter: Some(&filter) };
    // Text can't fail to become JSON.
    Ok(serde_json::to_string(&request).unwrap_or_default())
}

fn judge(ask: &Ask, found: Result<Found, typesense::Error>) -> Result<Found, Error> {
    match found {
        // Not made yet: nothing has been written to the index.
        Err(typesense::Error::Status { status: 404, message }) if message.starts_with("Not found") => {
            Ok(Found::nothing(ask.page.into()))
        }
        found => found.map_err(|error| verdict::translate(error, ask.spelling)),
    }
}
