//! `documents/import`: JSON lines in, one result for each line out, as the lines become durable.

use std::{borrow::Cow, io, ops::Range, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::{
    envelope::{Failures, Refused},
    writes::{fault_of, parse, refuse_idempotency_key, refused},
};
use crate::{
    db::index::Index,
    domain::document::{Document, MAX_DOCUMENT_BYTES, MAX_DOCUMENTS, Rejection},
    http::{Error, State, body::WriteBody, documents::WriteRequest, params::Query},
    ingest::{self, Action, Change, Changes},
};

/// Bytes of the lines of one transaction; a single line may have more.
const MAX_BYTES: usize = 8 << 20;
/// How long a client may leave results unread: its body holds memory until then.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// Characters of a refused line that are echoed, where it is not echoed whole.
const ECHOED: usize = 1000;

#[derive(Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// `create` unless given.
    #[serde(default)]
    #[param(inline)]
    action: Action,
    /// Whether each result tells the document's id.
    #[serde(default)]
    return_id: bool,
    /// Whether each result tells the document as it is to be stored.
    #[serde(default)]
    return_doc: bool,
}

/// Write any number of documents
///
/// One JSON document a line, and one result a line in the same order. The lines are made durable in transactions of up to 1,000; a
/// line is accepted where its result says so. Once a transaction can't be made (the plan's units are used up, too much waits, the database
/// is away) the lines from there on are answered with the code that tells why, and may be sent again.
/// Whether documents fit the index's schema is judged when they are projected; those that do not become dead letters.
#[utoipa::path(post, path = "/collections/{index}/documents/import", tag = "typesense", security(("typesense" = [])),
    params(("index" = String, Path, description = "The index's id or slug"), ImportQuery),
    request_body(content = String, content_type = "text/plain", description = "JSON lines"),
    responses((status = 200, description = "A result for each line", body = String, content_type = "text/plain"), Failures))]
pub(super) async fn import(
    request: WriteRequest,
    Query(query): Query<ImportQuery>,
    body: WriteBody,
) -> Result<Response, Error> {
    refuse_idempotency_key(&request)?;
    let index = request.index().await?;
    let import = Import { state: request.state, index, request_id: request.request_id.0, query, body };
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(import.run(send));
    let results = stream::unfold(Some(receive), |receive| async {
        let mut receive = receive?;
        match receive.recv().await {
            Some(Results::Some(lines)) => Some((Ok(lines), Some(receive))),
            Some(Results::End) => None,
            // Not an end that could be taken for a short import.
            None => Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None)),
        }
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(results)).into_response())
}

/// What the importing task tells the answering one.
enum Results {
    Some(Bytes),
    End,
}

/// An import under way. A client that goes away ends it between two transactions.
struct Import {
    state: State,
    index: Arc<Index>,
    request_id: String,
    query: ImportQuery,
    body: WriteBody,
}

impl Import {
    async fn run(self, answers: mpsc::Sender<Results>) {
        let mut answered = 0;
        let mut refusal = None;
        let mut is_first = true;
        while let Some(lines) = self.next_lines(answered) {
            let (mut results, done) = self.take(&lines, &mut refusal).await;
            answered = lines[done - 1].end;
            // Between results alone: clients take a last line break for one more result.
            if !is_first {
                results.insert(0, b'\n');
            }
            is_first = false;
            let sent = answers.send_timeout(Results::Some(results.into()), READ_WITHIN).await;
            if sent.is_err() {
                return;
            }
        }
        // An end that is not read for long holds no more than itself.
        drop(self);
        let _ = answers.send_timeout(Results::End, READ_WITHIN).await;
    }

    /// Where the next lines stand that are not blank, as many as one transaction takes.
    fn next_lines(&self, from: usize) -> Option<Vec<Range<usize>>> {
        let mut lines = Vec::new();
        let mut at = from;
        while at < self.body.len() && lines.len() < MAX_DOCUMENTS {
            let end = memchr::memchr(b'\n', &self.body[at..]).map_or(self.body.len(), |found| at + found);
            if !self.body[at..end].trim_ascii().is_empty() {
                if end - from > MAX_BYTES && !lines.is_empty() {
                    break;
                }
                lines.push(at..end);
            }
            at = end + 1;
        }
        (!lines.is_empty()).then_some(lines)
    }

