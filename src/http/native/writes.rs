//! Single documents, as Typesense's clients write them: judged by the latest accepted state, made durable, answered at once.

use axum::{
    Json,
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::envelope::Failures;
use crate::{
    domain::{
        document::{Document, Rejection, id_fault},
        filter,
    },
    http::{
        Error,
        body::WriteBody,
        documents::{WriteRequest, counted, location, text},
        params::Query,
    },
    ingest::{self, Action, Change, Changes, Fault, Writes},
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateQuery {
    /// `create` unless given.
    #[serde(default)]
    #[param(inline)]
    action: Action,
}

/// Write a document
///
/// It is stored durably and projected into the index afterwards: `Location` is the job to ask for. A document without an id is
/// given one. Whether the document fits the index's schema is judged when it is projected; what does not becomes a dead letter.
#[utoipa::path(post, path = "/collections/{index}/documents", tag = "typesense", security(("typesense" = [])),
    params(("index" = String, Path, description = "The index's id or slug"), CreateQuery),
    request_body(content = Object, description = "A JSON object"),
    responses((status = 201, description = "Accepted; the document as it is to be stored", body = Object), Failures))]
pub(super) async fn create(
    request: WriteRequest,
    Query(CreateQuery { action }): Query<CreateQuery>,
    body: WriteBody,
) -> Result<Response, Error> {
    let document = parse(text(&body)?, 0, action).map_err(refused)?;
    let id = document.id.clone();
    write(&request, StatusCode::CREATED, &id, Changes::Write(action, &[document])).await
}

/// Merge fields into a document
///
/// The fields named replace those of the latest accepted state, objects and arrays whole; a field set to null goes.
#[utoipa::path(patch, path = "/collections/{index}/documents/{id}", tag = "typesense", security(("typesense" = [])),
    params(("index" = String, Path, description = "The index's id or slug"),
           ("id" = String, Path, description = "The document's id")),
    request_body(content = Object, description = "The fields to change"),
    responses((status = 200, description = "Accepted; the document as it is to be stored", body = Object), Failures))]
pub(super) async fn update(request: WriteRequest, body: WriteBody) -> Result<Response, Error> {
    let id = existing_id(&request)?;
    let document = Document::parse_as(text(&body)?, 0, id).map_err(counted).map_err(refused)?;
    write(&request, StatusCode::OK, id, Changes::Write(Action::Update, &[document])).await
}

/// Delete a document
#[utoipa::path(delete, path = "/collections/{index}/documents/{id}", tag = "typesense", security(("typesense" = [])),
    params(("index" = String, Path, description = "The index's id or slug"),
           ("id" = String, Path, description = "The document's id")),
    responses((status = 200, description = "Accepted; the document as it was", body = Object), Failures))]
pub(super) async fn delete(request: WriteRequest) -> Result<Response, Error> {
    let id = existing_id(&request)?;
    write(&request, StatusCode::OK, id, Changes::Delete(id)).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FilterQuery {
    /// In Typesense's syntax.
    #[param(required = true)]
    filter_by: Option<String>,
}

/// A delete by filter that is queued.
#[derive(Serialize, ToSchema)]
pub(super) struct Queued {
    /// Always null: how many match is known only when the writes before have been projected. The job counts them.
    num_deleted: Option<u64>,
    job_id: Uuid,
    /// Always `queued`.
    status: String,
}

/// Delete every document that matches a filter
///
/// What matches in the state made by exactly the writes ordered before this one is deleted; later writes survive. It is carried out
/// after the answer: `GET /v1/jobs/{job_id}` counts what was deleted.
#[utoipa::path(delete, path = "/collections/{index}/documents", tag = "typesense", security(("typesense" = [])),
    params(("index" = String, Path, description = "The index's id or slug"), FilterQuery),
    responses((status = 200, description = "Accepted", body = Queued), Failures))]
pub(super) async fn delete_by_filter(
    request: WriteRequest,
    Query(FilterQuery { filter_by }): Query<FilterQuery>,
) -> Result<Response, Error> {
    refuse_idempotency_key(&request)?;
    let filter_by = filter_by.ok_or_else(|| Error::invalid("Parameter `filter_by` must be provided."))?;
    filter::check(&filter_by).map_err(|detail| Error::Invalid { code: "invalid_filter", detail })?;
    let accepted = request.accept(&[], Writes::DeleteByFilter(&filter_by), vec![]).await?;
    let queued = Queued { num_deleted: None, job_id: accepted.job_id, status: accepted.status };
    Ok(([location(queued.job_id)], Json(queued)).into_response())
}

/// Makes one change durable and answers with its document.
async fn write(request: &WriteRequest, status: StatusCode, id: &str, changes: Changes<'_>) -> Result<Response, Error> {
    refuse_idempotency_key(request)?;
    let index = request.index().await?;
    let change = Change {
        index: &index,
        request_id: &request.request_id.0,
        changes,
        backlog_limit: request.state.limits.backlog,
    };
    let mut changed = ingest::change(&request.state.pool, &change).await?;
    let outcome = changed.outcomes.pop().ok_or_else(|| Error::Internal("a change came to nothing".to_owned()))?;
    let document = outcome.map_err(|fault| fault_of(fault, id))?.into_owned();
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, json, Body::from(document)).into_response();
    if let Some((job_id, month)) = changed.accepted {
        request.note(month);
        response = ([location(job_id)], response).into_response();
    }
    Ok(response)
}

/// A key that promises what is not kept here would be a trap.
pub(super) fn refuse_idempotency_key(request: &WriteRequest) -> Result<(), Error> {
    match request.parts.headers.contains_key("idempotency-key") {
        true => Err(Error::invalid("Idempotency-Key is taken by /v1 alone: leave it out here")),
        false => Ok(()),
    }
}

/// The id in the path. One that no document can have is that of none.
fn existing_id(request: &WriteRequest) -> Result<&str, Error> {
    let id = request.id();
    if id_fault(id).is_some() { Err(fault_of(Fault::Missing, id)) } else { Ok(id) }
}

/// Reads a document that is to be written so; one that need not be there yet is given an id where it has none.
pub(super) fn parse(json: &str, position: usize, action: Action) -> Result<Document<'_>, Rejection> {
    let parsed = match action {
        Action::Update => Document::parse(json, position),
        _ => Document::parse_or_name(json, position, || Uuid::now_v7().to_string()),
    };
    parsed.map_err(counted)
}

/// Why a document can't be taken, in Typesense's words where it has some.
pub(super) fn refused(Rejection { code, message, .. }: Rejection) -> Error {
    match code.as_str() {
        "invalid_json" | "invalid_document" => Error::invalid(format!("Bad JSON: {message}")),
        "missing_id" => Error::invalid("For update, the `id` key must be provided."),
        "document_too_large" => Error::TooLarge { code: "payload_too_large", detail: message },
        _ => Error::invalid(message),
    }
}

/// Why a change was refused, as Typesense says it.
pub(super) fn fault_of(fault: Fault, id: &str) -> Error {
    match fault {
        Fault::Exists => {
            Error::Conflict { code: "conflict", detail: format!("A document with id {id} already exists.") }
        }
        Fault::Missing => {
            Error::NotFound { code: "not_found", detail: format!("Could not find a document with id: {id}") }
        }
        Fault::InQuestion => Error::Unavailable {
            detail: format!("a delete by filter that may take the document {id} is being carried out: try again"),
            retry_after: 1,
        },
        Fault::TooLarge(detail) => Error::TooLarge { code: "payload_too_large", detail },
    }
}
