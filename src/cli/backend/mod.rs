//! `tidewell backend`.

mod inspect;
mod view;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        profile::{Changes, NewProfile, Profile},
    },
    domain::{
        backend::{DEFAULT_TIMEOUT_MS, key_fault, node_urls, timeout_fault},
        sensitive::Sensitive,
        slug,
    },
    reach,
};

use self::view::{list, show, view};
use super::{Session, input, page::PageArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a backend; its keys are stored encrypted
    Create(Create),
    /// List backends, newest first
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a backend
    Show {
        /// Its id or name
        backend: String,
    },
    /// Change a backend; what is left out stays as it is
    Update(Update),
    /// Delete a backend that no sync job writes into; what it holds stays there
    Delete {
        /// Its id or name
        backend: String,
    },
    /// Ask a backend whether it can be used
    Test(inspect::Target),
    /// List the collections of a backend
    Collections(inspect::Target),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name
    name: String,
    /// A node, such as https://search.example.com:8108; again for each further one
    #[arg(long = "node", visible_alias = "base-url", required = true, value_name = "URL")]
    nodes: Vec<String>,
    /// A key that may do everything with collections, aliases and documents; - reads it from stdin
    #[arg(long, value_name = "KEY|-")]
    api_key: Sensitive,
    /// A key that may search, for searches; - reads it from stdin
    #[arg(long, value_name = "KEY|-")]
    search_api_key: Option<Sensitive>,
    /// How long a call may take
    #[arg(long, value_name = "MILLISECONDS", default_value_t = DEFAULT_TIMEOUT_MS)]
    timeout_ms: i32,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct Update {
    /// Its id or name
    backend: String,
    /// Its new name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// A node, instead of those that there are; again for each further one
    #[arg(long = "node", visible_alias = "base-url", group = "change", value_name = "URL")]
    nodes: Vec<String>,
    /// A key that may do everything with collections, aliases and documents; - reads it from stdin
    #[arg(long, group = "change", value_name = "KEY|-")]
    api_key: Option<Sensitive>,
    /// A key that may search, for searches; - reads it from stdin
    #[arg(long, group = "change", value_name = "KEY|-")]
    search_api_key: Option<Sensitive>,
    /// Take the key for searches away
    #[arg(long, group = "change", conflicts_with = "search_api_key")]
    no_search_api_key: bool,
    /// How long a call may take
    #[arg(long, group = "change", value_name = "MILLISECONDS")]
    timeout_ms: Option<i32>,
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Create(create) => make(session, &session.database().await?, create).await,
        Command::List { page } => list(session, &session.database().await?, page).await,
        Command::Show { backend } => show(session, &find(&session.database().await?, backend).await?),
        Command::Update(update) => change(session, &session.database().await?, update).await,
        Command::Delete { backend } => delete(session, &session.database().await?, backend).await,
        Command::Test(target) => inspect::test(session, target).await,
        Command::Collections(target) => inspect::collections(session, target).await,
    }
}

async fn make(session: &Session, pool: &PgPool, create: &Create) -> anyhow::Result<()> {
    let api_key = key(&create.api_key, "API key")?;
    let search_api_key = create.search_api_key.as_ref().map(|given| key(given, "search API key")).transpose()?;
    check_name(&create.name)?;
    check_timeout(create.timeout_ms)?;
    let nodes = nodes(session, &create.nodes)?;
    let new = NewProfile {
        name: &create.name,
        nodes: &nodes,
        timeout_ms: create.timeout_ms,
        api_key: &api_key,
        search_api_key: search_api_key.as_ref(),
    };
    let made = db::profile::insert(pool, &session.sealer()?, &new).await;
    show(session, &made.map_err(|error| explain(error, &create.name))?)
}

async fn change(session: &Session, pool: &PgPool, update: &Update) -> anyhow::Result<()> {
    let api_key = update.api_key.as_ref().map(|given| key(given, "API key")).transpose()?;
    let search_api_key = update.search_api_key.as_ref().map(|given| key(given, "search API key")).transpose()?;
    update.name.as_deref().map_or(Ok(()), check_name)?;
    update.timeout_ms.map_or(Ok(()), check_timeout)?;
    let nodes = (!update.nodes.is_empty()).then(|| nodes(session, &update.nodes)).transpose()?;
    let found = find(pool, &update.backend).await?;
    let changes = Changes {
        name: update.name.as_deref(),
        nodes: nodes.as_deref(),
        timeout_ms: update.timeout_ms,
        api_key: api_key.as_ref(),
        search_api_key: match update.no_search_api_key {
            true => Some(None),
            false => search_api_key.as_ref().map(Some),
        },
    };
    let changed = db::profile::update(pool, &session.sealer()?, found.id, &changes).await;
    let changed = changed.map_err(|error| explain(error, update.name.as_deref().unwrap_or_default()))?;
    show(session, &changed.context("the backend has gone meanwhile")?)
}

async fn delete(session: &Session, pool: &PgPool, name: &str) -> anyhow::Result<()> {
    let found = find(pool, name).await?;
    let deleted = db::profile::delete(pool, found.id).await.map_err(|error| explain(error, name))?;
    let deleted = deleted.context("the backend has gone meanwhile")?;
    session.show(&view(&deleted), || format!("deleted {}", deleted.name))
}

/// The backend of that id or name.
pub(super) async fn find(pool: &PgPool, name: &str) -> anyhow::Result<Profile> {
    let found = db::profile::resolve(pool, name).await?;
    found.with_context(|| format!("there is no backend {name:?}: `tidewell backend list` shows those there are"))
}

fn key(given: &Sensitive, what: &str) -> anyhow::Result<Sensitive> {
    let key = input::sensitive(given, what)?;
    match key_fault(key.expose()) {
        Some(fault) => bail!("the {what} can't be taken: it {fault}"),
        None => Ok(key),
    }
}

fn nodes(session: &Session, given: &[String]) -> anyhow::Result<Vec<String>> {
    let urls = node_urls(given, session.plain_http()?, reach::policy());
    urls.map_err(|(position, fault)| anyhow::anyhow!("the node {} can't be taken: it {fault}", position + 1))
}

fn check_name(name: &str) -> anyhow::Result<()> {
    match slug::label_fault(name) {
        Some(fault) => bail!("the name can't be taken: it {fault}"),
        None => Ok(()),
    }
}

fn check_timeout(timeout_ms: i32) -> anyhow::Result<()> {
    match timeout_fault(timeout_ms) {
        Some(fault) => bail!("the time-out can't be taken: it {fault}"),
        None => Ok(()),
    }
}

fn explain(error: sqlx::Error, name: &str) -> anyhow::Error {
    match db::broken_constraint(&error) {
        Some("typesense_profiles_name_key") => anyhow::anyhow!("there is a backend {name:?} already"),
        Some("typesense_sync_jobs_profile_fkey") => {
            anyhow::anyhow!("a sync job writes into {name}: delete the job, or give it another backend, first")
        }
        _ => error.into(),
    }
}
