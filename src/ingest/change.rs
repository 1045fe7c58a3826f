//! Writes that depend on what is there: `create`, `update`, `emplace`, and deletes that tell whether there was anything to delete.
//!
//! Each is judged by the latest accepted state of its document and queued whole, in one transaction that has the index's order to
//! itself: between the look and the commit no other write of the index can come, so no update is lost and of two creations one fails.

use std::{borrow::Cow, collections::HashMap, time::Instant};

use serde::Deserialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    accept::{Refusal, close, count, insert_rows, new_job, open},
    turns,
};
use crate::{
    db::{self, index::Index, latest::Latest, outbox::Operation, quota::Month},
    domain::{
        document::{Document, check_size},
        lane::lane_of,
        merge::merge,
    },
    trace,
};

/// Bytes of stored and of merged documents that one transaction holds.
const MAX_BYTES: usize = 8 << 20;

/// What to do with a document, as Typesense calls it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Write a document that must not be there yet.
    #[default]
    Create,
    /// Write a document, whatever is there.
    Upsert,
    /// Merge into a document that must be there.
    Update,
    /// Merge into a document, or write it where there is none.
    Emplace,
}

/// What is asked of documents of one index.
#[derive(Debug)]
pub enum Changes<'a> {
    Write(Action, &'a [Document<'a>]),
    /// The id of a document that must be there.
    Delete(&'a str),
}

/// Changes, ready to be judged and made durable.
#[derive(Debug)]
pub struct Change<'a> {
    pub index: &'a Index,
    pub request_id: &'a str,
    pub changes: Changes<'a>,
    /// Rows that may wait in the index's outbox.
    pub backlog_limit: i64,
}

/// What became of changes.
#[derive(Debug)]
pub struct Changed<'a> {
    /// Of each change in order the document as it was written or, deleted, as it was. Fewer than were asked for where they are
    /// too large together for one transaction; never none.
    pub outcomes: Vec<Result<Cow<'a, str>, Fault>>,
    /// The job of those that were accepted, and the month; `None` where none was.
    pub accepted: Option<(Uuid, Month)>,
}

/// Why one change was refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// To be created, and there already.
    Exists,
    Missing,
    /// A delete by filter may have taken it: known soon.
    InQuestion,
    /// Merged, it is larger than a document may be; how large.
    TooLarge(String),
}

/// Judges changes by the latest accepted state, makes those durable that can be, and wakes who projects them.
#[tracing::instrument(name = "accept", skip_all)]
pub async fn change<'a>(pool: &PgPool, change: &Change<'a>) -> Result<Changed<'a>, Refusal> {
    let index = change.index;
    let looks = !matches!(change.changes, Changes::Write(Action::Upsert, _));
    let _turn = if looks { Some(turns::wait(index.id).await) } else { None };
    let began = Instant::now();
    let mut tx = pool.begin().await?;
    if looks {
        db::accept::join_order(&mut tx, index.id, true).await?;
    }
    let (operation, ids, outcomes) = match change.changes {
        Changes::Write(action, documents) => {
            let ids: Vec<&str> = documents.iter().map(|document| &*document.id).collect();
            let mut held = Held::look(&mut tx, index, &ids, action).await?;
            (Operation::Upsert, ids, held.write(action, documents)?)
        }
        Changes::Delete(id) => {
            let mut held = Held::look(&mut tx, index, &[id], Action::Update).await?;
            (Operation::Delete, vec![id], vec![held.take(id)])
        }
    };
    let accepted = || ids.iter().zip(&outcomes).filter_map(|(id, outcome)| Some((*id, outcome.as_deref().ok()?)));
    let taken = accepted().count();
    if taken == 0 {
        return Ok(Changed { outcomes, accepted: None });
    }
    let trace_parent = trace::parent();
    let job = new_job(index, change.request_id, trace_parent.as_deref(), Uuid::now_v7(), taken);
    open(&mut tx, job, change.backlog_limit, false).await?;
    let rows = accepted().map(|(id, body)| (id, (operation == Operation::Upsert).then_some(body)));
    insert_rows(&mut tx, index.id, job.id, operation, rows).await?;
    let upserted: Vec<&str> = match operation {
        Operation::Upsert => accepted().map(|(id, _)| id).collect(),
        _ => vec![],
    };
    let month = close(&mut tx, index, job, false, &upserted).await?;
    tx.commit().await?;
    count(operation.name(), taken, began);
    tracing::info!(job_id = %job.id, index_id = %index.id, accepted = taken, refused = outcomes.len() - taken, "accepted");
    Ok(Changed { outcomes, accepted: Some((job.id, month)) })
}

