//! Tables against their collections.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::time::Instant;

use super::{Check, Violation, held};
use crate::{
    api::Call,
    site::{Site, SyncJob},
};

/// Runs the one job and waits for the other until each collection holds its table.
pub(super) async fn are_in_sync(site: &Site, patience: Duration) -> anyhow::Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for (job, is_followed) in [(&site.compared, false), (&site.followed, true)] {
        let until = Instant::now() + patience;
        let wrong = loop {
            if !is_followed {
                run(site, job).await?;
            }
            match differs(site, job).await? {
                None => break None,
                wrong if Instant::now() > until => break wrong,
                Some(_) => {
                    redrive(site, job).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        violations.extend(wrong.map(|wrong| Violation::new(Check::TablesAreInSync, format!("{}: {wrong}", job.name))));
    }
    Ok(violations)
}

/// Asks for a run, or finds one under way, and waits a while for its end.
async fn run(site: &Site, job: &SyncJob) -> anyhow::Result<()> {
    let path = format!("/typesense/sync-jobs/{}/run?wait=true", job.id);
    let call = Call { method: Method::POST, path: &path, body: None, idempotency_key: None };
    site.operator.call(&mut StdRng::seed_from_u64(0), call, &[200, 202, 409]).await.map(drop)
}

/// Sends the rows again that have spent their few tries on faults that pass: that is their operator's to do.
async fn redrive(site: &Site, job: &SyncJob) -> anyhow::Result<()> {
    let letters: Vec<String> = sqlx::query_scalar(
        "select id::text from tidewell.dead_letters where sync_job_id = $1::uuid and error_code <> 'document_refused'",
    )
    .bind(&job.id)
    .fetch_all(&site.pool)
    .await?;
    if !letters.is_empty() {
        let call = Call::json(Method::POST, "/v1/dead-letters:retry", &json!({ "ids": letters }));
        site.operator.call(&mut StdRng::seed_from_u64(0), call, &[200]).await?;
    }
    Ok(())
}

/// What is wrong, if anything.
async fn differs(site: &Site, job: &SyncJob) -> anyhow::Result<Option<String>> {
    let rows: Vec<(String, String, Value)> =
        sqlx::query_as(AssertSqlSafe(format!("select id::text, title, tags from {}", job.name)))
            .fetch_all(&site.source)
            .await?;
    let (good, bad): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, _, tags)| tags.is_array());
    let expected: BTreeMap<String, Value> = good
        .into_iter()
        .map(|(id, title, tags)| (id.clone(), json!({ "id": id, "title": title, "tags": tags })))
        .collect();
    let refused: BTreeSet<String> = bad.into_iter().map(|(id, ..)| id).collect();
    let collection: Option<String> =
        sqlx::query_scalar("select collection from tidewell.sync_states where job_id = $1::uuid")
            .bind(&job.id)
            .fetch_one(&site.pool)
            .await?;
    let mut held = held(site, &collection.unwrap_or_default()).await?;
    // A row that is refused leaves the document before it, if there was one, in its place.
    held.retain(|id, _| !refused.contains(id));
    let letters: Vec<String> =
        sqlx::query_scalar("select document_id from tidewell.dead_letters where sync_job_id = $1::uuid")
            .bind(&job.id)
            .fetch_all(&site.pool)
            .await?;
    let letters: BTreeSet<String> = letters.into_iter().collect();
    let missing: Vec<_> = expected.keys().filter(|id| !held.contains_key(*id)).collect();
    let extra: Vec<_> = held.keys().filter(|id| !expected.contains_key(*id)).collect();
    let stale: Vec<_> = expected.iter().filter(|(id, row)| held.get(*id).is_some_and(|held| held != *row)).collect();
    let wrong_letters: Vec<_> = letters.symmetric_difference(&refused).collect();
    let is_right = missing.is_empty() && extra.is_empty() && stale.is_empty() && wrong_letters.is_empty();
    let first = |ids: &[&String]| ids.iter().take(3).map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    Ok((!is_right).then(|| {
        format!(
            "of {} rows {} are missing ({}), {} extra ({}), {} stale {:?}, {} with or without a letter ({})",
            expected.len(),
            missing.len(),
            first(&missing),
            extra.len(),
            first(&extra),
            stale.len(),
            stale.iter().take(2).collect::<Vec<_>>(),
            wrong_letters.len(),
            first(&wrong_letters),
        )
    }))
}
