//! The Typesense of `dev` as the first backend of table syncs.

use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        profile::{Changes, NewProfile},
    },
    domain::{
        backend::{DEFAULT_TIMEOUT_MS, PlainHttp, listed_nodes},
        seal::Sealer,
        sensitive::Sensitive,
    },
};

use super::files::DevJson;

pub(super) const NAME: &str = "local";

/// Stores it, or brings its address and key up to date where they have changed since the last start.
pub(super) async fn register(pool: &PgPool, sealer: &Sealer, place: &DevJson) -> anyhow::Result<()> {
    // The settings have been checked, and the embedded server is on this machine.
    let nodes = listed_nodes(&place.typesense_url, PlainHttp::Everywhere);
    let nodes = nodes.map_err(|(_, fault)| anyhow::anyhow!("the address of Typesense {fault}"))?;
    let key = Sensitive::new(&place.typesense_api_key);
    let Some(found) = db::profile::resolve(pool, NAME).await? else {
        let new = NewProfile {
            name: NAME,
            nodes: &nodes,
            timeout_ms: DEFAULT_TIMEOUT_MS,
            api_key: &key,
            search_api_key: None,
        };
        db::profile::insert(pool, sealer, &new).await?;
        return Ok(());
    };
    // A key that can't be opened was sealed with a secret that is no more.
    if found.nodes() != nodes || found.api_key(sealer).ok().as_ref() != Some(&key) {
        let changes = Changes { nodes: Some(&nodes), api_key: Some(&key), ..Changes::default() };
        db::profile::update(pool, sealer, found.id, &changes).await?;
    }
    Ok(())
}
