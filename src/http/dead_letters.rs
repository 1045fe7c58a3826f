//! Dead letters: seen, retried, mended, discarded. For the operator, and for a tenant key with `admin` within its own.

use axum::{
    Json as Answer,
    extract::{FromRequestParts, State as Shared},
    http::request::Parts,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Error, Fault, State,
    body::{self, Json},
    caller::Caller,
    organizations,
    page::{Page, PageQuery},
    params::{Path, Query},
    request_id::RequestId,
    responses::{Conflict, Invalid, NotFound, Refused, TooLarge, Unprocessable},
    validate::is_storable,
};
use crate::{
    db::{
        self,
        dead_letter::{Act, Actor, DeadLetter, Group, Mended, Operation, Selection},
    },
    domain::document::Document,
};

const MAX_IDS: usize = 1000;

/// A caller that may act on dead letters, and what the trail calls it.
pub(super) struct Keeper {
    caller: Caller,
    name: String,
    request_id: String,
}

impl<S: Sync> FromRequestParts<S> for Keeper {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.require(&["admin"])?;
        let RequestId(request_id) =
            RequestId::from_request_parts(parts, state).await.unwrap_or_else(|never| match never {});
        Ok(Self { name: caller.name(), caller, request_id })
    }
}

impl Keeper {
    fn actor(&self) -> Actor<'_> {
        Actor { name: &self.name, request_id: &self.request_id }
    }

    /// Whether a letter or an act of it is the caller's to see.
    fn may_see(&self, organization_id: Uuid, index_id: Uuid) -> bool {
        self.caller.organization_id().is_none_or(|own| own == organization_id)
            && self.caller.index_id().is_none_or(|bound| bound == index_id)
    }

    async fn letter(&self, state: &State, id: Uuid) -> Result<DeadLetter, Error> {
        db::dead_letter::find(&state.pool, id)
            .await?
            .filter(|letter| self.may_see(letter.organization_id, letter.index_id))
            .ok_or_else(|| Error::not_found("dead letter"))
    }
}

/// List dead letters
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", params(LetterFilter, PageQuery),
    responses((status = 200, body = Page<DeadLetterView>), Invalid, Refused, NotFound, Conflict))]
pub(super) async fn list(
    keeper: Keeper,
    Query(Wanted { filter }): Query<Wanted>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<DeadLetterView>>, Error> {
    let selection = filter.selection(&state, &keeper.caller).await?;
    let (letters, more) = db::dead_letter::list(&state.pool, selection, page.before()?, page.limit()?).await?;
    Ok(Answer(Page::of(letters, more, |letter| letter.id, DeadLetterView::from)))
}

/// Count dead letters by error signature and index, the largest groups first
#[utoipa::path(get, path = "/v1/dead-letters:groups", tag = "dead letters", params(LetterFilter, PageQuery),
    responses((status = 200, body = Page<Group>), Invalid, Refused, NotFound, Conflict))]
pub(super) async fn groups(
    keeper: Keeper,
    Query(Wanted { filter }): Query<Wanted>,
    Query(page): Query<PageQuery>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<Group>>, Error> {
    let selection = filter.selection(&state, &keeper.caller).await?;
    let limit = page.limit()?;
    let mut groups = db::dead_letter::groups(&state.pool, selection, after_group(&page)?, limit + 1).await?;
    let more = groups.len() as i64 > limit;
    groups.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = groups.last().filter(|_| more);
    let next_cursor = last.map(|group| format!("{}.{}", group.count, group.newest_id));
    Ok(Answer(Page { items: groups, next_cursor }))
}

/// Groups are in the order of their counts, so that is what their cursor holds.
fn after_group(page: &PageQuery) -> Result<Option<(i64, Uuid)>, Error> {
    let Some(cursor) = &page.cursor else { return Ok(None) };
    let parsed = cursor.split_once('.').and_then(|(count, id)| Some((count.parse().ok()?, Uuid::try_parse(id).ok()?)));
    parsed.map(Some).ok_or_else(|| Error::invalid("cursor: not one that a list gave"))
}

/// Show a dead letter, with what was done to it
#[utoipa::path(get, path = "/v1/dead-letters/{id}", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    responses((status = 200, body = DeadLetterView), Refused, NotFound))]
pub(super) async fn show(
    keeper: Keeper,
    Path(id): Path<Uuid>,
    Shared(state): Shared<State>,
) -> Result<Answer<DeadLetterView>, Error> {
    let letter = keeper.letter(&state, id).await?;
    let acts = db::dead_letter::trail(&state.pool, id).await?;
    Ok(Answer(DeadLetterView { acts: Some(acts), ..DeadLetterView::from(letter) }))
}

/// List what was done to a dead letter, also to one that is gone
#[utoipa::path(get, path = "/v1/dead-letters/{id}/acts", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    responses((status = 200, body = Page<Act>), Refused, NotFound))]
pub(super) async fn acts(
    keeper: Keeper,
    Path(id): Path<Uuid>,
    Shared(state): Shared<State>,
) -> Result<Answer<Page<Act>>, Error> {
    let mut acts = db::dead_letter::trail(&state.pool, id).await?;
    acts.retain(|act| keeper.may_see(act.organization_id, act.index_id));
    if acts.is_empty() {
        keeper.letter(&state, id).await?;
    }
    Ok(Answer(Page { items: acts, next_cursor: None }))
}

/// Retry dead letters
///
/// Each keeps its version; one whose document has a newer write ends as superseded.
#[utoipa::path(post, path = "/v1/dead-letters:retry", tag = "dead letters", request_body = Choice,
    responses((status = 200, body = RetryAnswer), Invalid, Refused, NotFound, Conflict, TooLarge, Unprocessable))]
