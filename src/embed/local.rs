//! A model that runs in this process.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tidewell_minilm::{DIMENSIONS, MAX_TOKENS, Model};
use tokio::sync::OnceCell;

use super::{
    Error, Options, Refusal, Vector, fingerprint::LocalFingerprint, provider::Urgency, threads::Threads, weights,
};

pub(super) struct Local {
    name: String,
    folder: Option<PathBuf>,
    cache: PathBuf,
    loaded: OnceCell<Loaded>,
}

struct Loaded {
    fingerprint: LocalFingerprint,
    threads: Threads,
}

impl Local {
    /// Texts after which their vectors are stored: what a few seconds bring.
    pub(super) const STEP: usize = 128;

    pub(super) fn new(name: &str, options: &Options) -> Self {
        let (folder, cache) = (options.local_model.clone(), options.cache.clone());
        Self { name: name.to_owned(), folder, cache, loaded: OnceCell::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn fingerprint(&self) -> Result<(usize, LocalFingerprint), Error> {
        Ok((DIMENSIONS, self.loaded().await?.fingerprint.clone()))
    }

    pub(super) async fn embed(
        &self,
        texts: Vec<String>,
        urgency: Urgency,
    ) -> Result<Vec<Result<Vector, Refusal>>, Error> {
        let vectors = self.loaded().await?.threads.embed(texts, urgency).await;
        vectors.ok_or_else(|| Error::away(format!("the threads of {} have ended: start the process again", self.name)))
    }

    async fn loaded(&self) -> Result<&Loaded, Error> {
        let load = || async {
            let loading = load(self.folder.clone(), self.cache.clone());
            // In a task of its own: a request that is given up does not stop what all wait for.
            let loaded = tokio::spawn(loading).await.map_err(|panic| panic.to_string()).flatten();
            loaded.map_err(|fault| Error::away(format!("{} can't be used: {fault}", self.name)))
        };
        self.loaded.get_or_try_init(load).await
    }
}

async fn load(folder: Option<PathBuf>, cache: PathBuf) -> Result<Loaded, String> {
    let files = weights::files(folder.as_deref(), &cache).await?;
    let read = move || {
        let fingerprint = LocalFingerprint {
            weights: hex::encode(Sha256::digest(&files.weights)),
            tokenizer: hex::encode(Sha256::digest(&files.tokenizer)),
            pooling: "mean".to_owned(),
            normalised: true,
            max_tokens: MAX_TOKENS,
        };
        let model = Model::new(&files.weights, &files.tokenizer).map_err(|error| error.to_string())?;
        let threads = Threads::start(model).map_err(|error| format!("no threads for it: {error}"))?;
        Ok(Loaded { fingerprint, threads })
    };
    tokio::task::spawn_blocking(read).await.map_err(|panic| panic.to_string())?
}
