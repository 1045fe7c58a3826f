//! `tidewell doctor`: a healthy deployment has nothing to be fixed, and what is broken is named with its remedy.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{
    openai::OpenAi,
    process,
    servers::durable_servers,
    stack::{Setting, Stack, Tenant},
    syncing::Syncing,
};

const BATCH: &str = "/v1/indexes/books/documents:batch";
const PRODUCTION_KEY: &str = "an-operator-key-that-is-long-enough";

/// What it found.
struct Report {
    ok: bool,
    checks: Vec<Value>,
    words: String,
}

fn doctor(setting: &Setting, more: &[&str]) -> Report {
    let output = process::run(&[&["--json", "doctor"], more].concat(), &setting.variables());
    let words = String::from_utf8(output.stderr).expect("text");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {words}"));
    let checks = report["checks"].as_array().expect("checks").clone();
    let problems = checks.iter().filter(|check| check["verdict"] == "problem").count();
    assert_eq!((output.status.success(), &report["problems"]), (problems == 0, &json!(problems)), "{report:#}");
    Report { ok: output.status.success(), checks, words }
}

impl Report {
    /// The check of this name, and of this subject where it is given.
    #[track_caller]
    fn check(&self, name: &str, subject: &str) -> &Value {
        let is_it =
            |check: &&Value| check["check"] == name && check["subject"].as_str().unwrap_or_default().contains(subject);
        self.checks.iter().find(is_it).unwrap_or_else(|| panic!("no {name} {subject} in {:#?}", self.checks))
    }

    /// That check has this verdict, and says what was found and what to do.
    #[track_caller]
    fn says(&self, name: &str, verdict: &str, found: &str, remedy: &str) {
        self.says_of("", name, verdict, found, remedy);
    }

    #[track_caller]
    fn says_of(&self, subject: &str, name: &str, verdict: &str, found: &str, remedy: &str) {
        let check = self.check(name, subject);
        assert_eq!(check["verdict"], verdict, "{check:#}");
        assert!(check["found"].as_str().is_some_and(|text| text.contains(found)), "{found:?}: {check:#}");
        assert!(check["remedy"].as_str().is_some_and(|text| text.contains(remedy)), "{remedy:?}: {check:#}");
    }
}

async fn sql(setting: &Setting, statements: &str) {
    setting.pool().await.execute(AssertSqlSafe(statements.to_owned())).await.expect("statements");
}

/// The address of nobody.
async fn nobody(scheme: &str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("{scheme}://{}", listener.local_addr().expect("an address"))
}

async fn migrated() -> Setting {
    let setting = Setting::fresh().await;
    setting.migrate();
    setting
}

#[tokio::test]
async fn a_healthy_deployment_has_nothing_to_be_fixed() {
    // The servers that tests share keep nothing on disk, which is a problem of its own.
    let servers = durable_servers().await;
    let setting = Setting {
        database_url: servers.fresh_database().await,
        typesense_url: servers.typesense_url(),
        typesense_api_key: servers.typesense_api_key(),
        more: vec![],
    };
    let stack = Stack::of(setting.with("ATHENA_KEY_12", PRODUCTION_KEY).with("TIDEWELL_DOUBT_SECONDS", 6)).await;
    let operator = crate::support::client::Client::new(&stack.operator().base, "x-athena-key", PRODUCTION_KEY);
    let tenant = Tenant::make(&operator, "healthy", json!({})).await;
    let job = tenant.client.post(BATCH, &json!({ "documents": [{ "id": "1", "title": "Dune" }] })).await.expect(202);
    assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
    let report = doctor(&stack.setting, &["--url", &stack.operator().base]);
    // How full the disk of this machine is, is not for Tidewell to say.
    let others = report.checks.iter().filter(|check| check["check"] != "typesense_room" && check["verdict"] != "ok");
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&Value>::new());
    assert!(report.ok && report.checks.len() > 30, "{} checks", report.checks.len());
}

#[tokio::test]
async fn settings_that_may_go_wrong_are_pointed_out() {
    let setting = migrated().await;
    let setting = setting
        .with("TIDEWELL_SECRET", "")
        .with("ATHENA_KEY_12", "short")
        .with("TIDEWELL_PREVIOUS_SECRET", "the-secret-of-before-this-release")
        .with("ATHENA_TYPESENSE_ALLOW_HTTP", true)
        .with("TIDEWELL_DOUBT_SECONDS", 1);
    let report = doctor(&setting, &[]);
    report.says("secret", "warning", "TIDEWELL_SECRET is not set", "openssl rand");
    report.says("operator_key", "warning", "5 characters", "openssl rand");
    report.says("previous_secret", "warning", "still set", "tidewell migrate");
    report.says("plain_http", "warning", "in the clear", "https");
    report.says("doubt", "warning", "less than TIDEWELL_IMPORT_TIMEOUT_SECONDS", "several times");
    report.says("durability", "problem", "fsync is off", "switch it on");
    assert!(report.words.contains("to be fixed"), "{}", report.words);
}

