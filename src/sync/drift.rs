//! Finding and mending drift of a job, by its own source and backend.

use sqlx::PgPool;
use uuid::Uuid;

use super::{
    Plan,
    plan::listed,
    request,
    verify::{self, Comparison, Drift},
};
use crate::{
    backend,
    db::{
        self,
        sync::{job::Job, overlay, run::Trigger, state},
    },
    domain::seal::{self, Sealer},
    source::{self, Source},
};

/// Why a job could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Comparison(#[from] verify::Error),
    #[error(transparent)]
    Sealed(#[from] seal::Error),
    #[error(transparent)]
    Backend(#[from] backend::Error),
    #[error("there is no table {0} that the client's role can see")]
    NoTable(String),
    #[error("the job does not fit its table any more: {0}")]
    Unfit(String),
    #[error("the client or the backend of the job is gone")]
    Gone,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<source::Error> for Error {
    fn from(error: source::Error) -> Self {
        Self::Comparison(error.into())
    }
}

/// Compares the table of a job with its collection.
pub async fn verify(pool: &PgPool, sealer: &Sealer, job: &Job) -> Result<Drift, Error> {
    let spec = &job.spec;
    let client = db::client::resolve(pool, &spec.source_client_name).await?.ok_or(Error::Gone)?;
    let profile = db::profile::find(pool, spec.typesense_profile_id).await?.ok_or(Error::Gone)?;
    let state = state::find(pool, job.id).await?;
    let (collection, is_owned) = state
        .and_then(|state| Some((state.collection?, state.owns_collection)))
        .ok_or(Error::Comparison(verify::Error::NotSynced))?;
    let mut source = Source::connect(client.url(sealer)?.expose()).await?;
    let relation = source.describe(&spec.source_schema_name, &spec.source_table_name).await?;
    let named = || format!("{}.{}", spec.source_schema_name, spec.source_table_name);
    let relation = relation.ok_or_else(|| Error::NoTable(named()))?;
    let plan = Plan::make(spec, &relation).map_err(|faults| Error::Unfit(listed(&faults)))?;
    let comparison = Comparison {
        pool,
        job_id: job.id,
        source: &mut source,
        statement: &plan.statement,
        typesense: &backend::client(&profile, sealer)?,
        collection: &collection,
        is_owned,
    };
    let drift = comparison.run().await?;
    source.close().await;
    Ok(drift)
}

/// Has everything that has drifted written or deleted by a run, whatever is known of it; `None` where one is under way, which does it.
pub async fn repair(pool: &PgPool, job: &Job, drift: &Drift, trigger: Trigger) -> Result<Option<Uuid>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let Some(collection) = state::join_runs(&mut tx, job.id).await? else { return Ok(None) };
    let ids: Vec<&str> = drift.ids.iter().map(String::as_str).collect();
    overlay::look_at(&mut tx, job.id, &collection, &ids).await?;
    let queued = request::queue(&mut tx, job.id, trigger).await?;
    if queued.is_none() {
        state::make_due_after_pass(&mut tx, job.id).await?;
    }
    tx.commit().await?;
    Ok(queued.map(|run| run.id))
}
