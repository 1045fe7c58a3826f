//! Typesense's official clients, installed once as published, and the scripts of `tests/clients` that run them; and axe-core beside them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use super::client::Client;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// Where the clients are installed: anew whenever a pin changes.
static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&home).expect("a folder");
    // Other test processes wait here.
    let lock = File::create(home.join("lock")).expect("a lock's file");
    lock.lock().expect("the lock");
    let pins = ["package.json", "package-lock.json", "requirements.txt"];
    let read = |folder: &Path| pins.map(|pin| fs::read(folder.join(pin)).unwrap_or_default());
    let wanted = read(Path::new(SCRIPTS));
    if !home.join("complete").exists() || read(&home) != wanted {
        let _ = fs::remove_file(home.join("complete"));
        for (pin, text) in pins.iter().zip(&wanted) {
            fs::write(home.join(pin), text).expect("a pin");
        }
        install(&home);
        fs::write(home.join("complete"), "").expect("a mark");
    }
    home
});

fn install(home: &Path) {
    let ci = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(Command::new("npm").args(ci).current_dir(home), "Node.js 20 or newer, with npm");
    let _ = fs::remove_dir_all(home.join("venv"));
    run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(home), "python3 with venv");
    let pip = ["install", "--quiet", "--no-deps", "--require-hashes", "-r", "requirements.txt"];
    run(Command::new(home.join("venv/bin/pip")).args(pip).current_dir(home), "python3 with venv and pip");
}

/// Runs to a good end; `needs` is what must be installed on the machine for it.
fn run(command: &mut Command, needs: &str) -> Output {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?} could not be run ({error}): these tests need {needs}; install it"),
    };
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed (it needs {needs}):\n{said}{complained}");
    output
}

/// Runs one of `tests/clients` against the front end of `client`, with a tenant key.
pub async fn run_script(script: &'static str, client: &Client, key: &str) {
    let (url, key) = (client.base.clone(), key.to_owned());
    let ran = tokio::task::spawn_blocking(move || {
        let mut command = if script.ends_with(".py") {
            let mut python = Command::new(INSTALLED.join("venv/bin/python"));
            python.arg(Path::new(SCRIPTS).join(script));
            python
        } else {
            // Packages are found from where a script lies, so it runs beside them.
            let beside = INSTALLED.join(script);
            fs::copy(Path::new(SCRIPTS).join(script), &beside).expect("a copy");
            let mut node = Command::new("node");
            node.arg(beside);
            node
        };
        run(command.env("TIDEWELL_URL", url).env("TIDEWELL_KEY", key), "Node.js 20 or newer and python3 with venv");
    });
    ran.await.expect("a script that ends well");
}

/// The script of axe-core, which finds what keeps people out of a page.
pub fn axe() -> String {
    fs::read_to_string(INSTALLED.join("node_modules/axe-core/axe.min.js")).expect("axe-core")
}