#[tokio::test]
async fn a_database_that_is_away_or_empty_is_said_first() {
    let setting = Setting::fresh().await;
    let report = doctor(&setting, &[]);
    report.says("migrations", "problem", "no tables yet", "tidewell migrate");
    report.says("extensions", "problem", "hstore, pgcrypto missing", "create extension");
    assert!(
        report.checks.iter().all(|check| check["check"] != "workers"),
        "nothing is told of tables that are not there"
    );
    let away = format!("{}/tidewell", nobody("postgres").await);
    let report = doctor(&setting.with("TIDEWELL_DATABASE_URL", away), &[]);
    report.says("database", "problem", "TIDEWELL_DATABASE_URL", "start it");
    assert_eq!(report.check("typesense", "")["verdict"], "ok", "what can be looked at without it is");
}

#[tokio::test]
async fn a_database_that_was_set_up_wrongly_is_told_what_to_change() {
    let setting = migrated().await;
    let role = format!("doctor_{}", uuid::Uuid::new_v4().simple());
    sql(
        &setting,
        &format!(
            "alter table tidewell.outbox set (autovacuum_enabled = false);
             insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'to come', true, '', 0);
             create role {role} login password 'secret'; grant usage on schema tidewell, apalis to {role};
             grant select on all tables in schema tidewell, apalis, public to {role}"
        ),
    )
    .await;
    let mut url = reqwest::Url::parse(&setting.database_url).expect("a URL");
    let _ = (url.set_username(&role), url.set_password(Some("secret")));
    let as_role = setting.clone().with("TIDEWELL_DATABASE_URL", url).with("TIDEWELL_DATABASE_CONNECTIONS", 2000);
    let report = doctor(&as_role, &[]);
    report.says("rights", "problem", "apalis.jobs", "grant");
    report.says("autovacuum", "problem", "tidewell.outbox", "reset (autovacuum_enabled)");
    report.says("migrations", "warning", "1 migrations of a newer release", "run that release");
    report.says("connections", "warning", "each `serve` and `work` takes up to 2001", "max_connections");
    sql(&setting, &format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test]
async fn a_typesense_that_is_away_refuses_the_key_or_has_lost_a_collection_is_named() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("lost").await;
    let job = tenant.client.post(BATCH, &json!({ "documents": [{ "id": "1", "title": "Dune" }] })).await.expect(202);
    tenant.client.ended(&job).await;
    let Stack { setting, worker, .. } = stack;
    worker.expect("a worker").stop();
    let collection = format!("{}_v1", tenant.alias());
    let url = format!("{}/collections/{collection}", setting.typesense_url);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let looking = json!({
        "description": "may look", "collections": ["*"],
        "actions": ["collections:list", "collections:get", "aliases:list", "aliases:get"],
    });
    let made = http.post(format!("{}/keys", setting.typesense_url)).json(&looking);
    let made = made.header("x-typesense-api-key", &setting.typesense_api_key).send().await.expect("an answer");
    let made: Value = made.json().await.expect("a key");
    let looking = made["value"].as_str().expect("a key");
    let report = doctor(&setting.clone().with("TIDEWELL_TYPESENSE_API_KEY", looking), &[]);
    report.says("typesense_key", "problem", "may look and not write", "TIDEWELL_TYPESENSE_API_KEY");
    let gone =
        http.delete(url).header("x-typesense-api-key", &setting.typesense_api_key).send().await.expect("an answer");
    gone.error_for_status().expect("deleted");
    let report = doctor(&setting, &[]);
    report.says("collections", "problem", &collection, "verify INDEX --repair");
    report.says("workers", "problem", "nobody is at work", "tidewell work");
    let refused = doctor(&setting.clone().with("TIDEWELL_TYPESENSE_API_KEY", "another"), &[]);
    refused.says("typesense", "problem", "refuses the key", "key");
    let away = doctor(&setting.with("TIDEWELL_TYPESENSE_URL", nobody("http").await), &[]);
    away.says("typesense", "problem", "can't be reached", "start it");
}