/// What is known of the documents of a request while its changes are judged one after the other. Those without an entry are missing.
struct Held<'a>(HashMap<Cow<'a, str>, State>);

enum State {
    InQuestion,
    /// There, with its body unless nobody needs it or there was no room for it.
    Stored(Option<String>),
    /// Written by an earlier change of the request, whose outcome stands there.
    Written(usize),
}

impl<'a> Held<'a> {
    async fn look(
        conn: &mut PgConnection,
        index: &Index,
        ids: &[&'a str],
        action: Action,
    ) -> Result<Self, sqlx::Error> {
        let bytes = match action {
            Action::Upsert => return Ok(Self(HashMap::new())),
            Action::Create => 0,
            Action::Update | Action::Emplace => MAX_BYTES as i64,
        };
        let (mut asked, mut lanes) = (ids.to_vec(), ids.iter().map(|id| lane_of(id)).collect::<Vec<_>>());
        let mut seen = std::collections::HashSet::with_capacity(asked.len());
        asked.retain(|id| seen.insert(*id));
        lanes.sort_unstable();
        lanes.dedup();
        let found = db::latest::find(conn, index.id, &asked, &lanes, bytes).await?;
        let state = |Latest { document_id, in_question, body }| {
            (document_id.into(), if in_question { State::InQuestion } else { State::Stored(body) })
        };
        Ok(Self(found.into_iter().map(state).collect()))
    }

    /// Judges documents in order, until too much is held.
    fn write(
        &mut self,
        action: Action,
        documents: &'a [Document<'a>],
    ) -> Result<Vec<Result<Cow<'a, str>, Fault>>, sqlx::Error> {
        let mut outcomes: Vec<Result<Cow<'a, str>, Fault>> = Vec::with_capacity(documents.len());
        let mut merged_bytes = 0;
        for document in documents {
            let json = Cow::Borrowed(&*document.json);
            let before = match self.0.get(&document.id) {
                _ if action == Action::Upsert => None,
                Some(State::InQuestion) => {
                    outcomes.push(Err(Fault::InQuestion));
                    continue;
                }
                Some(_) if action == Action::Create => {
                    outcomes.push(Err(Fault::Exists));
                    continue;
                }
                Some(State::Stored(None)) => break,
                Some(State::Stored(Some(body))) => Some(body.as_str()),
                Some(State::Written(n)) => outcomes[*n].as_deref().ok(),
                None if action == Action::Update => {
                    outcomes.push(Err(Fault::Missing));
                    continue;
                }
                None => None,
            };
            let outcome = match before {
                None => Ok(json),
                Some(_) if merged_bytes > MAX_BYTES => break,
                Some(before) => {
                    let merged = merge(before, &json).map_err(|error| sqlx::Error::Decode(error.into()))?;
                    merged_bytes += merged.len();
                    match check_size(&merged, 0) {
                        Ok(()) => Ok(merged.into()),
                        Err(rejection) => Err(Fault::TooLarge(rejection.message)),
                    }
                }
            };
            if outcome.is_ok() {
                self.0.insert(document.id.clone(), State::Written(outcomes.len()));
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// What is there of a document that is to go.
    fn take(&mut self, id: &str) -> Result<Cow<'a, str>, Fault> {
        match self.0.remove(id) {
            Some(State::Stored(body)) => Ok(body.unwrap_or_default().into()),
            Some(State::InQuestion) => Err(Fault::InQuestion),
            _ => Err(Fault::Missing),
        }
    }
}
