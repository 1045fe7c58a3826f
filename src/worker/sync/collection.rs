//! Where a run's documents go: the collection that is there, a new one beside it, or the first.
//!
//! `collection_name` is an alias of the collection that holds the documents, `{collection_name}_v{n}`, so that another can take its
//! place at once. Only where a collection of that very name was there before, the documents go into that one; it is shared, and nothing
//! in it is touched but what the job has written. As everywhere, writes name the collection, never the alias.

use uuid::Uuid;

use super::stop::Stop;
use crate::{
    db::sync::state::State,
    domain::sync_job::{Spec, Strategy},
    sync::Plan,
    typesense,
};

/// Where a run writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Into the collection that is there.
    Live { collection: String },
    /// Into the first one, made just now, or found: searched from the start.
    First { collection: String, is_owned: bool },
    /// Into a new one, which takes the other's place when it is complete.
    Beside { collection: String },
}

impl Target {
    pub(super) fn collection(&self) -> &str {
        match self {
            Self::Live { collection } | Self::First { collection, .. } | Self::Beside { collection } => collection,
        }
    }
}

/// Decides where a run writes, and makes the collection.
///
/// `builds_anew`: a new one, also where there is one.
pub(super) async fn choose(
    typesense: &typesense::Client,
    spec: &Spec,
    builds_anew: bool,
    plan: &Plan,
    state: &State,
) -> Result<Target, Stop> {
    let name = &spec.collection_name;
    if let Some(collection) = &state.collection {
        // Asked by a write, which a node that has just started answers rightly.
        let is_there = typesense.caught_up(collection).await?.is_some();
        let is_same = state.mapping.as_deref() == Some(&plan.mapping);
        if is_there && state.owns_collection {
            find_by_name(typesense, name, collection).await?;
        }
        match (is_there, state.owns_collection) {
            (true, true) if is_same && !builds_anew => {
                return Ok(Target::Live { collection: collection.clone() });
            }
            (true, true) => return beside(typesense, name, plan, state).await,
            // What it holds of others can't be built anew; hashes of another mapping make all rows count as changed.
            (true, false) if collection == name => {
                judge_shared(spec)?;
                return Ok(Target::Live { collection: collection.clone() });
            }
            _ => {}
        }
    }
    if let Some(caught_up) = typesense.caught_up(name).await? {
        if caught_up.collection(name).await?.is_some() {
            if builds_anew || spec.sync_strategy == Strategy::Full {
                return Err(Stop::Fail(format!(
                    "{name} is a collection, and building one anew needs that name for an alias: give the job another \
                     collection_name, or have it write only what has changed"
                )));
            }
            judge_shared(spec)?;
            return Ok(Target::First { collection: name.clone(), is_owned: false });
        }
        // Somebody's alias: what is behind it is searched until the new collection is complete.
        return beside(typesense, name, plan, state).await;
    }
    let collection = create(typesense, name, plan, state).await?;
    typesense.put_alias(name, &collection).await?;
    Ok(Target::First { collection, is_owned: true })
}

/// Somebody else's collection has no field for vectors, and none could be built beside it for those of another model.
fn judge_shared(spec: &Spec) -> Result<(), Stop> {
    match &spec.embedding {
        None => Ok(()),
        Some(_) => Err(Stop::Fail(format!(
            "{} is a collection that the job did not make, and takes no vectors: give the job another collection_name, or no embedding",
            spec.collection_name
        ))),
    }
}

/// Makes sure that a job's collection is the one that is searched by the job's name: an alias may have been lost, or put in place by a
/// run that was cancelled before it could say so.
pub(super) async fn find_by_name(typesense: &typesense::Client, name: &str, collection: &str) -> Result<(), Stop> {
    if typesense.alias(name).await?.as_deref() == Some(collection) {
        return Ok(());
    }
    if typesense.collection(name).await?.is_some() {
        return Err(Stop::Fail(format!(
            "{name} is a collection, and the job needs that name for an alias: give the job another collection_name"
        )));
    }
    Ok(typesense.put_alias(name, collection).await?)
}

async fn beside(typesense: &typesense::Client, name: &str, plan: &Plan, state: &State) -> Result<Target, Stop> {
    Ok(Target::Beside { collection: create(typesense, name, plan, state).await? })
}

/// The number of a collection of this name.
pub(super) fn number(name: &str, collection: &str) -> Option<i64> {
    collection.strip_prefix(name)?.strip_prefix("_v")?.parse().ok()
}

/// Makes a collection under the next number that no other has, nor had: a late request to delete that one would meet this.
async fn create(typesense: &typesense::Client, name: &str, plan: &Plan, state: &State) -> Result<String, Stop> {
    let collections = typesense.list_collections().await?;
    let found = collections.iter().filter_map(|found| number(name, &found.name));
    let last = found.fold(state.last_number, i64::max);
    for number in last + 1.. {
        let collection = format!("{name}_v{number}");
        if typesense.create_collection(&plan.collection(&collection)).await? {
            tracing::info!(collection, "made the collection");
            return Ok(collection);
        }
    }
    unreachable!("one of the numbers is free")
}

/// Lets a complete collection take the place of the one before.
///
/// # Errors
/// [`Stop::Fail`] where it does not hold as many documents as were written: then the old one stays.
pub(super) async fn swap(
    typesense: &typesense::Client,
    run_id: Uuid,
    spec: &Spec,
    collection: &str,
    written: u64,
) -> Result<(), Stop> {
    if typesense.alias(&spec.collection_name).await?.as_deref() == Some(collection) {
        return Ok(());
    }
    let holds = match typesense.caught_up(collection).await? {
        Some(caught_up) => caught_up.collection(collection).await?.map(|found| found.num_documents),
        None => None,
    };
    if holds != Some(written) {
        let holds = holds.map_or_else(|| "is gone".to_owned(), |holds| format!("holds {holds}"));
        return Err(Stop::Fail(format!(
            "{written} documents were written to {collection}, which {holds}: it was not put in place"
        )));
    }
    typesense.put_alias(&spec.collection_name, collection).await?;
    tracing::info!(%run_id, alias = spec.collection_name, collection, "swapped the collection");
    Ok(())
}
