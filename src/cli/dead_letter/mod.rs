//! `tidewell dead-letters`.

mod act;
mod view;

use std::{fmt, str::FromStr};

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use sqlx::PgPool;
use tidewell::db::{
    self,
    dead_letter::{DeadLetter, Group, Selection},
};
use uuid::Uuid;

use super::{
    Session, index, organization,
    output::{short, table, time},
    page::PageArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List dead letters, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a dead letter, its document, and what was done to it before
    Show { id: Uuid },
    /// Show what was done to a dead letter, also to one that is gone
    Acts { id: Uuid },
    /// Count dead letters by error signature and index or sync job, the largest groups first
    Groups {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: PageArgs<GroupCursor>,
    },
    /// Try the writes again, unless a newer write has overtaken them
    Retry(act::Choice),
    /// Put another document in a dead letter's place, and try that
    Mend {
        id: Uuid,
        /// The document, with the same id, as JSON or a file that holds it
        #[arg(long, value_name = "JSON|FILE")]
        document: String,
    },
    /// Give the writes up
    Discard(act::Choice),
}

/// Where a page of groups begins: after the group of that size and that newest letter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupCursor(i64, Uuid);

impl FromStr for GroupCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('.').and_then(|(count, id)| Some(Self(count.parse().ok()?, id.parse().ok()?)));
        parsed.ok_or("a count and an id")
    }
}

impl fmt::Display for GroupCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Which dead letters; what is left out is no condition.
#[derive(Debug, Args)]
#[group(multiple = true)]
pub(crate) struct Filter {
    /// Of one organization: its id or slug
    #[arg(long, alias = "org", value_name = "ORG")]
    organization: Option<String>,
    /// Of one index: its id or slug
    #[arg(long)]
    index: Option<String>,
    /// Of one sync job: its id or name
    #[arg(long, value_name = "JOB")]
    sync_job: Option<String>,
    /// Of one error signature: see `tidewell dead-letters groups`
    #[arg(long)]
    signature: Option<String>,
    /// That failed at or after this moment, such as 2030-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
}

impl Filter {
    async fn selection(&self, pool: &PgPool) -> anyhow::Result<Selection<'_>> {
        let organization_id = match &self.organization {
            Some(name) => Some(organization::find(pool, name).await?.id),
            None => None,
        };
        let index_id = match &self.index {
            Some(name) => Some(index::find(pool, self.organization.as_deref(), name).await?.id),
            None => None,
        };
        let sync_job_id = match &self.sync_job {
            Some(name) => Some(sync_job(pool, name).await?),
            None => None,
        };
        let signature = self.signature.as_deref();
        Ok(Selection { organization_id, index_id, sync_job_id, signature, since: self.since, ..Selection::default() })
    }
}

async fn sync_job(pool: &PgPool, name: &str) -> anyhow::Result<Uuid> {
    let found = db::sync::job::resolve(pool, name).await?;
    let job =
        found.with_context(|| format!("there is no sync job {name:?}: `tidewell sync list` shows those there are"))?;
    Ok(job.id)
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    let pool = session.database().await?;
    match command {
        Command::List { filter, page } => {
            let selection = filter.selection(&pool).await?;
            let (letters, more) = db::dead_letter::list(&pool, selection, page.cursor, page.limit()).await?;
            page.show_part(session, &letters, more, |letter| letter.id, view::letter, letters_table)
        }
        Command::Show { id } => {
            let letter = find(&pool, *id).await?;
            let acts = db::dead_letter::trail(&pool, *id).await?;
            session.show(&view::letter_with_acts(&letter, &acts), || view::text(&letter, &acts))
        }
        Command::Acts { id } => {
            let acts = db::dead_letter::trail(&pool, *id).await?;
            if acts.is_empty() {
                find(&pool, *id).await?;
            }
            session.show(&serde_json::json!({ "items": acts, "nextCursor": null }), || view::acts_table(&acts))
        }
        Command::Groups { filter, page } => {
            let (selection, after) =
                (filter.selection(&pool).await?, page.cursor.map(|GroupCursor(count, id)| (count, id)));
            let groups = db::dead_letter::groups(&pool, selection, after, page.reads()).await?;
            let cursor = |group: &Group| GroupCursor(group.count, group.newest_id);
            page.show(
                session,
                &groups,
                cursor,
                |group| group,
                |groups| {
                    let rows = groups.iter().map(|group| {
                        let of = view::owner([&group.organization, &group.index, &group.sync_job]);
                        let (count, newest) = (group.count.to_string(), time(group.newest_failed_at));
                        [group.signature.clone(), count, of, group.code.clone(), newest, short(&group.message, 60)]
                    });
                    table(["signature", "count", "of", "code", "newest", "message"], &["count"], rows)
                },
            )
        }
        Command::Retry(choice) => act::retry(session, &pool, choice).await,
        Command::Mend { id, document } => act::mend(session, &pool, &find(&pool, *id).await?, document).await,
        Command::Discard(choice) => act::discard(session, &pool, choice).await,
    }
}

async fn find(pool: &PgPool, id: Uuid) -> anyhow::Result<DeadLetter> {
    let found = db::dead_letter::find(pool, id).await?;
    found.with_context(|| format!("there is no dead letter {id}: `tidewell dead-letters list` shows those there are"))
}

fn letters_table(letters: &[DeadLetter]) -> String {
    let rows = letters.iter().map(|letter| {
        [
            letter.id.to_string(),
            view::owner_of(letter),
            super::output::maybe(letter.document_id.as_deref().map(|id| short(id, 32))),
            letter.error_code.clone(),
            letter.error_signature.clone(),
            letter.attempts.to_string(),
            time(letter.last_failed_at),
            short(&letter.error_message, 60),
        ]
    });
    table(["id", "of", "document", "code", "signature", "attempts", "failed", "message"], &["attempts"], rows)
}
