//! What commands need to store keys and URLs of others: the secret that encrypts them, and the rule for addresses.

use std::path::Path;

use anyhow::bail;
use tidewell::{
    config::Config,
    domain::{backend::PlainHttp, seal::Sealer},
};

use super::{
    Session,
    dev::{
        self,
        files::{DevJson, Secrets},
    },
};

impl Session {
    /// With the secret of the settings, else with that of this folder's `tidewell dev`.
    pub(super) fn sealer(&self) -> anyhow::Result<Sealer> {
        let previous = self.config.previous_secret.as_deref();
        if let Some(secret) = &self.config.secret {
            return Ok(Sealer::new(secret, previous));
        }
        match Secrets::read(Path::new(dev::FOLDER))? {
            // In another database nobody else could decrypt what this secret has encrypted.
            Some(kept) if self.is_devs_database()? => Ok(Sealer::new(&kept.secret, previous)),
            _ => bail!(
                "keys and URLs are encrypted with TIDEWELL_SECRET, which is not set: set it as it is set for `tidewell serve`, or run \
                 this in a folder where `tidewell dev` has been started"
            ),
        }
    }

    fn is_devs_database(&self) -> anyhow::Result<bool> {
        let Some(named) = &self.config.database_url else { return Ok(true) };
        Ok(DevJson::read(Path::new(dev::FOLDER))?.is_some_and(|dev| dev.database_url == *named))
    }

    /// Which backends are taken: beside a running `tidewell dev` those that it takes.
    pub(super) fn plain_http(&self) -> anyhow::Result<PlainHttp> {
        let beside_dev = DevJson::read(Path::new(dev::FOLDER))?.is_some();
        Ok(plain_http(&self.config, if beside_dev { PlainHttp::OnThisMachine } else { PlainHttp::Nowhere }))
    }
}

/// What the settings allow, or `otherwise` where they say nothing.
pub(super) fn plain_http(config: &Config, otherwise: PlainHttp) -> PlainHttp {
    if config.athena_typesense_allow_http { PlainHttp::Everywhere } else { otherwise }
}
