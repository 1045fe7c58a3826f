//! Typesense's looks at one thing: `GET /collections/{index}` and `GET /collections/{index}/documents/{id}`. Each is a search, so
//! that what confines searches confines these too.

use axum::{
    Json as Answer,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use super::envelope::Failures;
use crate::http::{
    Error, State,
    params::{Pairs, Path},
    search::{Parameters, Searcher, Spelling, run_one},
};

/// Show an index, as Typesense's clients do
#[utoipa::path(get, path = "/collections/{index}", tag = "typesense", security(("typesense" = [])),
    params(("index" = String, Path, description = "The index's id or slug")),
    responses((status = 200, body = Collection), Failures))]
pub(super) async fn collection(
    caller: Searcher,
    Path(name): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<Collection>, Error> {
    let index = state.index(&caller.caller, &name).await?;
    let mut parameters = Parameters::new(Spelling::Snake);
    parameters.set("per_page", "0")?;
    let found = run_one(&state, &caller, &parameters.search(index.clone())?).await?;
    Ok(Answer(Collection {
        name,
        num_documents: found.found,
        fields: index.fields.0.clone(),
        default_sorting_field: index.default_sorting_field.clone().unwrap_or_default(),
        created_at: index.created_at,
    }))
}

/// An index as Typesense describes a collection.
#[derive(Serialize, ToSchema)]
pub(super) struct Collection {
    name: String,
    num_documents: u64,
    #[schema(value_type = Vec<Object>)]
    fields: Vec<Value>,
    default_sorting_field: String,
    /// Seconds since 1970.
    #[serde(with = "chrono::serde::ts_seconds")]
    #[schema(value_type = i64)]
    created_at: DateTime<Utc>,
}

/// Show a document, as Typesense's clients do
#[utoipa::path(get, path = "/collections/{index}/documents/{id}", tag = "typesense", security(("typesense" = [])),
    params(("index" = String, Path, description = "The index's id or slug"),
           ("id" = String, Path, description = "The document's id"),
           ("include_fields" = Option<String>, Query, description = "Fields, with commas between"),
           ("exclude_fields" = Option<String>, Query, description = "Fields, with commas between")),
    responses((status = 200, description = "The document", body = Object), Failures))]
pub(super) async fn document(
    caller: Searcher,
    Path((name, id)): Path<(String, String)>,
    Shared(state): Shared<State>,
    Pairs(query): Pairs,
) -> Result<Response, Error> {
    #[derive(Deserialize)]
    struct Hit<'a> {
        #[serde(borrow)]
        document: &'a RawValue,
    }
    let index = state.index(&caller.caller, &name).await?;
    let mut parameters = Parameters::new(Spelling::Snake);
    for (name, value) in &query {
        match name.as_str() {
            "include_fields" | "exclude_fields" => parameters.set(name, value)?,
            _ => return Err(Error::invalid(format!("the parameter {name} is not offered here"))),
        }
    }
    let search = parameters.search(index)?.of_id(&id)?;
    let found = run_one(&state, &caller, &search).await?;
    let hits = found.hits.as_ref().map_or("[]", |hits| hits.get());
    let hits: Vec<Hit<'_>> = serde_json::from_str(hits).map_err(|error| Error::Internal(error.to_string()))?;
    let detail = || format!("Could not find a document with id: {id}");
    let hit = hits.first().ok_or_else(|| Error::NotFound { code: "not_found", detail: detail() })?;
    Ok(Answer(hit.document).into_response())
}
