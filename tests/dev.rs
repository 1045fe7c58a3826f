//! `tidewell dev`: everything on one machine with one command, and nothing left behind but the data.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::support::{
    client::Client,
    eventually,
    process::{self, Process},
    servers::servers,
};

/// A project's folder; the servers that a crash left in it are stopped and the folder goes when it is dropped.
struct Project(PathBuf);

impl Project {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("project-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }

    fn dev(&self) -> Process {
        Process::start_in(&self.0, &["dev", "--port", "0"], &Self::settings())
    }

    /// Of the machine's settings only where the servers are installed.
    fn settings() -> Vec<(String, String)> {
        let cache = std::env::var_os("TIDEWELL_CACHE").and_then(|cache| cache.into_string().ok());
        cache.map(|cache| ("TIDEWELL_CACHE".to_owned(), cache)).into_iter().collect()
    }

    /// What `dev` says once it is ready.
    async fn ready(&self) -> Value {
        let file = self.0.join(".tidewell/dev.json");
        eventually(Duration::from_secs(120), || async {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
            serde_json::from_str(&text).map_err(|error| error.to_string())
        })
        .await
    }

    fn down(&self) -> bool {
        let down = process::tidewell(&["dev", "--down"], &Self::settings()).current_dir(&self.0).output();
        down.expect("tidewell runs").status.success()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.down();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn operator(ready: &Value) -> Client {
    let text = |name: &str| ready[name].as_str().expect("text").to_owned();
    Client::new(&text("apiUrl"), "x-athena-key", &text("operatorKey"))
}

async fn typesense_lives(ready: &Value) -> bool {
    let url = format!("{}/health", ready["typesenseUrl"].as_str().expect("a URL"));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    http.get(url).send().await.is_ok()
}

#[tokio::test]
async fn dev_brings_everything_up_with_a_demo_and_takes_it_down_again() {
    let project = Project::new();
    let first = project.dev();
    let ready = project.ready().await;
    let demo = operator(&ready).get("/v1/organizations/demo/indexes").await.expect(200);
    let products = format!("/v1/indexes/{}/search", demo["items"][0]["id"].as_str().expect("an index"));
    eventually(Duration::from_secs(60), || async {
        let found = operator(&ready).post(&products, &json!({ "q": "*" })).await.expect(200);
        if found["found"].as_u64() > Some(100) { Ok(()) } else { Err(found["found"].clone()) }
    })
    .await;
    eventually(Duration::from_secs(120), || async {
        let job = operator(&ready).get("/typesense/sync-job-status").await.expect(200)["data"]["items"][0].clone();
        let (is_demo, rows) = (job["name"] == "packages", job["last_source_row_count"].as_i64().unwrap_or_default());
        if is_demo && job["sync_health"] == "fresh" && rows > 1000 { Ok(()) } else { Err(job) }
    })
    .await;
    let second = process::tidewell(&["dev", "--port", "0"], &Project::settings()).current_dir(&project.0).output();
    let second = second.expect("tidewell runs");
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains(&first.pid().to_string()), "it names who has the folder");
    kill(Pid::from_raw(first.pid()), Signal::SIGINT).expect("Ctrl-C");
    first.ended();
    assert!(!typesense_lives(&ready).await, "the servers are stopped, too");
}

#[tokio::test]
async fn on_the_users_own_postgres_the_demos_table_has_a_schema_of_its_own() {
    let project = Project::new();
    let mut settings = Project::settings();
    settings.push(("TIDEWELL_DATABASE_URL".to_owned(), servers().await.fresh_database().await));
    let start = || Process::start_in(&project.0, &["dev", "--port", "0"], &settings);
    let jobs = async || {
        let ready = project.ready().await;
        let listed = operator(&ready).get("/typesense/sync-jobs").await.expect(200);
        let [job] = listed["data"]["items"].as_array().expect("items").as_slice() else { panic!("{listed:#}") };
        assert_eq!((&job["source_schema_name"], &job["source_table_name"]), (&json!("demo"), &json!("packages")));
        job["id"].clone()
    };
    let first = start();
    let job = jobs().await;
    first.stop();
    let second = start();
    assert_eq!(jobs().await, job, "a second start finds it");
    second.stop();
}

#[tokio::test]
async fn what_a_kill_left_behind_is_taken_over_by_the_next_start() {
    let project = Project::new();
    let first = project.dev();
    let before = project.ready().await;
    let organization = json!({ "slug": "kept", "name": "Kept", "plan": "free" });
    operator(&before).post("/v1/organizations", &organization).await.expect(201);
    first.kill();
    assert!(typesense_lives(&before).await);
    std::fs::remove_file(project.0.join(".tidewell/dev.json")).expect("it was ready");
    let next = project.dev();
    let after = project.ready().await;
    assert_eq!((&after["operatorKey"], &after["typesenseUrl"]), (&before["operatorKey"], &before["typesenseUrl"]));
    operator(&after).get("/v1/organizations/kept").await.expect(200);
    next.kill();
    assert!(project.down());
    assert!(!typesense_lives(&after).await);
}

#[tokio::test]
async fn a_stranger_on_the_port_is_named_with_what_to_do() {
    let project = Project::new();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = stranger.local_addr().expect("an address").port().to_string();
    let refused = process::tidewell(&["dev", "--port", &port], &Project::settings()).current_dir(&project.0).output();
    let refused = refused.expect("tidewell runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains(&port) && said.contains("--port"), "{said}");
}

#[tokio::test]
async fn its_typesense_is_a_backend_and_follows_a_change_of_address_or_key() {
    let project = Project::new();
    let start = || Process::start_in(&project.0, &["dev", "--port", "0", "--no-demo"], &Project::settings());
    let local = async |ready: &Value| {
        let listed = operator(ready).get("/typesense/backends").await.expect(200);
        let [backend] = listed["data"]["items"].as_array().expect("items").as_slice() else { panic!("{listed:#}") };
        assert_eq!((&backend["name"], &backend["base_url"]), (&json!("local"), &ready["typesenseUrl"]));
        let tested = operator(ready).post("/typesense/backends/test", &json!({ "profile_id": backend["id"] })).await;
        assert_eq!(tested.expect(200)["data"]["ok"], true);
        backend.clone()
    };
    let first = start();
    let ready = project.ready().await;
    let before = local(&ready).await;
    let elsewhere = json!({ "base_url": "http://127.0.0.1:9", "api_key": "another" });
    let path = format!("/typesense/backends/{}", before["id"].as_str().expect("an id"));
    operator(&ready).patch(&path, &elsewhere).await.expect(200);
    // In the folder the command line knows the secret, and takes what `dev` takes.
    let cli = process::tidewell(
        &["backend", "create", "cli", "--node", "http://127.0.0.1:9", "--api-key", "k", "--json"],
        &Project::settings(),
    );
    let output = { cli }.current_dir(&project.0).output().expect("tidewell runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let made = format!("/typesense/backends/{}", made["id"].as_str().expect("an id"));
    operator(&ready).delete(&made).await.expect(200);
    first.stop();
    let again = start();
    let after = local(&project.ready().await).await;
    assert_eq!(after["id"], before["id"]);
    again.stop();
}
