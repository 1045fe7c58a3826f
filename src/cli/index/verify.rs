//! Whether an index's collection holds what was written, and mending it where it does not.

use std::path::Path;

use anyhow::{Context, bail};
use sqlx::PgPool;
use tidewell::{
    drift::{self, Drift},
    typesense::Client,
};

use super::find;
use crate::cli::{
    Session,
    dev::{self, files::DevJson},
    output::{maybe, record},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, or its slug
    index: String,
    /// The organization's id or slug, where several have an index of that slug
    #[arg(long)]
    org: Option<String>,
    /// Have what differs written or deleted again
    #[arg(long)]
    repair: bool,
}

pub(super) async fn run(session: &Session, pool: &PgPool, args: &Args) -> anyhow::Result<()> {
    let index = find(pool, args.org.as_deref(), &args.index).await?;
    let drift = drift::verify(pool, &session.typesense()?, index.id, args.repair).await?;
    session.show(&drift, || text(&drift))?;
    match (drift.found.drifted(), drift.found.drifted() - drift.found.repaired) {
        (0, _) | (_, 0) => Ok(()),
        (_, left) if args.repair => {
            bail!("{left} documents have ids that no write can have: delete them in Typesense itself")
        }
        _ => bail!("the collection has drifted from what was written: --repair mends it"),
    }
}

impl Session {
    /// The Typesense that is projected into: the one that the settings name, else that of this folder's `tidewell dev`.
    pub(in crate::cli) fn typesense(&self) -> anyhow::Result<Client> {
        let settings = (&self.config.typesense_url, &self.config.typesense_api_key);
        let (url, key) = match (settings, DevJson::read(Path::new(dev::FOLDER))?) {
            ((Some(url), Some(key)), _) => (url.clone(), key.clone()),
            (_, Some(dev)) => (dev.typesense_url, dev.typesense_api_key),
            _ => bail!(
                "which Typesense? Set TIDEWELL_TYPESENSE_URL and TIDEWELL_TYPESENSE_API_KEY, or run this in a folder where `tidewell \
                 dev` has been started"
            ),
        };
        Client::new(&url, &key).context("Typesense can't be called: check TIDEWELL_TYPESENSE_URL")
    }
}

fn text(drift: &Drift) -> String {
    let found = &drift.found;
    let ids = |ids: &[String]| if ids.is_empty() { String::new() } else { format!("  such as {}", ids.join(", ")) };
    record([
        ("collection", maybe(drift.collection.as_ref())),
        ("documents", found.documents.to_string()),
        ("missing", format!("{}{}", found.missing, ids(&found.samples.missing))),
        ("extra", format!("{}{}", found.extra, ids(&found.samples.extra))),
        ("stale", format!("{}{}", found.stale, ids(&found.samples.stale))),
        ("pending", found.pending.to_string()),
        (
            "verdict",
            match (found.drifted(), found.repaired) {
                (0, _) => "the collection holds what was written".to_owned(),
                (_, 0) => "it has drifted".to_owned(),
                (_, repaired) => format!("it has drifted, and {repaired} documents are queued to be mended"),
            },
        ),
    ])
}
