//! Reindexes and versions in words.

use serde_json::{Value, json};
use tidewell::{
    db::{
        job::Failure,
        reindex::{Phase, Reindex},
    },
    reindex::{ReindexView, VersionView, job as in_jobs},
};

use crate::cli::output::{maybe, maybe_time, nothing, record, table, time, word};

/// As the API shows it.
pub(super) fn queued(index: &str, reindex: &Reindex) -> Value {
    let mut view = json!(ReindexView::from(reindex));
    view["index"] = json!(index);
    view
}

pub(super) fn text(index: &str, reindex: &Reindex) -> String {
    record([
        ("job", reindex.id.to_string()),
        ("index", index.to_owned()),
        ("kind", word(reindex.kind)),
        ("version", reindex.number.to_string()),
        ("status", word(reindex.status)),
        ("stage", doing(reindex).to_owned()),
        ("documents", format!("{} of {}", reindex.done, reindex.total)),
        ("refused", reindex.refused.to_string()),
        ("note", maybe(reindex.error.as_ref())),
        ("asked by", reindex.requested_by.clone()),
        ("enqueued", time(reindex.enqueued_at)),
        ("started", maybe_time(reindex.started_at)),
        ("finished", maybe_time(reindex.finished_at)),
    ])
}

/// What is done at the moment.
pub(super) fn doing(reindex: &Reindex) -> &'static str {
    match reindex.phase {
        Phase::Done => "ended",
        _ if reindex.cancel_requested => "about to end",
        Phase::Waiting => "waiting for a worker",
        Phase::Building => "copying documents",
        Phase::CatchingUp => "catching up with what is written",
        Phase::Swapping => "putting the version in place",
    }
}

/// The reindex as a job, as the API shows it.
pub(crate) fn job(index: &str, reindex: &Reindex, failures: &[Failure]) -> Value {
    let in_jobs::Counts { total, pending, succeeded, dead } = in_jobs::counts(reindex);
    json!({
        "jobId": reindex.id,
        "index": index,
        "status": in_jobs::status(reindex),
        "counts": {
            "total": total, "pending": pending, "succeeded": succeeded, "retrying": 0, "dead": dead, "superseded": 0,
        },
        "errors": failures,
        "enqueuedAt": reindex.enqueued_at,
        "startedAt": reindex.started_at,
        "finishedAt": reindex.finished_at,
        "reindex": ReindexView::from(reindex),
    })
}

pub(crate) fn versions(versions: &[VersionView]) -> String {
    let lines = versions.iter().map(|version| {
        let reindex = version.reindex.as_ref();
        [
            version.number.to_string(),
            word(version.state),
            version.fields.len().to_string(),
            version.embedding.as_ref().map_or_else(nothing, |embedding| embedding.model.clone()),
            maybe_time(version.live_at),
            reindex.map_or_else(nothing, |reindex| format!("{} {}", word(reindex.kind), word(reindex.status))),
            reindex.map_or_else(nothing, |reindex| format!("{:.0}%", reindex.progress * 100.0)),
            version.collection.clone(),
        ]
    });
    let numbers = ["version", "fields", "done"];
    let [version, fields, done] = numbers;
    table(
        [version, "state", fields, "embedded by", "live since", "last asked for", done, "collection"],
        &numbers,
        lines,
    )
}