#[tokio::test]
async fn backends_and_sources_are_each_looked_at() {
    let syncing = Syncing::start().await;
    let setting = &syncing.stack.setting;
    let key = &setting.typesense_api_key;
    let down = json!({ "name": "down", "base_url": nobody("http").await, "api_key": key });
    syncing.stack.operator().post("/typesense/backends", &down).await.expect(201);
    let away = json!({ "name": "away", "url": format!("{}/shop", nobody("postgres").await) });
    syncing.stack.operator().post("/v1/clients", &away).await.expect(201);
    let slot = format!("tidewell_{}", uuid::Uuid::new_v4().simple());
    syncing.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    let report = doctor(setting, &[]);
    let other_secret = setting.clone().with("TIDEWELL_SECRET", "another-secret-than-that-of-before");
    let sealed = doctor(&other_secret, &[]);
    syncing.sql(&format!("select pg_drop_replication_slot('{slot}')")).await;

    assert_eq!(report.check("backend", "search")["verdict"], "ok");
    assert_eq!(report.check("client", "shop")["verdict"], "ok");
    report.says_of("down", "backend", "problem", "can't be reached", "mend its address");
    report.says_of("away", "client", "problem", "", "client update");
    report.says_of(&slot, "replication_slot", "warning", "no live job here wants it", "pg_drop_replication_slot");
    sealed.says_of("search", "backend", "problem", "TIDEWELL_SECRET", "the deployment's secrets");
    sealed.says_of("shop", "client", "problem", "TIDEWELL_SECRET", "the deployment's secrets");
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_are_away_or_others_than_before_are_named() {
    let openai = OpenAi::start().await;
    let setting = Setting::fresh().await.with("TIDEWELL_OPENAI_BASE_URL", &openai.url);
    let stack = Stack::without_worker(setting).await;
    for (organization, model) in [("away", "local:all-MiniLM-L6-v2"), ("other", "openai:words")] {
        let embedding = json!({ "from": ["title"], "model": model });
        Tenant::make(stack.operator(), organization, json!({ "embedding": embedding })).await;
    }
    sql(
        &stack.setting,
        "update tidewell.index_versions set fingerprint = '{\"model\": \"of before\"}' where embedding ->> 'model' = 'openai:words'",
    )
    .await;
    let report = doctor(&stack.setting.clone().with("TIDEWELL_LOCAL_MODEL", "/nowhere"), &[]);
    report.says_of("local:", "model", "warning", "not on this machine", "TIDEWELL_LOCAL_MODEL");
    report.says_of("openai:words", "model", "problem", "not the model any more", "reindex");
}

#[tokio::test]
async fn work_that_waits_or_failed_is_told_with_who_could_do_it() {
    let syncing =
        Syncing::without_worker(Setting::fresh().await, &crate::support::servers::servers().await.typesense_url).await;
    let setting = &syncing.stack.setting;
    let tenant = syncing.stack.tenant("waiting").await;
    tenant.client.post(BATCH, &json!({ "documents": [{ "id": "1", "title": "Dune" }] })).await.expect(202);
    syncing.sql("create table books (id int primary key, title text)").await;
    let failed = syncing.job(json!({ "name": "failed" })).await;
    let stuck = syncing.job(json!({ "name": "stuck" })).await;
    let [failed, stuck] = [&failed, &stuck].map(|job| job["id"].as_str().expect("an id"));
    sql(
        setting,
        &format!(
            "update tidewell.jobs set enqueued_at = now() - interval '1 hour';
             update apalis.jobs set run_at = now() - interval '1 hour';
             insert into tidewell.workers (name, backend, breaker, breaker_reason, concurrency, started_at) values
                 ('paused', 'http://elsewhere', 'open', 'it answered 503', 1, now() - interval '1 hour'),
                 ('astray', 'http://elsewhere', 'closed', null, 1, now());
             update tidewell.index_checks set checked_at = now(), missing = 3, extra = 0, stale = 0;
             update public.typesense_sync_jobs set last_sync_status = 'failed', next_sync_at = now() - interval '1 hour'
             where id = '{failed}';
             insert into public.typesense_sync_runs (job_id, status, trigger_source, queued_at)
             values ('{stuck}', 'running', 'manual', now() - interval '1 hour')"
        ),
    )
    .await;
    let report = doctor(&setting.clone().with("TIDEWELL_BACKLOG_LIMIT", 1), &[]);
    report.says("backlog", "problem", "TIDEWELL_BACKLOG_LIMIT", "tidewell status");
    report.says_of("paused", "breaker", "problem", "it answered 503", "mend what is said");
    report.says_of("astray", "breaker", "warning", "not the Typesense of these settings", "TIDEWELL_TYPESENSE_URL");
    report.says("ticks", "problem", "no worker has ticked", "their log");
    report.says("wake_ups", "warning", "project_index", "tidewell work");
    report.says("drift", "warning", "waiting/books", "verify INDEX --repair");
    report.says("syncs", "problem", "failed", "tidewell sync runs");
    report.says("schedule", "problem", "failed", "ATHENA_TYPESENSE_SYNC_WORKER_ENABLED");
    report.says("sync_runs", "problem", "stuck", "tidewell sync cancel");
    doctor(setting, &[]).says("backlog", "warning", "the oldest for 1h 0m", "tidewell status");
}

#[tokio::test]
async fn a_front_end_is_called_as_its_users_call_it() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let url = stack.operator().base.clone();
    let report = doctor(&stack.setting.clone().with("ATHENA_KEY_12", PRODUCTION_KEY), &["--url", &url]);
    for check in ["front_end", "front_end_ready", "front_end_clock", "front_end_tls"] {
        assert_eq!(report.check(check, "")["verdict"], "ok");
    }
    report.says("front_end_key", "problem", "401", "ATHENA_KEY_12");
    let away = doctor(&stack.setting, &["--url", &nobody("http").await]);
    away.says("front_end", "problem", "can't be called", "tidewell serve");
}
