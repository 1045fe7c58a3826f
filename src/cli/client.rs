//! `tidewell client`.

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        client::{Deletion, SourceClient},
    },
    domain::{client_url, sensitive::Sensitive, slug},
    reach,
};

use super::{
    Session, client_tables, input,
    output::{record, table, time},
    page::PageArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a client; its URL is stored encrypted
    Create {
        /// Its name, by which sync jobs and searches call it
        name: String,
        /// Such as postgres://user:password@host:5432/database; - reads it from stdin
        #[arg(long, value_name = "URL|-")]
        url: Sensitive,
    },
    /// List clients, newest first
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a client
    Show {
        /// Its id or name
        client: String,
    },
    /// Change a client; sync jobs follow a new name
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Update {
        /// Its id or name
        client: String,
        /// Its new name
        #[arg(long, group = "change")]
        name: Option<String>,
        /// Such as postgres://user:password@host:5432/database; - reads it from stdin
        #[arg(long, group = "change", value_name = "URL|-")]
        url: Option<Sensitive>,
    },
    /// Delete a client that no sync job reads from
    Delete {
        /// Its id or name
        client: String,
    },
    /// List what there is to sync in its database, or show the columns of one table or view
    Tables {
        /// Its id or name
        client: String,
        /// Such as shop.orders; without a schema it is in public
        #[arg(value_name = "SCHEMA.TABLE")]
        table: Option<String>,
    },
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    let pool = session.database().await?;
    match command {
        Command::Create { name, url } => {
            let url = input::sensitive(url, "URL")?;
            check(Some(name), Some(&url))?;
            let made = db::client::insert(&pool, &session.sealer()?, name, &url).await;
            show(session, &made.map_err(|error| explain(error, name))?)
        }
        Command::List { page } => list(session, &pool, page).await,
        Command::Show { client } => show(session, &find(&pool, client).await?),
        Command::Update { client, name, url } => {
            let url = url.as_ref().map(|url| input::sensitive(url, "URL")).transpose()?;
            check(name.as_deref(), url.as_ref())?;
            let found = find(&pool, client).await?;
            let sealer = url.is_some().then(|| session.sealer()).transpose()?;
            let changed = db::client::update(&pool, found.id, name.as_deref(), sealer.as_ref().zip(url.as_ref())).await;
            let changed = changed.map_err(|error| explain(error, name.as_deref().unwrap_or_default()))?;
            show(session, &changed.context("the client has gone meanwhile")?)
        }
        Command::Delete { client } => {
            let found = find(&pool, client).await?;
            match db::client::delete(&pool, found.id).await? {
                Deletion::Deleted(client) => session.show(&view(&client), || format!("deleted {}", client.name)),
                Deletion::InUse(job) => {
                    bail!("the sync job {job:?} reads from {client}: delete the job, or give it another client, first")
                }
                Deletion::NotFound => bail!("the client has gone meanwhile"),
            }
        }
        Command::Tables { client, table } => {
            let found = find(&pool, client).await?;
            match table {
                Some(table) => client_tables::show(session, &found, table).await,
                None => client_tables::list(session, &found).await,
            }
        }
    }
}

/// The client of that id or name.
async fn find(pool: &PgPool, name: &str) -> anyhow::Result<SourceClient> {
    let found = db::client::resolve(pool, name).await?;
    found.with_context(|| format!("there is no client {name:?}: `tidewell client list` shows those there are"))
}

fn check(name: Option<&str>, url: Option<&Sensitive>) -> anyhow::Result<()> {
    if let Some(fault) = name.and_then(slug::label_fault) {
        bail!("the name can't be taken: it {fault}");
    }
    if let Some(fault) = url.and_then(|url| client_url::fault(url.expose(), reach::policy())) {
        bail!("the URL can't be taken: it {fault}");
    }
    Ok(())
}

fn explain(error: sqlx::Error, name: &str) -> anyhow::Error {
    match db::broken_constraint(&error) {
        Some("clients_name_key") => anyhow::anyhow!("there is a client {name:?} already"),
        _ => error.into(),
    }
}

fn view(client: &SourceClient) -> Value {
    json!({ "id": client.id, "name": client.name, "createdAt": client.created_at, "updatedAt": client.updated_at })
}

fn show(session: &Session, client: &SourceClient) -> anyhow::Result<()> {
    session.show(&view(client), || {
        record([
            ("id", client.id.to_string()),
            ("name", client.name.clone()),
            ("created", time(client.created_at)),
            ("changed", time(client.updated_at)),
        ])
    })
}

async fn list(session: &Session, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
    let rows = db::client::list(pool, page.cursor, page.reads()).await?;
    page.show(
        session,
        &rows,
        |row| row.id,
        view,
        |rows| {
            let lines = rows.iter().map(|row| [row.name.clone(), time(row.updated_at), row.id.to_string()]);
            table(["name", "changed", "id"], &[], lines)
        },
    )
}
