//! `tidewell reindex`: another schema for an index, or the former one put back.

mod view;
mod wait;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args as Flags;
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        index::Index,
        reindex::{Reindex, Status},
    },
    reindex::{Wish, job, request},
};

use super::{Session, index, person::Person};
pub(super) use view::versions;

#[derive(Debug, Flags)]
pub(crate) struct Args {
    /// The index's id, or its slug
    index: String,
    /// The organization's id or slug, where several have an index of that slug
    #[arg(long)]
    org: Option<String>,
    /// Put a former version back: the one before, or that of --to
    #[arg(long, conflicts_with = "Wished")]
    rollback: bool,
    /// The version to put back
    #[arg(long, value_name = "VERSION", requires = "rollback")]
    to: Option<i32>,
    /// End what is under way; the live version stays what it is
    #[arg(long, conflicts_with_all = ["Wished", "rollback", "no_wait"])]
    cancel: bool,
    /// Don't wait for the end
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    wished: Wished,
}

/// What is left out stays as the index has it.
#[derive(Debug, Flags)]
struct Wished {
    /// All of the index's Typesense fields, as JSON or a file that holds it
    #[arg(long, value_name = "JSON|FILE")]
    fields: Option<String>,
    /// What documents are embedded from: `{"from": ["title"], "model": "local:all-MiniLM-L6-v2"}`, or a file of it
    #[arg(long, value_name = "JSON|FILE")]
    embedding: Option<String>,
    /// Documents are to have no vectors
    #[arg(long, conflicts_with = "embedding")]
    no_embedding: bool,
    /// The number to sort by where a search doesn't say
    #[arg(long, value_name = "FIELD")]
    default_sorting_field: Option<String>,
    /// Searches are to have no order of their own
    #[arg(long, conflicts_with = "default_sorting_field")]
    no_default_sorting_field: bool,
    /// How many documents the new schema may refuse before it is given up [default: 0]
    #[arg(long, value_name = "N|any")]
    max_refused: Option<MaxRefused>,
    /// Build a new version even where fields could be added to the live one
    #[arg(long)]
    rebuild: bool,
}

/// A number, or any number.
#[derive(Clone, Copy, Debug)]
struct MaxRefused(Option<u32>);

impl std::str::FromStr for MaxRefused {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self(None)),
            _ => text.parse().map(|number| Self(Some(number))).map_err(|_| "a number, or any".to_owned()),
        }
    }
}

impl Wished {
    fn wish(&self) -> anyhow::Result<Wish> {
        let embedding = match &self.embedding {
            Some(given) => Some(Some(index::read_embedding(given)?)),
            None => self.no_embedding.then_some(None),
        };
        let default_sorting_field = match &self.default_sorting_field {
            Some(name) => Some(Some(name.clone())),
            None => self.no_default_sorting_field.then_some(None),
        };
        Ok(Wish {
            fields: self.fields.as_deref().map(index::read_fields).transpose()?,
            default_sorting_field,
            embedding,
            max_refused: self.max_refused.map_or(Wish::default().max_refused, |MaxRefused(number)| number),
            rebuild: self.rebuild,
        })
    }
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<()> {
    let pool = session.database().await?;
    let index = index::find(&pool, args.org.as_deref(), &args.index).await?;
    if args.cancel {
        let cancelled = request::cancel(&pool, index.id).await?;
        let cancelled = cancelled.with_context(|| format!("nothing is under way on {}", index.slug))?;
        return show(session, &index, &cancelled);
    }
    let queued = queue(&pool, &index, args).await?;
    if args.no_wait {
        return show(session, &index, &queued);
    }
    let ended = wait::ended(&pool, &index, queued, Duration::MAX).await?;
    show(session, &index, &ended)?;
    match (ended.status, ended.error) {
        (Status::Failed, reason) => bail!("it has failed: {}", reason.as_deref().unwrap_or("nobody noted why")),
        (Status::Cancelled, _) => bail!("it was cancelled"),
        (Status::Queued | Status::Running | Status::Succeeded, _) => Ok(()),
    }
}

/// The reindex as a job: at its end, or as it stands when the patience has.
pub(super) async fn show_job(
    session: &Session,
    pool: &PgPool,
    reindex: Reindex,
    patience: Option<Duration>,
) -> anyhow::Result<()> {
    let index = db::index::find(pool, reindex.index_id).await?.context("the index has gone meanwhile")?;
    let reindex = match patience {
        Some(patience) => wait::ended(pool, &index, reindex, patience).await?,
        None => reindex,
    };
    let failures = job::failures(pool, &reindex).await?;
    session.show(&view::job(&index.slug, &reindex, &failures), || {
        super::job::with_failures(view::text(&index.slug, &reindex), &failures)
    })
}

async fn queue(pool: &PgPool, index: &Index, args: &Args) -> anyhow::Result<Reindex> {
    let person = Person::here();
    if args.rollback {
        return Ok(request::roll_back(pool, index.id, args.to, person.actor()).await?);
    }
    let (queued, _) = request::reindex(pool, index.id, args.wished.wish()?, person.actor()).await?;
    Ok(queued)
}

fn show(session: &Session, index: &Index, reindex: &Reindex) -> anyhow::Result<()> {
    session.show(&view::queued(&index.slug, reindex), || view::text(&index.slug, reindex))
}
