//! `tidewell restored`: after an older backup of the control database was put back. Typesense is newer than it then: indexes hold
//! documents that the record does not know, and collections that no version has.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use sqlx::PgPool;
use tidewell::{
    db::{self, restore, sync::run::Trigger},
    domain::document::VERSION_FIELD,
    drift,
    sync::{self, verify},
    typesense::Client,
};
use uuid::Uuid;

use super::{Session, output::table};

/// Within this a worker that lives says so several times.
const HEARD_WITHIN: Duration = Duration::from_secs(6);
/// Sync jobs that are compared.
const MANY: i64 = 10_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Have Typesense made what the database says: what was written after the backup is deleted there
    #[arg(long)]
    repair: bool,
}

#[derive(Serialize)]
struct Report {
    repaired: bool,
    /// Collections of a known index that no version of it has.
    leftovers: Vec<String>,
    compared: Vec<Compared>,
}

/// An index or a sync job against its collection.
#[derive(Default, Serialize)]
struct Compared {
    name: String,
    missing: u64,
    extra: u64,
    different: u64,
    /// Documents of which a write waits, which settles them.
    pending: u64,
    /// Why it could not be compared.
    error: Option<String>,
}

impl Compared {
    fn is_well(&self) -> bool {
        self.missing + self.extra + self.different == 0 && self.error.is_none()
    }
}

/// Prints what differs; fails where that was not to be repaired, or could not be looked at.
pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<()> {
    let (pool, typesense) = (session.database().await?, session.typesense()?);
    refuse_beside_workers(&pool).await?;
    let indexes = restore::indexes(&pool).await?;
    let leftovers = leftovers(&typesense, &indexes).await.context("Typesense's collections can't be listed")?;
    if args.repair {
        forget(&pool).await?;
        for collection in &leftovers {
            typesense.delete_collection(collection).await?;
        }
    }
    let mut compared = Vec::new();
    for (id, alias, _) in indexes {
        compared.push(index(&pool, &typesense, id, alias, args.repair).await);
    }
    for job in db::sync::job::list(&pool, None, MANY).await? {
        compared.push(sync_job(session, &pool, &job, args.repair).await);
    }
    let report = Report { repaired: args.repair, leftovers, compared };
    session.show(&report, || text(&report))?;
    let failed = report.compared.iter().filter(|compared| compared.error.is_some()).count();
    match (args.repair, failed) {
        (true, 0) => Ok(()),
        (true, _) => {
            bail!("{failed} could not be compared: mend what is said, and run this again before `serve` and `work`")
        }
        (false, _) if report.leftovers.is_empty() && report.compared.iter().all(Compared::is_well) => Ok(()),
        (false, _) => bail!("Typesense is not what the database says: keep what you need of it, then --repair"),
    }
}

/// The workers of the backup are in the database, too: only who says again that they live is running.
async fn refuse_beside_workers(pool: &PgPool) -> anyhow::Result<()> {
    tokio::time::sleep(HEARD_WITHIN).await;
    let status = db::status::read(pool).await?;
    match status.workers.iter().any(|worker| worker.last_seen_seconds_ago < HEARD_WITHIN.as_secs_f64()) {
        false => Ok(()),
        true => bail!(
            "workers are running: stop every `tidewell serve` and `tidewell work`, and wait until nothing that they sent is alive"
        ),
    }
}

/// What the database must forget of the time before it was restored.
async fn forget(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    restore::skip_versions(&mut tx).await?;
    restore::give_up_versions(&mut tx).await?;
    restore::compare_tables(&mut tx).await?;
    for (index_id, document_ids) in restore::take_flights(&mut tx).await? {
        drift::reproject(&mut tx, index_id, document_ids).await?;
    }
    tx.commit().await
}

/// Collections that are named like an index's versions and made like them, and are none of those that the database knows.
async fn leftovers(
    typesense: &Client,
    indexes: &[(Uuid, String, Vec<String>)],
) -> Result<Vec<String>, tidewell::typesense::Error> {
    let is_left_over = |name: &str| {
        indexes.iter().any(|(_, alias, known)| {
            let number = name.strip_prefix(alias.as_str()).and_then(|rest| rest.strip_prefix("_v"));
            number.is_some_and(is_version) && known.iter().all(|known| known != name)
        })
    };
    let found = typesense.list_collections().await?;
    let ours = found.into_iter().filter(|found| found.fields.iter().any(|field| field["name"] == VERSION_FIELD));
    Ok(ours.map(|collection| collection.name).filter(|name| is_left_over(name)).collect())
}

/// Whether a text is a number as versions have them.
fn is_version(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|number| number > 0 && number.to_string() == text)
}

async fn index(pool: &PgPool, typesense: &Client, id: Uuid, alias: String, repair: bool) -> Compared {
    match drift::verify(pool, typesense, id, repair).await {
        Ok(drift) => {
            let drift::Found { missing, extra, stale, pending, .. } = drift.found;
            Compared { name: alias, missing, extra, different: stale, pending, error: None }
        }
        Err(error) => Compared { name: alias, error: Some(error.to_string()), ..Compared::default() },
    }
}

async fn sync_job(session: &Session, pool: &PgPool, job: &db::sync::job::Job, repair: bool) -> Compared {
    let name = job.spec.name.clone();
    let compare = async {
        let found = match sync::drift::verify(pool, &session.sealer()?, job).await {
            // Its first run compares.
            Err(sync::drift::Error::Comparison(verify::Error::NotSynced)) => verify::Drift::default(),
            found => found?,
        };
        if repair && !found.in_sync {
            sync::drift::repair(pool, job, &found, Trigger::Repair).await?;
        }
        anyhow::Ok(found)
    };
    match compare.await {
        Ok(verify::Drift { missing, extra, different, .. }) => {
            Compared { name, missing, extra, different, ..Compared::default() }
        }
        Err(error) => Compared { name, error: Some(format!("{error:#}")), ..Compared::default() },
    }
}

fn text(report: &Report) -> String {
    let rows = report.compared.iter().map(|compared| {
        let Compared { name, missing, extra, different, pending, error } = compared;
        let [missing, extra, different, pending] = [missing, extra, different, pending].map(u64::to_string);
        [name.clone(), missing, extra, different, pending, error.clone().unwrap_or_default()]
    });
    let numbers = ["missing", "extra", "different", "pending"];
    let [missing, extra, different, pending] = numbers;
    let compared = table(["index or job", missing, extra, different, pending, "error"], &numbers, rows);
    let done = if report.repaired { "deleted" } else { "left over" };
    let leftovers = report.leftovers.iter().map(|name| format!("\n{done}: the collection {name}"));
    let next =
        if report.repaired { "\n\nqueued to be mended: start `tidewell work`, then `tidewell serve`" } else { "" };
    format!("{compared}{}{next}", leftovers.collect::<String>())
}