pub(super) async fn retry(
    keeper: Keeper,
    Shared(state): Shared<State>,
    Json(choice): Json<Choice>,
) -> Result<Answer<RetryAnswer>, Error> {
    let selection = choice.selection(&state, &keeper.caller).await?;
    let done = db::dead_letter::retry(&state.pool, selection, keeper.actor(), choice.dry_run).await?;
    Ok(Answer(RetryAnswer {
        matched: done.matched,
        retried: done.retried,
        superseded: done.superseded,
        dry_run: choice.dry_run,
    }))
}

/// Discard dead letters
#[utoipa::path(post, path = "/v1/dead-letters:discard", tag = "dead letters", request_body = Choice,
    responses((status = 200, body = DiscardAnswer), Invalid, Refused, NotFound, Conflict, TooLarge, Unprocessable))]
pub(super) async fn discard(
    keeper: Keeper,
    Shared(state): Shared<State>,
    Json(choice): Json<Choice>,
) -> Result<Answer<DiscardAnswer>, Error> {
    let selection = choice.selection(&state, &keeper.caller).await?;
    let done = db::dead_letter::discard(&state.pool, selection, keeper.actor(), choice.dry_run).await?;
    Ok(Answer(DiscardAnswer { matched: done.matched, discarded: done.discarded, dry_run: choice.dry_run }))
}

/// Mend a dead letter's document and retry it
///
/// It keeps the letter's version, so a newer write of the document is a 409.
#[utoipa::path(put, path = "/v1/dead-letters/{id}", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The dead letter's id")), request_body = Mend,
    responses((status = 200, body = RetryAnswer), Invalid, Refused, NotFound, Conflict, TooLarge, Unprocessable))]
pub(super) async fn mend(
    keeper: Keeper,
    Path(id): Path<Uuid>,
    Shared(state): Shared<State>,
    Json(Mend { document }): Json<Mend>,
) -> Result<Answer<RetryAnswer>, Error> {
    let letter = keeper.letter(&state, id).await?;
    if !matches!(letter.operation, Operation::Upsert | Operation::Reproject) {
        let message = "this letter is a delete and has no document to mend: retry or discard it";
        return Err(Error::validation(vec![Fault::new("document", message)]));
    }
    let mended = Document::parse(document.get(), 0).map_err(|rejection| {
        Error::validation(vec![Fault { code: Some(rejection.code), ..Fault::new("document", rejection.message) }])
    })?;
    if letter.document_id.as_deref() != Some(&*mended.id) {
        return Err(Error::validation(vec![Fault::new(
            "document",
            "its id must be that of the dead letter's document",
        )]));
    }
    match db::dead_letter::mend(&state.pool, id, letter.index_id, &mended.json, keeper.actor()).await? {
        Mended::Yes => Ok(Answer(RetryAnswer { matched: 1, retried: 1, superseded: 0, dry_run: false })),
        Mended::Overtaken => Err(Error::conflict("the document has a newer write: discard this letter, or write anew")),
        Mended::Gone => Err(Error::not_found("dead letter")),
    }
}

/// Which dead letters; what is left out is no condition.
#[derive(Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LetterFilter {
    /// An organization's id or slug.
    organization: Option<String>,
    /// An index's id or slug.
    index: Option<String>,
    /// An error signature, as the groups show it.
    signature: Option<String>,
    /// Only those that failed at or after this moment.
    since: Option<DateTime<Utc>>,
    operation: Option<Operation>,
}

/// The filter in a query string, beside the page's parameters.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(flatten)]
    filter: LetterFilter,
}

