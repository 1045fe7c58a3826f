//! What people do about dead letters. Each act is kept with who did it.

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        dead_letter::{DeadLetter, Mended, Operation, Retried, Selection},
    },
    domain::document::Document,
};
use uuid::Uuid;

use super::Filter;
use crate::cli::{Session, input, person::Person};

/// Dead letters to act on: by their ids or by a filter.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "organization", "index", "sync_job", "signature", "since"]))]
pub(crate) struct Choice {
    /// Exactly these, separated by commas or spaces
    #[arg(long, num_args = 1.., value_delimiter = ',',
        conflicts_with_all = ["organization", "index", "sync_job", "signature", "since"])]
    ids: Option<Vec<Uuid>>,
    #[command(flatten)]
    filter: Filter,
    /// Only count them
    #[arg(long)]
    dry_run: bool,
}

impl Choice {
    async fn selection(&self, pool: &PgPool) -> anyhow::Result<Selection<'_>> {
        match &self.ids {
            Some(ids) => Ok(Selection { ids: Some(ids), ..Selection::default() }),
            None => self.filter.selection(pool).await,
        }
    }
}

pub(super) async fn retry(session: &Session, pool: &PgPool, choice: &Choice) -> anyhow::Result<()> {
    let person = Person::here();
    let done = db::dead_letter::retry(pool, choice.selection(pool).await?, person.actor(), choice.dry_run).await?;
    let view = json!({
        "matched": done.matched,
        "retried": done.retried,
        "deferred": done.deferred,
        "superseded": done.superseded,
        "dryRun": choice.dry_run,
    });
    session.show(&view, || match choice.dry_run {
        true => format!("{} would be retried", done.matched),
        false => told(&done),
    })
}

fn told(done: &Retried) -> String {
    let mut text = format!("{} retried, {} superseded by a newer write", done.retried, done.superseded);
    if done.deferred > 0 {
        let deferred = done.deferred;
        text += &format!(
            "; {deferred} wait for the run that is under way, or for the next one if their sync job is disabled"
        );
    }
    text
}

pub(super) async fn discard(session: &Session, pool: &PgPool, choice: &Choice) -> anyhow::Result<()> {
    let person = Person::here();
    let done = db::dead_letter::discard(pool, choice.selection(pool).await?, person.actor(), choice.dry_run).await?;
    let view = json!({ "matched": done.matched, "discarded": done.discarded, "dryRun": choice.dry_run });
    session.show(&view, || match choice.dry_run {
        true => format!("{} would be discarded", done.matched),
        false => format!("{} discarded", done.discarded),
    })
}

pub(super) async fn mend(session: &Session, pool: &PgPool, letter: &DeadLetter, given: &str) -> anyhow::Result<()> {
    let Some(index_id) = letter.index_id else {
        let table = letter.source_table.as_deref().unwrap_or_default();
        bail!("mend the row in {table}; the next run takes it");
    };
    if !matches!(letter.operation, Operation::Upsert | Operation::Reproject) {
        bail!("this letter is a delete and has no document to mend: retry or discard it");
    }
    let text = input::json_or_file(given, "document")?;
    let document = Document::parse(text.trim(), 0).map_err(|rejection| anyhow::anyhow!(rejection.message));
    let document = document.context("the document can't be taken")?;
    if letter.document_id.as_deref() != Some(&*document.id) {
        bail!("the document's id is {:?}, and must be that of the dead letter's document", document.id);
    }
    let person = Person::here();
    match db::dead_letter::mend(pool, letter.id, index_id, &document.json, person.actor()).await? {
        Mended::Yes => {}
        Mended::Overtaken => bail!("the document has a newer write: discard this letter, or write anew"),
        Mended::Gone => bail!("the dead letter has just gone"),
    }
    let view = json!({ "matched": 1, "retried": 1, "deferred": 0, "superseded": 0, "dryRun": false });
    session.show(&view, || match letter.job_id {
        Some(job_id) => format!("mended, and on its way: `tidewell job show {job_id} --wait`"),
        None => "mended, and on its way".to_owned(),
    })
}
