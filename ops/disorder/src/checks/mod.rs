//! What must hold when everything has come to rest. Each check has a name, and a sabotage that it must catch.

mod accounts;
mod documents;
mod letters;
pub(crate) mod rest;
mod tables;

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::Value;

use crate::{
    site::{Site, Tenant},
    workload::Written,
};

pub(crate) use documents::are_right as documents_are_right;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Check {
    /// Every acknowledged document is in its collection.
    NothingIsLost,
    /// It is there as it was acknowledged last.
    NothingIsStale,
    /// Nothing is there that nobody wrote.
    NothingIsExtra,
    /// What was acknowledged as deleted is not there.
    DeletedStaysDeleted,
    /// Every document that Typesense refuses, and nobody wrote again, is a dead letter.
    RefusedIsALetter,
    /// Nothing else is a dead letter.
    OnlyRefusedIsALetter,
    /// Every acknowledged job is there, has ended, and has counted its rows.
    JobsAddUp,
    /// An organization has used a unit for each row that was acknowledged, and for each document that was reindexed.
    WritesAreChargedOnce,
    /// The ledger's sums are the wallet, and what was paid is what was used beyond the plan.
    WalletsAddUp,
    /// A search costs a unit; beyond that at most a reservation is lost with each front end that was killed or cut off.
    SearchesAreChargedOnce,
    /// Each table is in its collection, row by row; rows that it refuses are dead letters.
    TablesAreInSync,
    /// No rows wait, nothing is leased or in flight, and every process ends when it is told to.
    NothingIsLeftBehind,
    /// No log tells of a panic.
    NothingPanics,
    /// No request was answered as no fault explains.
    AnswersAreExplained,
}

impl fmt::Display for Check {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        to.write_str(&name.unwrap_or_default())
    }
}

/// What does not hold.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) check: Check,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.check, self.what)
    }
}

impl Violation {
    pub(crate) fn new(check: Check, what: impl Into<String>) -> Self {
        Self { check, what: what.into() }
    }
}

/// Reads the accounts, the letters and the tables, once everything is at rest and the processes still run.
pub(crate) async fn at_rest(
    site: &Site,
    tenants: &[std::sync::Arc<Tenant>; 4],
    written: &Written,
    patience: Duration,
) -> anyhow::Result<Vec<Violation>> {
    let mut violations = documents::are_right(site, tenants, written, "").await?;
    violations.extend(letters::are_right(site, written).await?);
    violations.extend(accounts::jobs_add_up(site, written).await?);
    violations.extend(tables::are_in_sync(site, patience).await?);
    Ok(violations)
}

/// Reads the accounts and the logs, once all processes have ended.
pub(crate) async fn at_the_end(site: &Site, written: &Written) -> anyhow::Result<Vec<Violation>> {
    let mut violations = accounts::usage_is_right(site, written).await?;
    violations.extend(accounts::wallets_add_up(site).await?);
    violations.extend(rest::nothing_is_leased(site).await?);
    violations.extend(nothing_panicked(site).await?);
    let strange = site.strange.all();
    violations.extend(some(Check::AnswersAreExplained, "answers", &strange));
    Ok(violations)
}

async fn nothing_panicked(site: &Site) -> anyhow::Result<Option<Violation>> {
    let folder = site.stage.lock().await.folder().to_owned();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let log = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
                return Ok(Some(Violation::new(Check::NothingPanics, format!("{}: {line}", path.display()))));
            }
        }
    }
    Ok(None)
}

/// A violation where there are such things, with the first of them.
fn some<T: fmt::Debug>(check: Check, what: &str, of: &[T]) -> Option<Violation> {
    let first = &of[..of.len().min(3)];
    (!of.is_empty()).then(|| Violation::new(check, format!("{} {what}, such as {first:?}", of.len())))
}

/// What a collection holds, by id.
async fn held(site: &Site, collection: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let (url, key) = &site.typesense;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let documents = format!("{url}/collections/{collection}/documents");
    // A node that has started a while ago may still tell of the past, until it has answered a write that stands behind all others.
    http.delete(format!("{documents}/%01")).header("x-typesense-api-key", key).send().await?;
    let export = http.get(format!("{documents}/export")).header("x-typesense-api-key", key).send().await?;
    if export.status() == 404 {
        return Ok(BTreeMap::new());
    }
    let lines = export.error_for_status()?.text().await?;
    let documents = lines.lines().map(|line| {
        let document: Value = serde_json::from_str(line)?;
        let id = document["id"].as_str().context("a document without an id")?.to_owned();
        Ok((id, document))
    });
    documents.collect()
}
