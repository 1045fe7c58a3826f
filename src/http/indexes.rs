//! Indexes: a tenant's schemas.

use axum::{
    Json as Answer,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Error, State,
    body::Json,
    caller::{Caller, Operator},
    organizations,
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Conflict, Invalid, NotFound, Refused, TooLarge, Unprocessable},
    validate::Faults,
};
use crate::{
    db::{
        self,
        index::{Changes, Index, Listed, NewIndex},
        index_check::Check,
    },
    domain::{embedding::Embedding, fields},
};

/// List an organization's indexes
#[utoipa::path(get, path = "/v1/organizations/{org}/indexes", tag = "indexes", security(("operator" = [])),
    params(("org" = String, Path, description = "The organization's id or slug"), PageQuery),
    responses((status = 200, body = Page<IndexView>), Invalid, Refused, NotFound))]
pub(super) async fn list(
    _: Operator,
    Path(org): Path<String>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<IndexView>>, Error> {
    let organization = organizations::find(&state, &org).await?;
    let rows = db::index::list(&state.pool, organization.id, page.before()?, page.limit()? + 1).await?;
    Ok(Answer(page.page(rows, |row| row.id, |row| IndexView::from(&row))?))
}

/// List the indexes of all organizations
#[utoipa::path(get, path = "/v1/indexes", tag = "indexes", security(("operator" = [])),
    params(AllQuery, PageQuery), responses((status = 200, body = Page<ListedIndex>), Invalid, Refused, NotFound))]
pub(super) async fn list_all(
    _: Operator,
    Query(AllQuery { organization }): Query<AllQuery>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<ListedIndex>>, Error> {
    let organization = match &organization {
        Some(name) => Some(organizations::find(&state, name).await?.id),
        None => None,
    };
    let rows = db::index::list_all(&state.pool, organization, page.before()?, page.limit()? + 1).await?;
    Ok(Answer(page.page(rows, |row| row.index.id, ListedIndex::from)?))
}

/// Make an index
///
/// Its collection in Typesense is made with the first write.
#[utoipa::path(post, path = "/v1/organizations/{org}/indexes", tag = "indexes", security(("operator" = [])),
    params(("org" = String, Path, description = "The organization's id or slug")),
    request_body = IndexBody,
    responses((status = 201, body = IndexView), Invalid, Refused, NotFound, Conflict, TooLarge, Unprocessable))]
pub(super) async fn create(
    _: Operator,
    Path(org): Path<String>,
    Shared(state): Shared<State>,
    Json(body): Json<IndexBody>,
) -> Result<Response, Error> {
    let organization = organizations::find(&state, &org).await?;
    body.check()?;
    let new = NewIndex {
        slug: &body.slug,
        fields: &body.fields,
        default_sorting_field: body.default_sorting_field.as_deref(),
        embedding: body.embedding.as_ref(),
        max_attempts: body.max_attempts,
        cache_seconds: body.cache_seconds,
    };
    let made = db::index::insert(&state.pool, organization.id, &new).await.map_err(|error| {
        match db::broken_constraint(&error) {
            // The alias is made of the organization and the slug, so either may be noticed first.
            Some("indexes_organization_id_slug_key" | "indexes_alias_key") => {
                Error::conflict("the organization has an index of this slug")
            }
            _ => error.into(),
        }
    })??;
    let location = format!("/v1/indexes/{}", made.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(IndexView::from(&made))).into_response())
}

/// Show an index
///
/// For the operator, and for any key of the organization that may use the index; how it was checked is told to those that may administer
/// it.
#[utoipa::path(get, path = "/v1/indexes/{index}", tag = "indexes",
    params(("index" = String, Path, description = "The index's id or slug")),
    responses((status = 200, body = CheckedIndex), Refused, NotFound, Conflict))]
pub(super) async fn show(
    caller: Caller,
    Path(index): Path<String>,
    Shared(state): Shared<State>,
) -> Result<Answer<CheckedIndex>, Error> {
    caller.require_unscoped()?;
    let index = state.index(&caller, &index).await?;
    let check = match caller.require(&["admin"]) {
        Ok(()) => db::index_check::find(&state.pool, index.id).await?,
        Err(_) => None,
    };
    Ok(Answer(CheckedIndex { index: IndexView::from(&*index), check }))
}

/// Change an index
///
/// What is left out stays as it is. Its schema is changed by `:reindex`.
#[utoipa::path(patch, path = "/v1/indexes/{index}", tag = "indexes", security(("operator" = [])),
    params(("index" = String, Path, description = "The index's id or slug")),
    request_body = IndexChanges,
    responses((status = 200, body = IndexView), Invalid, Refused, NotFound, Conflict, TooLarge, Unprocessable))]
