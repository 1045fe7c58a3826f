//! Whether a collection holds what its table does, and mending it where it does not.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::{
    db::sync::run::{self, Status, Trigger},
    sync::{
        drift::{self, verify},
        verify::Drift,
    },
};

use super::{find, wait};
use crate::cli::{Session, output::record};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The job's id or name
    job: String,
    /// Mend what differs by a run, and wait for its end
    #[arg(long)]
    repair: bool,
}

pub(super) async fn run(session: &Session, pool: &PgPool, args: &Args) -> anyhow::Result<()> {
    let job = find(pool, &args.job).await?;
    let found = verify(pool, &session.sealer()?, &job).await?;
    let mut shown = view(&found);
    if args.repair && !found.in_sync {
        let queued = drift::repair(pool, &job, &found, Trigger::Repair).await?;
        let Some(run_id) = queued else {
            bail!("{}; a run that is under way, or the next one of a job that is disabled, mends it", told(&found));
        };
        let run = run::find(pool, run_id).await?.context("the run is gone")?;
        let run = wait::ended(pool, &job, run).await?;
        shown["run_id"] = json!(run_id);
        shown["repaired"] = json!(run.status == Status::Success);
    }
    session.show(&shown, || text(&found, shown["repaired"].as_bool()))?;
    match (found.in_sync, shown["repaired"].as_bool()) {
        (true, _) | (false, Some(true)) => Ok(()),
        (false, Some(false)) => {
            bail!("the run that mends has not ended well: `tidewell sync runs {:?}`", job.spec.name)
        }
        (false, None) => bail!("the collection has drifted from the table: --repair mends it"),
    }
}

fn view(drift: &Drift) -> Value {
    serde_json::to_value(drift).unwrap_or_default()
}

fn told(drift: &Drift) -> String {
    format!("{} are missing, {} extra, {} different", drift.missing, drift.extra, drift.different)
}

fn text(drift: &Drift, repaired: Option<bool>) -> String {
    let ids = |ids: &[String]| if ids.is_empty() { String::new() } else { format!("  such as {}", ids.join(", ")) };
    record([
        ("rows", drift.source_row_count.to_string()),
        ("documents", drift.collection_document_count.to_string()),
        ("missing", format!("{}{}", drift.missing, ids(&drift.samples.missing))),
        ("extra", format!("{}{}", drift.extra, ids(&drift.samples.extra))),
        ("different", format!("{}{}", drift.different, ids(&drift.samples.different))),
        ("refused", drift.refused.to_string()),
        (
            "verdict",
            match (drift.in_sync, repaired) {
                (true, _) => "the collection holds what the table does",
                (false, Some(true)) => "it had drifted, and is mended",
                (false, _) => "it has drifted",
            }
            .to_owned(),
        ),
    ])
}