impl LetterFilter {
    fn is_empty(&self) -> bool {
        let Self { organization, index, signature, since, operation } = self;
        organization.is_none() && index.is_none() && signature.is_none() && since.is_none() && operation.is_none()
    }

    /// What the filter selects within the caller's own.
    async fn selection(&self, state: &State, caller: &Caller) -> Result<Selection<'_>, Error> {
        if self.since.is_some_and(|since| !is_storable(since)) {
            return Err(Error::invalid("since: a moment in the years 1 to 9999"));
        }
        let mut organization_id = caller.organization_id();
        if let Some(name) = &self.organization {
            let organization = organizations::find(state, name).await?;
            if organization_id.is_some_and(|own| own != organization.id) {
                return Err(Error::not_found("organization"));
            }
            organization_id = Some(organization.id);
        }
        let index_id = match &self.index {
            Some(name) => Some(state.index_within(caller, organization_id, name).await?.id),
            None => caller.index_id(),
        };
        Ok(Selection {
            ids: None,
            organization_id,
            index_id,
            signature: self.signature.as_deref(),
            since: self.since,
            operation: self.operation,
        })
    }
}

/// Dead letters to act on: by their ids or by a filter, one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = DeadLetterChoice)]
pub(super) struct Choice {
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<Uuid>>,
    /// With one condition at least.
    #[serde(default, deserialize_with = "body::object")]
    filter: Option<LetterFilter>,
    /// Only count them.
    #[serde(default)]
    dry_run: bool,
}

impl Choice {
    async fn selection(&self, state: &State, caller: &Caller) -> Result<Selection<'_>, Error> {
        let fault = |field: &str, message: &str| Err(Error::validation(vec![Fault::new(field, message)]));
        match (&self.ids, &self.filter) {
            (Some(ids), None) if !(1..=MAX_IDS).contains(&ids.len()) => fault("ids", "must be 1 to 1000 ids"),
            (Some(ids), None) => Ok(Selection {
                ids: Some(ids),
                organization_id: caller.organization_id(),
                index_id: caller.index_id(),
                ..Selection::default()
            }),
            (None, Some(filter)) if filter.is_empty() => fault("filter", "must hold one condition at least"),
            (None, Some(filter)) => filter.selection(state, caller).await,
            _ => fault("body", "must hold either ids or a filter"),
        }
    }
}

/// A document to take the place of a dead letter's own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MendedDocument)]
pub(super) struct Mend {
    /// With the same `id`.
    #[schema(value_type = Object)]
    document: Box<RawValue>,
}

/// A write that failed for good.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub(super) struct DeadLetterView {
    id: Uuid,
    /// The organization's slug.
    organization: String,
    /// The index's slug.
    index: String,
    /// Null for a delete by filter.
    document_id: Option<String>,
    job_id: Option<Uuid>,
    operation: Operation,
    /// Its place in the order of all writes; kept by a retry.
    version: i64,
    /// Null where there is none to write.
    #[schema(value_type = Option<Object>)]
    document: Option<Box<RawValue>>,
    /// Of a delete by filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    error: DeadLetterError,
    attempts: i32,
    first_failed_at: DateTime<Utc>,
    last_failed_at: DateTime<Utc>,
    /// What was done to this write before, newest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    acts: Option<Vec<Act>>,
}

/// Why it failed.
#[derive(Serialize, ToSchema)]
pub(super) struct DeadLetterError {
    code: String,
    message: String,
    /// The same for the same fault of other documents.
    signature: String,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let is_filter = matches!(letter.operation, Operation::DeleteByFilter | Operation::DeleteIfMatches);
        let (filter, document) = if is_filter { (letter.body, None) } else { (None, letter.body) };
        Self {
            id: letter.id,
            organization: letter.organization_slug,
            index: letter.index_slug,
            document_id: letter.document_id,
            job_id: letter.job_id,
            operation: letter.operation,
            version: letter.version,
            document: document.and_then(|json| RawValue::from_string(json).ok()),
            filter,
            error: DeadLetterError {
                code: letter.error_code,
                message: letter.error_message,
                signature: letter.error_signature,
            },
            attempts: letter.attempts,
            first_failed_at: letter.first_failed_at,
            last_failed_at: letter.last_failed_at,
            acts: None,
        }
    }
}

/// What became of a retry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetryAnswer {
    matched: i64,
    /// Back in line.
    retried: i64,
    /// Ended: a newer write of the same document stands.
    superseded: i64,
    dry_run: bool,
}

/// What became of a discard.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DiscardAnswer {
    matched: i64,
    discarded: i64,
    dry_run: bool,
}
