//! Whether a job can be as it is described: everything is held against the source and the other jobs before it is saved.

use sqlx::PgPool;
use uuid::Uuid;

use super::{Fault, Plan, plan::listed};
use crate::{
    backend, db,
    domain::{
        schedule::Schedule,
        seal::{self, Sealer},
        slug::label_fault,
        sync_job::{Mode, Spec, Strategy},
    },
    replication,
    source::{self, Source},
};

/// Why a job can't be saved.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What has to change, by field.
    #[error("{}", listed(.0))]
    Faults(Vec<Fault>),
    #[error(transparent)]
    Sealed(#[from] seal::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Longest name of a collection; versions of it have a few characters more.
const MAX_COLLECTION_BYTES: usize = 150;

/// Checks a description; `except` is the job that it will replace. Gives the plan by which the job would run.
pub async fn check(pool: &PgPool, sealer: &Sealer, spec: &Spec, except: Option<Uuid>) -> Result<Plan, Refusal> {
    let mut faults = of_values(spec);
    let profile = db::profile::find(pool, spec.typesense_profile_id).await?;
    match &profile {
        None => add(&mut faults, "typesense_profile_id", "there is no such backend: /typesense/backends lists them"),
        Some(profile) => {
            let other = db::sync::job::other_of_collection(pool, profile.id, &spec.collection_name, except).await?;
            if let Some(other) = other {
                let message =
                    format!("the job {other:?} writes into this collection: give this one a collection of its own");
                add(&mut faults, "collection_name", message);
            }
            if db::index::owns_collection(pool, &spec.collection_name).await? {
                let message = "the name is that of a tenant's index: give another";
                add(&mut faults, "collection_name", message);
            }
            if spec.sync_strategy == Strategy::Full
                && let Ok(client) = backend::client(profile, sealer)
                && let Ok(Some(_)) = client.collection(&spec.collection_name).await
            {
                add(
                    &mut faults,
                    "collection_name",
                    "there is a collection of this name, and the strategy full needs it for an alias: give another name",
                );
            }
        }
    }
    let client = db::client::resolve(pool, &spec.source_client_name).await?;
    // By its name alone: a job that has its id would not follow a new name, nor keep the client from being deleted.
    let planned = match client.filter(|client| client.name == spec.source_client_name) {
        None => {
            let message = format!("there is no client {:?}: make it with its URL first", spec.source_client_name);
            Err(vec![Fault { field: "source_client_name".to_owned(), message }])
        }
        Some(client) => against_source(client.url(sealer)?.expose(), spec).await,
    };
    match planned {
        Ok(plan) if faults.is_empty() => Ok(plan),
        Ok(_) => Err(Refusal::Faults(faults)),
        Err(more) => Err(Refusal::Faults([faults, more].concat())),
    }
}

fn add(faults: &mut Vec<Fault>, field: &str, message: impl Into<String>) {
    faults.push(Fault { field: field.to_owned(), message: message.into() });
}

/// What can be judged without asking anybody.
fn of_values(spec: &Spec) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(fault) = label_fault(&spec.name) {
        add(&mut faults, "name", fault);
    }
    let collection = &spec.collection_name;
    let is_plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    if collection.is_empty() || collection.len() > MAX_COLLECTION_BYTES || !collection.chars().all(is_plain) {
        let message = format!("must be 1 to {MAX_COLLECTION_BYTES} bytes of letters, digits, `_`, `-` and `.`");
        add(&mut faults, "collection_name", message);
    }
    if let Err((field, message)) = Schedule::parse(spec.sync_interval_minutes, spec.cron.as_deref(), &spec.timezone) {
        add(&mut faults, field, message);
    }
    let ranges = [
        ("batch_size", spec.batch_size, 1, 10_000),
        ("batch_delay_ms", spec.batch_delay_ms, 0, 60_000),
        ("stale_after_minutes", spec.stale_after_minutes, 1, i32::MAX),
    ];
    for (field, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            add(&mut faults, field, format!("must be {least} to {most}"));
        }
    }
    if !(0.0..=1.0).contains(&spec.failed_share_limit) {
        add(&mut faults, "failed_share_limit", "must be 0 to 1");
    }
    faults
}

async fn against_source(url: &str, spec: &Spec) -> Result<Plan, Vec<Fault>> {
    let unread =
        |error: source::Error| vec![Fault { field: "source_client_name".to_owned(), message: error.to_string() }];
    let mut source = Source::connect(url).await.map_err(unread)?;
    let (schema, table) = (&spec.source_schema_name, &spec.source_table_name);
    let Some(relation) = source.describe(schema, table).await.map_err(unread)? else {
        let message = format!("there is no table or view {schema}.{table} that the client's role can see");
        return Err(vec![Fault { field: "source_table_name".to_owned(), message }]);
    };
    let plan = Plan::make(spec, &relation)?;
    if !plan.key_is_sure {
        let columns = &spec.document_id_column;
        let mut faults = Vec::new();
        if source.has_duplicates(&plan.statement).await.map_err(unread)? == Some(true) {
            add(
                &mut faults,
                "document_id_column",
                format!("rows of {schema}.{table} share a value of {columns}: take columns that tell them apart"),
            );
        }
        if source.count_without_key(&plan.statement).await.map_err(unread)? > 0 {
            add(
                &mut faults,
                "document_id_column",
                format!("rows of {schema}.{table} have no {columns}: take a column that each of them has"),
            );
        }
        if !faults.is_empty() {
            return Err(faults);
        }
    }
    if spec.mode == Mode::Live {
        let target = plan.to_follow(spec, String::new());
        let fault = replication::check(source.connection(), &target).await.err();
        if let Some(fault) = fault {
            return Err(vec![Fault { field: "mode".to_owned(), message: fault.to_string() }]);
        }
    }
    source.close().await;
    Ok(plan)
}