    /// Takes lines in one transaction, unless an earlier one could not be made; their results, and of how many.
    async fn take(&self, lines: &[Range<usize>], refusal: &mut Option<Refused>) -> (Vec<u8>, usize) {
        let judged: Vec<_> = lines.iter().enumerate().map(|(n, line)| self.judge(line, n)).collect();
        let mut documents = Vec::with_capacity(judged.len());
        let judged: Vec<Result<(), Refused>> = judged
            .into_iter()
            .map(|judged| {
                judged.map(|document| documents.push(document)).map_err(|rejection| refused(rejection).into())
            })
            .collect();
        let mut outcomes = match refusal {
            None if documents.is_empty() => vec![],
            Some(refusal) => vec![Err(refusal.clone()); documents.len()],
            None => match self.change(&documents).await {
                Ok(outcomes) => outcomes,
                Err(error) => vec![Err(refusal.insert(error.into()).clone()); documents.len()],
            },
        }
        .into_iter();
        let mut results = Vec::new();
        let mut documents = documents.iter();
        for (n, (line, judged)) in lines.iter().zip(judged).enumerate() {
            let outcome = match judged {
                Err(fault) => Err(fault),
                Ok(()) => match (documents.next(), outcomes.next()) {
                    (Some(document), Some(outcome)) => outcome.map(|json| (&*document.id, json)),
                    // Left to the next transaction.
                    _ => return (results, n),
                },
            };
            if n > 0 {
                results.push(b'\n');
            }
            self.write_result(&mut results, outcome, &self.body[line.clone()]);
        }
        (results, lines.len())
    }

    /// A line that is not UTF-8 is one document's fault.
    fn judge(&self, line: &Range<usize>, n: usize) -> Result<Document<'_>, Rejection> {
        let json = std::str::from_utf8(self.body[line.clone()].trim_ascii())
            .map_err(|error| Rejection::new(n, None, "invalid_json", format!("not UTF-8: {error}")))?;
        parse(json, n, self.query.action)
    }

    async fn change<'a>(&'a self, documents: &'a [Document<'a>]) -> Result<Vec<Result<Cow<'a, str>, Refused>>, Error> {
        let change = Change {
            index: &self.index,
            request_id: &self.request_id,
            changes: Changes::Write(self.query.action, documents),
            backlog_limit: self.state.limits.backlog,
        };
        let changed = ingest::change(&self.state.pool, &change).await?;
        let outcomes = changed.outcomes.into_iter().zip(documents);
        Ok(outcomes.map(|(outcome, document)| outcome.map_err(|fault| fault_of(fault, &document.id).into())).collect())
    }

    /// The result of one line, on one line.
    fn write_result(&self, results: &mut Vec<u8>, outcome: Result<(&str, Cow<'_, str>), Refused>, line: &[u8]) {
        let result = match &outcome {
            Ok((id, json)) => LineResult {
                document: self.query.return_doc.then(|| serde_json::from_str(json).ok()).flatten().map(Shown::Stored),
                id: self.query.return_id.then_some(id),
                success: true,
                ..LineResult::default()
            },
            Err(Refused { code, error }) => LineResult {
                code: Some(*code),
                error: Some(error),
                document: Some(Shown::Refused(echo(line.trim_ascii()))),
                ..LineResult::default()
            },
        };
        // Of strings and numbers, which can always be written.
        let _ = serde_json::to_writer(results, &result);
    }
}

/// A refused line as it is shown: whole where it may be a document, else its beginning. In JSON a control character takes six times
/// its room, so that a large line of them would grow far beyond what the body was given.
fn echo(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) if line.len() <= MAX_DOCUMENT_BYTES && !text.contains(char::is_control) => Cow::Borrowed(text),
        _ => {
            // No character has more than four bytes.
            let beginning = &line[..line.len().min(4 * ECHOED)];
            Cow::Owned(String::from_utf8_lossy(beginning).chars().take(ECHOED).collect())
        }
    }
}

/// A line of the answer.
#[derive(Default, Serialize)]
struct LineResult<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    success: bool,
}

/// The document of a line.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    /// As it is to be stored.
    Stored(&'a RawValue),
    /// The text of a line that was not accepted.
    Refused(Cow<'a, str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_line_is_echoed_whole_unless_it_is_binary_or_larger_than_a_document() {
        let full = "é".repeat(MAX_DOCUMENT_BYTES / 2);
        for (line, echoed) in [
            (b"{bad".to_vec(), "{bad".to_owned()),
            (full.clone().into_bytes(), full.clone()),
            ((full + "x").into_bytes(), "é".repeat(ECHOED)),
            (vec![1; 5000], "\u{1}".repeat(ECHOED)),
            (vec![0xff; 5000], "\u{fffd}".repeat(ECHOED)),
            ("𝄞".repeat(ECHOED + 1).into_bytes().into_iter().chain([7]).collect(), "𝄞".repeat(ECHOED)),
            (b"a\tb".to_vec(), "a\tb".to_owned()),
        ] {
            assert_eq!(echo(&line), echoed);
        }
    }
}
