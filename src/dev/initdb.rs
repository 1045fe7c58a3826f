//! PostgreSQL's data folder: made once, whole or not at all, and never by another version.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::Error;
use super::home::{Home, write_private};
use super::install::Binaries;
use super::pins::{POSTGRES_MAJOR, Server};
use super::postgres_engine::USER;

/// A folder that is being made has a name with this prefix; those of earlier tries are swept away.
const DRAFT: &str = "data.new-";

/// Refuses data that another major version of PostgreSQL has written.
pub(super) fn check_version(data: &Path) -> Result<(), Error> {
    let file = data.join("PG_VERSION");
    let found = match fs::read_to_string(&file) {
        Ok(text) => text.trim().to_owned(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("read", &file)(e)),
    };
    if found == POSTGRES_MAJOR {
        return Ok(());
    }
    Err(Error::OtherVersion { data: data.to_owned(), found })
}

/// Runs `initdb` in a folder beside and renames that to `data`, so that a crash leaves no half of it.
///
/// The locale is PostgreSQL's own C.UTF-8: it is in every build, and unlike the system's its order
/// of sorting doesn't change with an upgrade of the system, which would spoil indexes.
pub(super) async fn initialise(binaries: &Binaries, home: &Home, password: &str, fsync: bool) -> Result<(), Error> {
    sweep(home);
    let name = format!("{DRAFT}{:08x}", rand::random::<u32>());
    let draft = home.folder(&name)?;
    // initdb reads the password from a file, as the user it runs as.
    let password_file = home.path.join(name + ".password");
    write_private(&password_file, password).map_err(Error::io("write", &password_file))?;
    if let Some(account) = home.account {
        account.own(&password_file).map_err(Error::io("give away", &password_file))?;
    }

    let program = binaries.postgres("initdb");
    let mut command = Command::new(&program);
    command.arg("-D").arg(&draft).arg("--pwfile").arg(&password_file);
    command.args(["-U", USER, "-E", "UTF8", "--locale=C"]);
    command.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    command.args(["--auth=scram-sha-256", "--no-instructions"]);
    if !fsync {
        command.arg("--no-sync");
    }
    // It looks for a shell and for a time zone; of our own surroundings nothing else may matter.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
    command.current_dir(&draft).stdin(Stdio::null());
    if let Some(account) = home.account {
        account.apply(&mut command);
    }
    let mut command = tokio::process::Command::from(command);
    let output = command.process_group(0).kill_on_drop(true).output().await;
    let outcome = match output {
        Err(e) => Err(Error::io("run", &program)(e)),
        Ok(output) if !output.status.success() => {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).trim_end().to_owned();
            Err(Error::ended(Server::Postgres, Path::new("initdb"), text))
        }
        Ok(_) => fs::rename(&draft, home.data()).map_err(Error::io("rename", &draft)),
    };
    sweep(home);
    outcome
}

/// Removes what this or an earlier, interrupted try left.
fn sweep(home: &Home) {
    for entry in fs::read_dir(&home.path).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_version_is_refused() {
        let data = std::env::temp_dir().join(format!("tidewell-initdb-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        check_version(&data).unwrap();
        fs::write(data.join("PG_VERSION"), "18\n").unwrap();
        check_version(&data).unwrap();
        fs::write(data.join("PG_VERSION"), "15\n").unwrap();
        let error = check_version(&data).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 15") && error.contains("--fresh"), "{error}");
        fs::remove_dir_all(&data).unwrap();
    }
}
