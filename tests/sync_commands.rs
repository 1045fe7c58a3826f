//! `tidewell sync`: what the routes do, for people.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    eventually,
    process::{self, Process},
    stack::Setting,
    syncing::Syncing,
};

/// A command line beside a table of books.
struct Shell(Syncing);

impl Shell {
    async fn start() -> Self {
        Self::beside(Syncing::start().await).await
    }

    async fn without_worker() -> Self {
        let setting = Setting::fresh().await;
        let url = setting.typesense_url.clone();
        Self::beside(Syncing::without_worker(setting, &url).await).await
    }

    async fn beside(syncing: Syncing) -> Self {
        syncing
            .sql(
                "create table books (id bigint primary key, title text not null, genre text, price float8 not null, added timestamptz);
                 insert into books select n, 'Title ' || n, 'g' || n % 7, n, now() from generate_series(1, 3000) as n",
            )
            .await;
        Self(syncing)
    }

    /// What a command prints, and whether it went well.
    fn run(&self, arguments: &[&str], stdin: &str) -> (bool, String) {
        let output = process::run_with_stdin(arguments, &self.0.stack.setting.variables(), stdin);
        let told = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8_lossy(&told).into_owned())
    }

    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        let (went_well, told) = self.run(arguments, "");
        assert!(went_well, "{arguments:?}: {told}");
        told
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[arguments, &["--json"]].concat())).expect("JSON")
    }

    /// Why a command has failed.
    #[track_caller]
    fn fault(&self, arguments: &[&str]) -> String {
        let (went_well, told) = self.run(arguments, "");
        assert!(!went_well, "{arguments:?}: {told}");
        told
    }

    /// A job `books`, of a collection of a name that is free.
    fn create(&self, more: &[&str]) -> Value {
        let collection = format!("books_{}", uuid::Uuid::new_v4().simple());
        let needed = ["--client", "shop", "--table", "books", "--backend", "search", "--id-column", "id"];
        self.json(&[&["sync", "create", "books", "--collection", &collection], needed.as_slice(), more].concat())
    }

    async fn by_http(&self, job: &Value) -> Value {
        self.0.call(Method::GET, job, "").await.expect(200)["data"].clone()
    }
}

#[tokio::test]
async fn a_job_is_made_run_changed_looked_at_and_deleted() {
    let shell = Shell::start().await;
    let job = shell.create(&["--facet-by", "genre", "--columns", "id,title,genre", "--stale-after", "60"]);
    assert_eq!(shell.by_http(&job).await, job);
    assert_eq!((&job["typesense_profile_id"], &job["batch_size"]), (&shell.0.profile_id, &json!(1000)));
    assert_eq!((&job["selected_columns"], &job["stale_after_minutes"]), (&json!(["id", "title", "genre"]), &json!(60)));

    let run = shell.json(&["sync", "run", "books", "--wait"]);
    assert_eq!(Syncing::counts(&run), (3000, 0, 0));
    assert_eq!((&run["trigger_source"], &run["run_id"]), (&json!("manual"), &run["id"]));
    let runs = shell.json(&["sync", "runs", "books"]);
    assert_eq!(runs["items"][0]["id"], run["id"]);
    assert!(shell.text(&["sync", "runs", "books"]).contains("3000"));

    let status = shell.text(&["sync", "status"]);
    for expected in ["books", "shop/public.books", "fresh", "ago", "3000"] {
        assert!(status.contains(expected), "{expected}: {status}");
    }
    let status = &shell.json(&["sync", "status"])["items"][0];
    assert_eq!((&status["sync_health"], &status["last_failed_count"]), (&json!("fresh"), &json!(0)));
    assert_eq!(shell.json(&["sync", "list"])["items"][0]["id"], job["id"]);
    assert_eq!(shell.json(&["sync", "show", "books"])["last_sync_status"], "success");
    assert!(shell.text(&["sync", "show", "books"]).contains("when asked"));

    let changed = shell.json(&["sync", "update", "books", "--name", "all books", "--columns", "", "--every", "30"]);
    assert_eq!(
        (&changed["name"], &changed["selected_columns"], &changed["sync_interval_minutes"]),
        (&json!("all books"), &json!([]), &json!(30))
    );
    assert_eq!(
        (&changed["facet_by_fields"], &changed["id"]),
        (&json!(["genre"]), &job["id"]),
        "what is left out stays"
    );
    let changed = shell.json(&["sync", "update", "all books", "--cron", "0 3 * * *", "--timezone", "Europe/Berlin"]);
    assert_eq!((&changed["sync_interval_minutes"], &changed["cron"]), (&Value::Null, &json!("0 3 * * *")));
    assert_eq!(shell.json(&["sync", "update", "all books", "--no-schedule"])["cron"], Value::Null);

    let deleted = shell.text(&["sync", "delete", "all books"]);
    assert!(deleted.contains(job["collection_name"].as_str().expect("a name")), "{deleted}");
    assert_eq!(shell.0.held(&job["collection_name"]).await.len(), 3000, "the collection stays");
    assert!(shell.text(&["sync", "status"]).contains("tidewell sync create"));
}

