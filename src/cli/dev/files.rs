//! What `dev` keeps in `.tidewell/` beside the servers' data: secrets that outlive a restart, and where things are.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidewell::domain::secret::{new_short_id, random_token};

/// Secrets made for this folder; a second start finds and prints the same.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secrets {
    /// Tells the workers of this folder's `dev` from all others. No secret, but as lasting.
    pub(crate) folder_id: String,
    /// The operator key, unless `ATHENA_KEY_12` is set.
    pub(crate) operator_key: String,
    /// The master secret, `TIDEWELL_SECRET`.
    pub(crate) secret: String,
    /// The demo's keys, once made.
    pub(crate) search_key: Option<String>,
    pub(crate) connector_key: Option<String>,
}

impl Secrets {
    const FILE: &str = "secrets.json";

    /// Those of the folder, made on first use.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        if let Some(secrets) = Self::read(folder)? {
            return Ok(secrets);
        }
        let secrets = Self {
            folder_id: new_short_id(),
            operator_key: random_token(),
            secret: random_token(),
            search_key: None,
            connector_key: None,
        };
        secrets.keep(folder)?;
        Ok(secrets)
    }

    /// Those of the folder, where `dev` has been started.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        read(folder, Self::FILE)
    }

    pub(crate) fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        write(folder, Self::FILE, self)
    }

    /// Forgets them: they belong to data that are gone.
    pub(crate) fn remove(folder: &Path) -> anyhow::Result<()> {
        remove(folder, Self::FILE)
    }
}

/// Where everything is, for scripts and for the other commands. There while `dev` is ready.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevJson {
    pub(crate) api_url: String,
    pub(crate) operator_key: String,
    pub(crate) database_url: String,
    pub(crate) typesense_url: String,
    pub(crate) typesense_api_key: String,
}

impl DevJson {
    const FILE: &str = "dev.json";

    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        read(folder, Self::FILE)
    }

    pub(crate) fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        write(folder, Self::FILE, self)
    }

    pub(crate) fn remove(folder: &Path) -> anyhow::Result<()> {
        remove(folder, Self::FILE)
    }
}

fn remove(folder: &Path, file: &str) -> anyhow::Result<()> {
    let path = folder.join(file);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't delete {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn read<T: DeserializeOwned>(folder: &Path, file: &str) -> anyhow::Result<Option<T>> {
    let path = folder.join(file);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("can't read {}", path.display()))?,
    };
    let value = serde_json::from_str(&text);
    value
        .map(Some)
        .with_context(|| format!("{} is broken: delete it, and `tidewell dev` makes a new one", path.display()))
}

/// Writes a file that is its owner's alone, by way of another name: a crash leaves the old one or the new one.
fn write(folder: &Path, file: &str, value: &impl Serialize) -> anyhow::Result<()> {
    let (path, draft) = (folder.join(file), folder.join(format!("{file}.new")));
    let text = serde_json::to_string_pretty(value)?;
    let write = || {
        if draft.exists() {
            fs::remove_file(&draft)?;
        }
        let mut draft = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(draft, "{text}")?;
        draft.sync_all()
    };
    write().and_then(|()| fs::rename(&draft, &path)).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_last_and_are_private_and_are_made_anew_once_forgotten() {
        let folder = std::env::temp_dir().join(format!("tidewell-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let first = Secrets::open(&folder).unwrap();
        assert_eq!(Secrets::open(&folder).unwrap().operator_key, first.operator_key);
        assert_eq!(fs::metadata(folder.join("secrets.json")).unwrap().permissions().mode() & 0o777, 0o600);
        Secrets::remove(&folder).unwrap();
        Secrets::remove(&folder).unwrap();
        assert_ne!(Secrets::open(&folder).unwrap().operator_key, first.operator_key);
        fs::write(folder.join("secrets.json"), "{").unwrap();
        assert!(Secrets::open(&folder).unwrap_err().to_string().contains("secrets.json is broken"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
