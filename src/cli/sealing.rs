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
        match (&self.config.secret, Secrets::read(Path::new(dev::FOLDER))?) {
            (Some(secret), _) => Ok(Sealer::new(secret, previous)),
            (None, Some(kept)) => Ok(Sealer::new(&kept.secret, previous)),
            (None, None) => bail!(
                "keys and URLs are encrypted with TIDEWELL_SECRET, which is not set: set it as it is set for `tidewell serve`, or run \
                 this in a folder where `tidewell dev` has been started"
            ),
        }
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
