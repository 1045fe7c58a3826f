//! Dead letters: seen, retried, mended, discarded. For the operator, and for a tenant key with `admin` within its own; those of sync
//! jobs are the operator's alone.

mod choice;
mod view;

use axum::{Json as Answer, extract::State as Shared};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Error, Fault, State,
    body::Json,
    keeper::Keeper,
    page::{Page, PageQuery},
    params::{Path, Query},
    responses::{Conflict, Invalid, NotFound, Refused, TooLarge, Unprocessable},
};
use crate::{
    db::{
        self,
        dead_letter::{Act, DeadLetter, Group, Mended, Operation},
    },
    domain::document::Document,
};
use choice::{Choice, LetterFilter, Wanted};
use view::{DeadLetterView, DiscardAnswer, RetryAnswer};

impl Keeper {
    /// Whether a letter or an act of it is the caller's to see. What is no organization's is the operator's alone.
    fn may_see(&self, organization_id: Option<Uuid>, index_id: Option<Uuid>) -> bool {
        self.caller.organization_id().is_none_or(|own| organization_id == Some(own))
            && self.caller.index_id().is_none_or(|bound| index_id == Some(bound))
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

/// Count dead letters by error signature and index or sync job, the largest groups first
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
    Ok(Answer(DeadLetterView::from(letter).with(acts)))
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
/// Each keeps its version; one whose document has a newer write ends as superseded. The letter of a sync job's row stays until a run
/// has written the row.
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
        deferred: done.deferred,
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
/// It keeps the letter's version, so a newer write of the document is a 409. So is the row of a sync job, which is mended in its table.
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
    let Some(index_id) = letter.index_id else {
        let table = letter.source_table.unwrap_or_default();
        return Err(Error::conflict(format!("mend the row in {table}; the next run takes it")));
    };
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
    match db::dead_letter::mend(&state.pool, id, index_id, &mended.json, keeper.actor()).await? {
        Mended::Yes => Ok(Answer(RetryAnswer::of_one())),
        Mended::Overtaken => Err(Error::conflict("the document has a newer write: discard this letter, or write anew")),
        Mended::Gone => Err(Error::not_found("dead letter")),
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
