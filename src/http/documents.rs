//! Writes: judged, made durable, answered 202. Nothing here speaks to Typesense.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use metrics::counter;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Error, Fault, State,
    body::{self, WriteBody},
    caller::{Caller, Spent},
    error::refused_by,
    params::{Path, Query},
    request_id::RequestId,
    responses::Failures,
};
use crate::{
    db::{idempotency::Scope, index::Index, quota::Month},
    domain::{
        document::{Document, MAX_DOCUMENTS, Rejection, id_fault},
        filter,
    },
    ingest::{self, Accepted, Idempotency, Refusal, Write, Writes},
    metrics::REJECTED,
};

const WRITE_SCOPES: [&str; 2] = ["ingest", "connector_write"];
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// Everything about a write request but its body.
pub(super) struct WriteRequest {
    pub(super) state: State,
    caller: Caller,
    pub(super) parts: Parts,
    path: HashMap<String, String>,
    pub(super) request_id: RequestId,
}

impl FromRequestParts<State> for WriteRequest {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.require(&WRITE_SCOPES)?;
        let Path(path) = Path::from_request_parts(parts, state).await?;
        let request_id = RequestId::from_request_parts(parts, state).await.unwrap_or_else(|never| match never {});
        Ok(Self { state: state.clone(), caller, parts: parts.clone(), path, request_id })
    }
}

/// Accept one document
///
/// The document is stored durably and projected into the index afterwards; a later write of the same id replaces it.
#[utoipa::path(put, path = "/v1/indexes/{index}/documents", tag = "writes",
    params(("index" = String, Path, description = "The index's id or slug"), IdempotencyHeader),
    request_body(content = Object, description = "A JSON object with a string `id`"),
    responses(Written, Failures))]
pub(super) async fn upsert(request: WriteRequest, body: WriteBody) -> Result<Response, Error> {
    let json = text(&body)?;
    let document = Document::parse(json, 0).map_err(|rejection| refuse_all(vec![counted(rejection)]))?;
    request.write(&body, Writes::Upserts(vec![document]), vec![]).await
}

/// Accept up to 1,000 documents
///
/// As `{"documents": […]}` (`application/json`) or one document a line (`application/x-ndjson`). Faulty documents are rejected
/// one by one, the rest accepted.
#[utoipa::path(post, path = "/v1/indexes/{index}/documents:batch", tag = "writes",
    params(("index" = String, Path, description = "The index's id or slug"), IdempotencyHeader),
    request_body(content((Batch = "application/json"), (String = "application/x-ndjson"))),
    responses(Written, Failures))]
pub(super) async fn batch(request: WriteRequest, body: WriteBody) -> Result<Response, Error> {
    let (documents, rejected) = if is_ndjson(&request.parts.headers) {
        let lines: Vec<&[u8]> =
            body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
        judge(lines.len(), lines.iter().enumerate().map(|(n, line)| document_of_line(line, n)))?
    } else {
        let texts = body::parse::<Documents>(text(&body)?.as_bytes())?.documents;
        judge(texts.len(), texts.iter().enumerate().map(|(n, json)| Document::parse(json.get(), n)))?
    };
    request.write(&body, Writes::Upserts(documents), rejected).await
}

/// Accept the deletion of up to 1,000 documents
#[utoipa::path(post, path = "/v1/indexes/{index}/documents:batchDelete", tag = "writes",
    params(("index" = String, Path, description = "The index's id or slug"), IdempotencyHeader),
    request_body = Ids, responses(Written, Failures))]
pub(super) async fn batch_delete(request: WriteRequest, body: WriteBody) -> Result<Response, Error> {
    let Ids { ids } = body::parse(text(&body)?.as_bytes())?;
    let judged = ids.iter().enumerate().map(|(position, json)| {
        let id: Option<String> = serde_json::from_str(json.get()).ok();
        match id.as_deref().map_or_else(|| Some("Document's `id` field should be a string.".to_owned()), id_fault) {
            None => Ok(id.unwrap_or_default()),
            Some(message) => Err(Rejection { position, id, code: "invalid_id".to_owned(), message }),
        }
    });
    let (accepted, rejected) = judge(ids.len(), judged)?;
    let accepted = accepted.iter().map(String::as_str).collect();
    request.write(&body, Writes::Deletes(accepted), rejected).await
}

