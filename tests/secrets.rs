//! Whatever is logged, told or counted, at the finest level and when everything goes wrong: no secret is in it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    time::Duration,
};

use reqwest::{Method, redirect::Policy};
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    eventually,
    openai::{Fault, OpenAi},
    process::{self, tidewell},
    servers::servers,
    stack::Setting,
};

const OPERATOR: &str = "hush-operator-key-4f1d2c";
const VIEWER: &str = "hush-viewer-key-77aa01";
const MASTER: &str = "hush-master-secret-that-is-long-enough-9b3e";
const PREVIOUS: &str = "hush-previous-secret-that-is-long-too-1c4d";
const OPENAI: &str = "hush-openai-key-0e8f";
const BACKEND: &str = "hush-backend-key-5d6c";
const SEARCH: &str = "hush-search-key-2b9a";
const PASSWORD: &str = "hush-client-password-8e7f";

/// A process whose whole log is kept; ended when this is dropped.
struct Logged {
    child: std::process::Child,
    log: PathBuf,
}

impl Logged {
    fn start(command: &str, settings: &[(String, String)]) -> Self {
        let log =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("secrets-{command}-{}.log", uuid::Uuid::new_v4()));
        let file = File::create(&log).expect("a log");
        let child = tidewell(&[command], settings).stdout(file.try_clone().expect("a log")).stderr(file).spawn();
        Self { child: child.expect("tidewell starts"), log }
    }

    fn read(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("a log")).into_owned()
    }

    /// The value of a field in the line with this message.
    async fn says(&self, message: &str, field: &str) -> String {
        eventually(Duration::from_secs(60), || async {
            let log = self.read();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines
                .find(|line| line["message"] == message)
                .and_then(|line| Some(line[field].as_str()?.to_owned()))
                .ok_or("not yet")
        })
        .await
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// Everything that was said, by who said it.
#[derive(Default)]
struct Said(BTreeMap<String, String>);

impl Said {
    fn hear(&mut self, place: &str, text: &str) {
        let heard = self.0.entry(place.to_owned()).or_default();
        heard.push_str(text);
        heard.push('\n');
    }

    /// An answer that shows nothing once.
    fn answer(&mut self, answer: Answer) -> Value {
        self.hear("answers", &format!("{:?} {}", answer.headers, answer.body));
        answer.body
    }
}

fn raw(made: &Value, field: &str) -> String {
    made[field].as_str().expect("a secret").to_owned()
}

#[tokio::test]
async fn no_secret_is_in_what_is_logged_told_or_counted() {
    let openai = OpenAi::start().await;
    let base = Setting::fresh().await;
    let setting = Setting { more: Vec::new(), ..base.clone() }
        .with("ATHENA_KEY_12", OPERATOR)
        .with("TIDEWELL_VIEWER_KEY", VIEWER)
        .with("TIDEWELL_SECRET", MASTER)
        .with("TIDEWELL_PREVIOUS_SECRET", PREVIOUS)
        .with("TIDEWELL_OPENAI_BASE_URL", &openai.url)
        .with("TIDEWELL_OPENAI_API_KEY", OPENAI)
        .with("ATHENA_TYPESENSE_ALLOW_HTTP", true)
        .with("TIDEWELL_LOG", "trace");
    let variables = setting.variables();
    let mut said = Said::default();
    let migrated = process::run(&["migrate", "--json"], &variables);
    said.hear(
        "migrate",
        &format!("{}{}", String::from_utf8_lossy(&migrated.stdout), String::from_utf8_lossy(&migrated.stderr)),
    );
    let (serve, work) = (Logged::start("serve", &variables), Logged::start("work", &variables));
    let url = format!("http://{}", serve.says("serving", "address").await);
    work.says("working", "worker").await;
    let operator = Client::new(&url, "x-athena-key", OPERATOR);

    // What is shown once is not heard, but what is done with it.
    operator.post("/v1/organizations", &json!({ "slug": "hush", "name": "hush", "plan": "pro" })).await.expect(201);
    let index = json!({ "slug": "books", "fields": [{ "name": "title", "type": "string" }],
                        "embedding": { "from": ["title"], "model": "openai:m", "outage": "skip" } });
    operator.post("/v1/organizations/hush/indexes", &index).await.expect(201);
    let key = json!({ "name": "k", "kind": "connector", "scopes": ["ingest", "search", "admin"] });
    let key = raw(&operator.post("/v1/organizations/hush/keys", &key).await.expect(201), "rawKey");
    let tenant = operator.bearer(&key);
    let token = json!({ "index": "books", "filterBy": "title:=A", "expiresAt": "2099-01-01T00:00:00Z" });
    let token = raw(&tenant.post("/v1/scoped-tokens", &token).await.expect(201), "token");
    let gateway = raw(&operator.post("/v1/gateway-keys", &json!({ "name": "g" })).await.expect(201), "rawKey");
    let athena = Client::new(&url, "x-athena-key", &gateway);

    // Writes and searches, also by Typesense's own routes, and with a model that refuses the key.
    let documents = json!({ "documents": [{ "id": "a", "title": "A" }, { "id": "b", "title": 7 }] });
    let job = said.answer(tenant.post("/v1/indexes/books/documents:batch", &documents).await);
    tenant.ended(&job).await;
    openai.set(Fault::Unauthorized);
    let job = said.answer(tenant.post("/v1/indexes/books/documents:batch", &documents).await);
    tenant.ended(&job).await;
    for client in [&tenant, &operator.bearer(&token)] {
        for mode in ["keyword", "hybrid"] {
            said.answer(client.post("/v1/indexes/books/search", &json!({ "q": "a", "mode": mode })).await);
        }
        said.answer(client.post("/v1/indexes/books/documents:batch", &json!({ "documents": [] })).await);
    }
    let native = format!("/collections/books/documents/search?q=a&query_by=title&x-typesense-api-key={key}");
    said.answer(Client::new(&url, "x-nothing", "").get(&native).await);
    said.answer(Client::new(&url, "x-typesense-api-key", &key).get("/collections/nowhere/documents/search?q=a").await);

    // Backends and clients: right, wrong, and away.
    let typesense = (&setting.typesense_url, &setting.typesense_api_key);
    let right = json!({ "name": "right", "base_url": typesense.0, "api_key": typesense.1, "search_api_key": SEARCH });
    let right = said.answer(operator.post("/typesense/backends", &right).await);
    for (name, base_url) in [("wrong", typesense.0.as_str()), ("away", "http://127.0.0.1:1")] {
        let backend = json!({ "name": name, "base_url": base_url, "api_key": BACKEND, "search_api_key": SEARCH });
        let made = said.answer(athena.post("/typesense/backends", &backend).await);
        let stored = json!({ "profile_id": made["data"]["id"] });
        let given = json!({ "base_url": base_url, "api_key": BACKEND });
        for target in [stored, given] {
            said.answer(athena.post("/typesense/backends/test", &target).await);
            said.answer(athena.post("/typesense/collections/list", &target).await);
        }
    }
    let source = servers().await.fresh_database().await;
    let (scheme, rest) = source.split_once("://").expect("a URL");
    let (_, place) = rest.split_once('@').expect("a password");
    let sources = [
        ("shop", source.clone()),
        ("refused", format!("{scheme}://nobody:{PASSWORD}@{place}")),
        ("away", format!("postgres://reader:{PASSWORD}@127.0.0.1:1/shop")),
        ("nowhere", format!("postgres://reader:{PASSWORD}@nowhere.invalid/shop")),
        ("faulty", format!("postgres://reader:{PASSWORD}@h:port/shop")),
    ];
    for (name, url) in &sources {
        said.answer(operator.post("/v1/clients", &json!({ "name": name, "url": url })).await);
        said.answer(operator.get(&format!("/v1/clients/{name}/tables")).await);
    }
    let pool = sqlx::PgPool::connect(&source).await.expect("the source");
    sqlx::query("create table books (id int primary key, title text)").execute(&pool).await.expect("a table");
    let job = json!({ "name": "books", "source_client_name": "shop", "source_table_name": "books",
                      "typesense_profile_id": right["data"]["id"], "document_id_column": "id",
                      "collection_name": format!("hush_{}", uuid::Uuid::new_v4().simple()) });
    let job = said.answer(operator.post("/typesense/sync-jobs", &job).await)["data"].clone();
    let run = format!("/typesense/sync-jobs/{}/run?wait=true", job["id"].as_str().expect("a job"));
    said.answer(operator.post(&run, &json!({})).await);
    said.answer(operator.patch("/v1/clients/shop", &json!({ "url": sources[1].1 })).await);
    said.answer(operator.post(&run, &json!({})).await);

    // Callers that are not quite right.
    for wrong in [format!("{OPERATOR}x"), format!("{gateway}x"), MASTER.to_owned()] {
        said.answer(Client::new(&url, "x-athena-key", &wrong).get("/v1/plans").await);
    }
    for wrong in [format!("{key}x"), format!("{token}x"), MASTER.to_owned()] {
        said.answer(operator.bearer(&wrong).get("/v1/jobs").await);
    }
    said.answer(operator.post("/v1/clients", &json!({ "name": "x", "url": [PASSWORD] })).await);

    // The console.
    let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
    let mut cookies = Vec::new();
    for key in [OPERATOR, VIEWER, BACKEND] {
        let form = http.request(Method::POST, format!("{url}/console/sign-in")).header("origin", &url);
        let form = form.header("content-type", "application/x-www-form-urlencoded").body(format!("key={key}&name=Ada"));
        let answer = form.send().await.expect("an answer");
        let cookie = answer.headers().get("set-cookie").map(|value| value.to_str().expect("text").to_owned());
        if let Some(cookie) = cookie {
            let value = cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
            for page in ["/console", "/console/backends", "/console/clients", "/console/gateway-keys"] {
                let page = http.get(format!("{url}{page}")).header("cookie", format!("tidewell_console={value}"));
                said.hear("console", &page.send().await.expect("a page").text().await.expect("a page"));
            }
            cookies.push(value);
        }
    }
    assert_eq!(cookies.len(), 2);

    // The command line, its failures included.
    for arguments in [
        &["status"][..],
        &["client", "list"],
        &["client", "show", "shop"],
        &["client", "tables", "refused"],
        &["backend", "list"],
        &["backend", "test", "wrong"],
        &["key", "list", "--org", "hush"],
        &["sync", "status"],
        &["dead-letters", "list"],
        &["job", "list"],
    ] {
        let output = process::run(&[arguments, &["--json"]].concat(), &variables);
        said.hear(
            &arguments.join(" "),
            &format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        );
    }
    let password = base
        .database_url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@'))
        .and_then(|(user, _)| user.split_once(':'));
    let (_, password) = password.expect("the control database has a password");
    for (name, value) in [
        ("TIDEWELL_DATABASE_URL", base.database_url.replace("postgres://", "mysql://")),
        ("TIDEWELL_TYPESENSE_URL", format!("ftp://{PASSWORD}")),
        ("TIDEWELL_SECRET", "hush-too-short".to_owned()),
        ("TIDEWELL_OPENAI_API_KEY", "hush with blanks".to_owned()),
    ] {
        let output = process::run(&["status"], &setting.clone().with(name, value).variables());
        assert!(!output.status.success(), "{name}");
        said.hear(name, &String::from_utf8_lossy(&output.stderr));
    }

    said.answer(Client::new(&url, "x-nothing", "").get("/metrics").await);
    let lines: Vec<String> = sqlx::query_scalar("select l::text from tidewell.log_lines l")
        .fetch_all(&setting.pool().await)
        .await
        .expect("lines");
    assert!(!lines.is_empty());
    said.hear("log_lines", &lines.join("\n"));
    for (name, process) in [("serve", &serve), ("work", &work)] {
        let log = process.read();
        let finest = log.matches("\"TRACE\"").count();
        assert!(finest > 100, "{name} logs at the finest level: {finest} lines");
        said.hear(name, &log);
    }

    let made = [key.as_str(), &token, &gateway, &cookies[0], &cookies[1], password, &setting.typesense_api_key];
    let known =
        [OPERATOR, VIEWER, MASTER, PREVIOUS, OPENAI, BACKEND, SEARCH, PASSWORD, "hush-too-short", "hush with blanks"];
    let leaks: Vec<String> = said
        .0
        .iter()
        .flat_map(|(place, text)| {
            let secrets = made.iter().chain(&known);
            secrets.filter(|secret| text.contains(**secret)).map(move |secret| {
                let line = text.lines().find(|line| line.contains(*secret)).unwrap_or_default();
                format!("{place} tells {secret}: {}", line.chars().take(600).collect::<String>())
            })
        })
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