pub(super) async fn update(
    _: Operator,
    caller: Caller,
    Path(index): Path<String>,
    Shared(state): Shared<State>,
    Json(changes): Json<IndexChanges>,
) -> Result<Answer<IndexView>, Error> {
    let mut faults = Faults::default();
    judge_settings(&mut faults, changes.max_attempts, changes.cache_seconds);
    faults.check()?;
    let index = state.index(&caller, &index).await?;
    let changes = Changes { max_attempts: changes.max_attempts, cache_seconds: changes.cache_seconds };
    let changed = db::index::update(&state.pool, index.id, &changes).await?.ok_or_else(Error::index_not_found)?;
    state.forget();
    Ok(Answer(IndexView::from(&changed)))
}

/// An index.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Index)]
pub(super) struct IndexView {
    id: Uuid,
    organization_id: Uuid,
    slug: String,
    /// In Typesense's own words.
    #[schema(value_type = Vec<Object>)]
    fields: Vec<Value>,
    default_sorting_field: Option<String>,
    /// What its documents are embedded from; null: they have no vectors.
    embedding: Option<Embedding>,
    /// The alias in Typesense that searches go through.
    alias: String,
    /// The live version.
    version: i32,
    /// The collection behind the alias; null until the first write.
    collection: Option<String>,
    /// How often a document is tried before it becomes a dead letter.
    max_attempts: i32,
    /// For how many seconds the answer to a search may be given again; 0: never.
    cache_seconds: i32,
    created_at: DateTime<Utc>,
}

/// An index, and whose it is.
#[derive(Serialize, ToSchema)]
pub(super) struct ListedIndex {
    #[serde(flatten)]
    index: IndexView,
    /// The organization's slug.
    organization: String,
}

impl From<Listed> for ListedIndex {
    fn from(Listed { index, organization }: Listed) -> Self {
        Self { index: IndexView::from(&index), organization }
    }
}

/// Whose indexes to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AllQuery {
    /// The id or slug of the one organization; left out: all.
    organization: Option<String>,
}

/// An index, and how its collection compared with what was written.
#[derive(Serialize, ToSchema)]
pub(super) struct CheckedIndex {
    #[serde(flatten)]
    index: IndexView,
    /// The last comparison; null where there was none yet, or for a key without the scope `admin`.
    check: Option<Check>,
}

impl From<&Index> for IndexView {
    fn from(index: &Index) -> Self {
        Self {
            id: index.id,
            organization_id: index.organization_id,
            slug: index.slug.clone(),
            fields: index.fields.0.clone(),
            default_sorting_field: index.default_sorting_field.clone(),
            embedding: index.embedding.as_ref().map(|embedding| embedding.0.clone()),
            alias: index.alias.clone(),
            version: index.version,
            collection: index.collection.clone(),
            max_attempts: index.max_attempts,
            cache_seconds: index.cache_seconds,
            created_at: index.created_at,
        }
    }
}

/// An index to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewIndex)]
pub(super) struct IndexBody {
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,47}$")]
    slug: String,
    /// Typesense fields. `id` and what Tidewell sets itself are always there and not to be declared.
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 250)]
    fields: Vec<Value>,
    /// A field of numbers that every document has.
    default_sorting_field: Option<String>,
    /// How often a document is tried before it becomes a dead letter.
    #[schema(minimum = 1, maximum = 100, default = 8)]
    max_attempts: Option<i32>,
    /// For how many seconds the answer to a search may be given again; 0: never.
    #[schema(minimum = 0, maximum = 60, default = 0)]
    cache_seconds: Option<i32>,
    /// What its documents are embedded from, so that they can be found by their meaning.
    embedding: Option<Embedding>,
}

impl IndexBody {
    fn check(&self) -> Result<(), Error> {
        let mut faults = Faults::default();
        faults.slug(&self.slug);
        let of_embedding = self.embedding.iter().flat_map(|embedding| embedding.faults(&self.fields));
        for fault in fields::faults(&self.fields, self.default_sorting_field.as_deref()).into_iter().chain(of_embedding)
        {
            faults.add(&fault.place, fault.message);
        }
        judge_settings(&mut faults, self.max_attempts, self.cache_seconds);
        faults.check()
    }
}

/// What changes of an index.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct IndexChanges {
    /// How often a document is tried before it becomes a dead letter.
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<i32>,
    /// For how many seconds the answer to a search may be given again; 0: never.
    #[schema(minimum = 0, maximum = 60)]
    cache_seconds: Option<i32>,
    /// The schema is not changed here.
    #[serde(
        rename = "fields",
        alias = "defaultSortingField",
        alias = "embedding",
        default,
        deserialize_with = "no_schema"
    )]
    #[schema(ignore)]
    _schema: (),
}

fn no_schema<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::custom("fields, defaultSortingField and embedding are changed by POST /v1/indexes/{index}:reindex"))
}

fn judge_settings(faults: &mut Faults, max_attempts: Option<i32>, cache_seconds: Option<i32>) {
    if max_attempts.is_some_and(|attempts| !(1..=100).contains(&attempts)) {
        faults.add("maxAttempts", "must be 1 to 100");
    }
    if cache_seconds.is_some_and(|seconds| !(0..=60).contains(&seconds)) {
        faults.add("cacheSeconds", "must be 0 to 60");
    }
}