#[tokio::test]
async fn a_full_run_builds_the_collection_anew() {
    let shell = Shell::start().await;
    let job = shell.create(&[]);
    shell.json(&["sync", "run", "books", "--wait"]);
    let before = shell.0.behind(&job).await;
    let run = shell.json(&["sync", "run", "books", "--full", "--wait"]);
    assert_eq!((Syncing::counts(&run), &run["rebuild"]), ((3000, 0, 0), &json!(true)));
    assert_ne!(shell.0.behind(&job).await, before);
    shell.json(&["sync", "update", "books", "--mode", "live", "--disabled"]);
    assert!(shell.fault(&["sync", "run", "books", "--full"]).contains("mode scheduled"));
}

#[tokio::test]
async fn another_collection_is_rolled_back() {
    let shell = Shell::start().await;
    let job = shell.create(&[]);
    assert!(shell.fault(&["sync", "rollback", "books"]).contains("nothing to roll back to"));
    shell.json(&["sync", "run", "books", "--wait"]);
    shell.0.sql("update books set title = 'New'").await;
    shell.json(&["sync", "update", "books", "--strategy", "full"]);
    shell.json(&["sync", "run", "books", "--wait"]);
    assert_eq!(shell.0.held(&job["collection_name"]).await["7"]["title"], "New");
    let ended = shell.json(&["sync", "rollback", "books", "--wait"]);
    assert_eq!((&ended["status"], &ended["trigger_source"]), (&json!("success"), &json!("rollback")));
    assert_eq!(shell.0.held(&job["collection_name"]).await["7"]["title"], "Title 7");
    assert_eq!(shell.json(&["sync", "show", "books"])["auto_sync_enabled"], false);
}

#[tokio::test]
async fn what_is_wrong_is_told_as_by_http() {
    let shell = Shell::without_worker().await;
    let all = ["sync", "create", "b", "--client", "shop", "--table", "books", "--backend", "search", "--collection"];
    let all = [all.as_slice(), &["b", "--id-column", "id"]].concat();
    for (more, said) in [
        (["--columns", "id,tilte"], "it has id, title"),
        (["--query-by", "price"], "searches look in texts"),
        (["--cron", "sometimes"], "can't be read"),
        (["--batch-size", "0"], "1 to 10000"),
        (["--field-config", "{\"title\":{\"colour\":1}}"], "colour"),
        (["--field-config", "{"], "not JSON"),
    ] {
        let told = shell.fault(&[all.as_slice(), &more].concat());
        assert!(told.contains(said) && told.lines().count() == 1, "{more:?}: {told}");
    }
    let missing = shell.fault(&["sync", "create", "b", "--client", "shop"]);
    assert!(missing.contains("--table, --backend, --collection, --id-column"), "{missing}");
    let nobody = ["--client", "nobody", "--table", "books", "--backend", "search", "--collection", "b"];
    let told = shell.fault(&[&["sync", "create", "b", "--id-column", "id"], nobody.as_slice()].concat());
    assert!(told.contains("there is no client \"nobody\""), "{told}");
    let told = shell.fault(&["sync", "create", "b", "--backend", "nowhere"]);
    assert!(told.contains("tidewell backend list"), "{told}");

    shell.create(&[]);
    assert!(shell.fault(&["sync", "update", "books"]).contains("nothing is to be changed"));
    let told = shell.fault(&["sync", "update", "books", "--table", "nothing"]);
    assert!(told.contains("no table or view public.nothing"), "{told}");
    assert_eq!(shell.json(&["sync", "show", "books"])["source_table_name"], "books");
    for wrong in ["show", "delete", "run", "cancel", "runs", "rollback", "update"] {
        let told = shell.fault(&["sync", wrong, "nobody"]);
        assert!(told.contains("there is no sync job \"nobody\"") && told.contains("tidewell sync list"), "{told}");
    }
    let taken = shell.fault(&[
        "sync",
        "create",
        "books",
        "--client",
        "shop",
        "--table",
        "books",
        "--backend",
        "search",
        "--collection",
        "other",
        "--id-column",
        "id",
    ]);
    assert!(taken.contains("already"), "{taken}");
}