/// Accept the deletion of one document
#[utoipa::path(delete, path = "/v1/indexes/{index}/documents/{id}", tag = "writes",
    params(("index" = String, Path, description = "The index's id or slug"),
           ("id" = String, Path, description = "The document's id"), IdempotencyHeader),
    responses(Written, Failures))]
pub(super) async fn delete(request: WriteRequest) -> Result<Response, Error> {
    let id = request.id().to_owned();
    if let Some(fault) = id_fault(&id) {
        return Err(Error::validation(vec![Fault::new("id", fault)]));
    }
    request.write(&[], Writes::Deletes(vec![&id]), vec![]).await
}

/// Accept the deletion of every document that matches a filter
///
/// What matches in the state made by exactly the writes ordered before this one is deleted; later writes survive.
#[utoipa::path(delete, path = "/v1/indexes/{index}/documents", tag = "writes",
    params(("index" = String, Path, description = "The index's id or slug"), FilterQuery, IdempotencyHeader),
    responses(Written, Failures))]
pub(super) async fn delete_by_filter(
    request: WriteRequest,
    Query(FilterQuery { filter_by }): Query<FilterQuery>,
) -> Result<Response, Error> {
    filter::check(&filter_by).map_err(|detail| Error::Invalid { code: "invalid_filter", detail })?;
    request.write(&[], Writes::DeleteByFilter(&filter_by), vec![]).await
}

impl WriteRequest {
    /// The index that the path names.
    pub(super) async fn index(&self) -> Result<Arc<Index>, Error> {
        self.state.index(&self.caller, self.path.get("index").map_or("", String::as_str)).await
    }

    /// The document that the path names.
    pub(super) fn id(&self) -> &str {
        self.path.get("id").map_or("", String::as_str)
    }

    async fn write(self, body: &[u8], writes: Writes<'_>, rejected: Vec<Rejection>) -> Result<Response, Error> {
        Ok(answer(self.accept(body, writes, rejected).await?))
    }

    /// Makes the write durable, unless its idempotency key says that it is already.
    pub(super) async fn accept(
        &self,
        body: &[u8],
        writes: Writes<'_>,
        rejected: Vec<Rejection>,
    ) -> Result<Accepted, Error> {
        let index = self.index().await?;
        let Parts { method, uri, headers, .. } = &self.parts;
        let key = idempotency_key(headers)?;
        let body_hash = key.map(|_| body_hash(uri, body)).unwrap_or_default();
        let idempotency = key.map(|key| Idempotency {
            scope: Scope { organization_id: index.organization_id, method: method.as_str(), path: uri.path(), key },
            body_hash: &body_hash,
        });
        let write = Write {
            index: &index,
            request_id: &self.request_id.0,
            writes,
            rejected,
            idempotency,
            backlog_limit: self.state.limits.backlog,
        };
        let (accepted, month) = ingest::accept(&self.state.pool, write).await?;
        if let Some(month) = month {
            self.note(month);
        }
        Ok(accepted)
    }

    /// Notes what the request has used, for the answer's headers.
    pub(super) fn note(&self, month: Month) {
        Spent::of(&self.parts).note(month);
    }
}

fn answer(accepted: Accepted) -> Response {
    (StatusCode::ACCEPTED, [location(accepted.job_id)], Json(accepted)).into_response()
}

/// Which job to ask for.
pub(super) fn location(job_id: Uuid) -> (HeaderName, String) {
    (header::LOCATION, format!("/v1/jobs/{job_id}"))
}

/// A line that is not UTF-8 is one document's fault.
fn document_of_line(line: &[u8], position: usize) -> Result<Document<'_>, Rejection> {
    let json = std::str::from_utf8(line).map_err(|error| Rejection {
        position,
        id: None,
        code: "invalid_json".to_owned(),
        message: format!("not UTF-8: {error}"),
    })?;
    Document::parse(json, position)
}

