//! How a dead letter is shown.

use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use tidewell::db::dead_letter::{Act, DeadLetter, Operation};
use uuid::Uuid;

use crate::cli::output::{maybe, record, table, time};

/// A letter as the API shows it. The document is the text that was written, to the letter.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View<'a> {
    id: Uuid,
    organization: Option<&'a str>,
    index: Option<&'a str>,
    sync_job: Option<&'a str>,
    sync_job_id: Option<Uuid>,
    document_id: Option<&'a str>,
    job_id: Option<Uuid>,
    operation: Operation,
    version: i64,
    document: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    error: Value,
    attempts: i32,
    first_failed_at: chrono::DateTime<chrono::Utc>,
    last_failed_at: chrono::DateTime<chrono::Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acts: Option<&'a [Act]>,
}

pub(super) fn letter(letter: &DeadLetter) -> View<'_> {
    let (document, filter) = parts(letter);
    View {
        id: letter.id,
        organization: letter.organization_slug.as_deref(),
        index: letter.index_slug.as_deref(),
        sync_job: letter.sync_job_name.as_deref(),
        sync_job_id: letter.sync_job_id,
        document_id: letter.document_id.as_deref(),
        job_id: letter.job_id,
        operation: letter.operation,
        version: letter.version,
        document: document.and_then(|json| serde_json::from_str(json).ok()),
        filter,
        error: json!({
            "code": letter.error_code,
            "message": letter.error_message,
            "signature": letter.error_signature,
        }),
        attempts: letter.attempts,
        first_failed_at: letter.first_failed_at,
        last_failed_at: letter.last_failed_at,
        acts: None,
    }
}

pub(super) fn letter_with_acts<'a>(dead: &'a DeadLetter, acts: &'a [Act]) -> View<'a> {
    View { acts: Some(acts), ..letter(dead) }
}

/// Whose letter it is: an index's or a sync job's.
pub(super) fn owner_of(letter: &DeadLetter) -> String {
    owner([&letter.organization_slug, &letter.index_slug, &letter.sync_job_name])
}

/// An organization's index or a sync job, by their names.
pub(super) fn owner([organization, index, sync_job]: [&Option<String>; 3]) -> String {
    match (organization, index) {
        (Some(organization), Some(index)) => format!("{organization}/{index}"),
        _ => format!("sync job {}", maybe(sync_job.as_ref())),
    }
}

/// What the body is: a document, or the filter of a conditional delete.
fn parts(letter: &DeadLetter) -> (Option<&str>, Option<&str>) {
    match letter.operation {
        Operation::DeleteByFilter | Operation::DeleteIfMatches => (None, letter.body.as_deref()),
        _ => (letter.body.as_deref(), None),
    }
}

pub(super) fn text(letter: &DeadLetter, acts: &[Act]) -> String {
    let (document, filter) = parts(letter);
    let operation = serde_json::to_value(letter.operation).ok();
    let about = record([
        ("id", letter.id.to_string()),
        ("of", owner_of(letter)),
        ("document", maybe(letter.document_id.as_ref())),
        ("operation", maybe(operation.as_ref().and_then(Value::as_str))),
        ("version", letter.version.to_string()),
        ("job", maybe(letter.job_id)),
        ("error", format!("{}: {}", letter.error_code, letter.error_message)),
        ("signature", letter.error_signature.clone()),
        ("attempts", letter.attempts.to_string()),
        ("first failed", time(letter.first_failed_at)),
        ("last failed", time(letter.last_failed_at)),
    ]);
    let mut parts = vec![about];
    parts.extend(document.map(str::to_owned));
    parts.extend(filter.map(|filter| format!("filter: {filter}")));
    if !acts.is_empty() {
        parts.push(acts_table(acts));
    }
    parts.join("\n\n")
}

pub(super) fn acts_table(acts: &[Act]) -> String {
    let rows = acts.iter().map(|act| [time(act.acted_at), act.act.clone(), act.actor.clone(), act.request_id.clone()]);
    table(["when", "act", "by", "request"], &[], rows)
}