#[tokio::test]
async fn a_job_comes_from_a_file_and_flags_have_the_last_word() {
    let shell = Shell::without_worker().await;
    let spec =
        shell.0.spec(json!({ "facet_by_fields": ["genre"], "batch_size": 100, "cron": "0 3 * * *" })).to_string();
    let arguments = ["sync", "create", "other", "--file", "-", "--batch-size", "500", "--every", "10", "--json"];
    let (went_well, told) = shell.run(&arguments, &spec);
    assert!(went_well, "{told}");
    let job: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&job["name"], &job["batch_size"], &job["cron"]), (&json!("other"), &json!(500), &Value::Null));
    assert_eq!((&job["facet_by_fields"], &job["document_id_column"]), (&json!(["genre"]), &json!("id")));
    let (went_well, told) = shell.run(&["sync", "update", "other", "--file", "-"], "{\"colour\": \"red\"}");
    assert!(!went_well && told.contains("colour"), "{told}");
}

#[tokio::test]
async fn a_run_is_asked_for_once_waited_for_and_ended_early() {
    let shell = Shell::without_worker().await;
    let job = shell.create(&[]);
    assert!(shell.fault(&["sync", "cancel", "books"]).contains("no run of books is under way"));
    // Nobody is there to do it: who waits stops waiting, and the run stays.
    let waiting = Process::start(&["sync", "run", "books", "--wait"], &shell.0.stack.setting.variables());
    let active = eventually(Duration::from_secs(20), || async {
        let status = shell.json(&["sync", "status"])["items"][0].clone();
        if status["active_run_id"].is_string() { Ok(status["active_run_id"].clone()) } else { Err(status) }
    })
    .await;
    kill(Pid::from_raw(waiting.pid()), Signal::SIGINT).expect("Ctrl-C");
    let said = waiting.failed();
    assert!(said.contains("the run goes on") && said.contains("tidewell sync cancel"), "{said}");
    let again = shell.fault(&["sync", "run", "books"]);
    assert!(again.contains(active.as_str().expect("an id")) && again.contains("has not ended"), "{again}");
    assert!(shell.text(&["sync", "status"]).contains("queued"));
    let cancelled = shell.json(&["sync", "cancel", "books"]);
    assert_eq!((&cancelled["id"], &cancelled["status"]), (&active, &json!("cancelled")));
    let queued = shell.json(&["sync", "run", "books"]);
    assert_eq!(queued["status"], "queued", "where stdout is no terminal, nobody waits");
    shell.json(&["sync", "cancel", "books"]);
    shell.json(&["sync", "update", "books", "--disabled"]);
    assert!(shell.fault(&["sync", "run", "books"]).contains("--enabled"));
    assert_eq!(shell.by_http(&job).await["enabled"], false);
}

#[tokio::test]
async fn a_status_is_watched_until_ctrl_c() {
    let shell = Shell::without_worker().await;
    shell.create(&[]);
    let mut watching = process::tidewell(&["sync", "status", "--watch"], &shell.0.stack.setting.variables());
    let mut watching = watching.stdout(Stdio::piped()).spawn().expect("tidewell starts");
    let lines = BufReader::new(watching.stdout.take().expect("piped")).lines().map_while(Result::ok);
    // Where nobody's screen is redrawn, one table follows the other.
    assert_eq!(lines.filter(|line| line.contains("never_synced")).take(2).count(), 2);
    kill(Pid::from_raw(watching.id().try_into().expect("a pid")), Signal::SIGINT).expect("Ctrl-C");
    assert!(watching.wait().expect("its end").success());
}