/// Parts what was judged into the accepted and the rejected; a request without a single good document is refused whole.
fn judge<T>(
    count: usize,
    judged: impl Iterator<Item = Result<T, Rejection>>,
) -> Result<(Vec<T>, Vec<Rejection>), Error> {
    if count == 0 {
        return Err(Error::validation(vec![Fault::new("body", "there is nothing in it to write")]));
    }
    if count > MAX_DOCUMENTS {
        return Err(Error::TooLarge {
            code: "batch_too_large",
            detail: format!("{count} documents in one request; at most {MAX_DOCUMENTS} are taken: send them in parts"),
        });
    }
    let mut accepted = Vec::with_capacity(count);
    let mut rejected = Vec::new();
    for outcome in judged {
        match outcome {
            Ok(good) => accepted.push(good),
            Err(rejection) => rejected.push(counted(rejection)),
        }
    }
    if accepted.is_empty() { Err(refuse_all(rejected)) } else { Ok((accepted, rejected)) }
}

/// Counts a document that is not taken.
pub(super) fn counted(rejection: Rejection) -> Rejection {
    counter!(REJECTED.name, "code" => rejection.code.clone()).increment(1);
    rejection
}

fn refuse_all(rejected: Vec<Rejection>) -> Error {
    if let [Rejection { code, message, .. }] = &rejected[..] {
        match code.as_str() {
            "invalid_json" => return Error::invalid(format!("the document is not JSON: {message}")),
            "document_too_large" => return Error::TooLarge { code: "payload_too_large", detail: message.clone() },
            _ => {}
        }
    }
    let fault = |rejection: Rejection| Fault {
        field: format!("documents[{}]", rejection.position),
        code: Some(rejection.code),
        message: rejection.message,
    };
    Error::Unprocessable {
        code: "validation_failed",
        detail: "no document of the request can be taken".to_owned(),
        faults: rejected.into_iter().map(fault).collect(),
    }
}

/// What a repeated request must have in common with the first: the body and, where a filter stands there, the query.
fn body_hash(uri: &Uri, body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(uri.query().unwrap_or_default()).chain_update([0]).chain_update(body).finalize().into()
}

pub(super) fn text(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|error| Error::invalid(format!("the body is not UTF-8: {error}")))
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) => Ok(Some(key)),
        _ => Err(Error::invalid(format!("Idempotency-Key: 1 to {MAX_IDEMPOTENCY_KEY} visible characters"))),
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BacklogFull => refused_by("backlog"),
            Refusal::InProgress => refused_by("key_in_progress"),
            Refusal::Mismatch => refused_by("key_mismatch"),
            Refusal::Quota(_) => refused_by("quota"),
            // Counted where it becomes an error.
            Refusal::Documents(_) | Refusal::Database(_) => {}
        }
        match refusal {
            Refusal::BacklogFull => Self::Unavailable {
                detail: "the index has too many writes waiting: try again later".to_owned(),
                retry_after: 10,
            },
            Refusal::InProgress => Self::Conflict {
                code: "idempotency_in_progress",
                detail: "a request with this Idempotency-Key is being answered: try again".to_owned(),
            },
            Refusal::Mismatch => Self::Unprocessable {
                code: "idempotency_mismatch",
                detail: "this Idempotency-Key came with another body before: use a new key for a new request"
                    .to_owned(),
                faults: vec![],
            },
            Refusal::Quota(month) => Self::QuotaExceeded(month),
            Refusal::Documents(reached) => reached.into(),
            Refusal::Database(error) => error.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Documents<'a> {
    #[serde(borrow)]
    documents: Vec<&'a RawValue>,
}

/// Documents to write.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read without building its values")]
struct Batch {
    #[schema(max_items = 1000)]
    documents: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// Ids of documents to delete.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ids<'a> {
    #[serde(borrow)]
    #[schema(max_items = 1000, value_type = Vec<String>)]
    ids: Vec<&'a RawValue>,
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct FilterQuery {
    /// In Typesense's syntax.
    filter_by: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header")]
pub(super) struct IdempotencyHeader {
    /// Kept for 24 hours: the same key and body give the same answer without a second write.
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}

/// Durably accepted; `Location` is the job to ask for.
#[derive(utoipa::IntoResponses)]
#[response(status = 202)]
#[expect(dead_code, reason = "describes the answer")]
pub(super) struct Written(Accepted);
