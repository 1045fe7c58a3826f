//! Making, changing and deleting sync jobs, by the rules of the HTTP API.

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tidewell::{
    db::{self, sync::job},
    domain::sync_job::Spec,
    sync::check::check,
};

use super::{
    find,
    flags::Properties,
    view::{show, view},
};
use crate::cli::Session;

/// What a job can't be without, and how it is given.
const NEEDED: [(&str, &str); 6] = [
    ("name", "NAME"),
    ("source_client_name", "--client"),
    ("source_table_name", "--table"),
    ("typesense_profile_id", "--backend"),
    ("collection_name", "--collection"),
    ("document_id_column", "--id-column"),
];

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name
    name: Option<String>,
    #[command(flatten)]
    properties: Properties,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its id or name
    job: String,
    /// Its new name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    properties: Properties,
}

pub(super) async fn create(session: &Session, pool: &PgPool, create: &Create) -> anyhow::Result<()> {
    let given = given(pool, create.name.as_ref(), &create.properties).await?;
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(property, _)| !given.contains_key(*property)).map(|(_, flag)| *flag).collect();
    if !missing.is_empty() {
        bail!("a sync job needs {} too, or a --file that has it", missing.join(", "));
    }
    let spec: Spec = serde_json::from_value(Value::Object(given)).context("the job can't be taken")?;
    check(pool, &session.sealer()?, &spec, None).await.context("the job can't be taken")?;
    let made = job::insert(pool, &spec).await.map_err(|error| explain(error, &spec.name))?;
    let made = made.with_context(|| format!("the client {} was deleted meanwhile", spec.source_client_name))?;
    show(session, pool, &made).await
}

pub(super) async fn update(session: &Session, pool: &PgPool, update: &Update) -> anyhow::Result<()> {
    let before = find(pool, &update.job).await?;
    let changes = given(pool, update.name.as_ref(), &update.properties).await?;
    if changes.is_empty() {
        bail!("nothing is to be changed: `tidewell sync update --help` lists what can be");
    }
    let spec = before.spec.with(changes).context("the change can't be taken")?;
    // To be switched off, a job need not be well.
    if spec.enabled || !before.spec.differs_in_enabled_alone(&spec) {
        check(pool, &session.sealer()?, &spec, Some(before.id)).await.context("the change can't be taken")?;
    }
    let changed = job::update(pool, before.id, &spec).await.map_err(|error| explain(error, &spec.name))?;
    show(session, pool, &changed.context("the job has gone meanwhile")?).await
}

pub(super) async fn delete(session: &Session, pool: &PgPool, name: &str) -> anyhow::Result<()> {
    let found = find(pool, name).await?;
    if !job::delete(pool, found.id).await? {
        bail!("the job has gone meanwhile");
    }
    session.show(&view(&found), || {
        format!("deleted {}; its collection {} stays as it is", found.spec.name, found.spec.collection_name)
    })
}

async fn given(pool: &PgPool, name: Option<&String>, properties: &Properties) -> anyhow::Result<Map<String, Value>> {
    let mut given = properties.given(pool).await?;
    if let Some(name) = name {
        given.insert("name".to_owned(), json!(name));
    }
    Ok(given)
}

fn explain(error: sqlx::Error, name: &str) -> anyhow::Error {
    match db::broken_constraint(&error) {
        Some("typesense_sync_jobs_name_key") => anyhow::anyhow!("there is a sync job {name:?} already"),
        Some("typesense_sync_jobs_profile_fkey") => anyhow::anyhow!("the backend was deleted meanwhile"),
        _ => error.into(),
    }
}
