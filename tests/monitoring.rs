//! What is measured, what alerts and the dashboard make of it, and what the pages say of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tidewell::metrics::{Kind, Metric, RECORDED, TOLD};

use crate::support::{
    client::Client,
    eventually,
    process::{self, Process},
    stack::{OPERATOR_KEY, Setting, Stack},
};

const ALERTS: &str = include_str!("../ops/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../ops/grafana/tidewell.json");
const RUNBOOK: &str = include_str!("../ops/runbook.md");
const PAGE: &str = include_str!("../ops/metrics.md");

/// What a process answers to a scraper.
struct Scrape {
    text: String,
    types: BTreeMap<String, String>,
}

impl Scrape {
    async fn of(process: &Client) -> Self {
        let text = process.get("/metrics").await.expect(200).as_str().expect("text").to_owned();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        Self { types: types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect(), text }
    }

    /// The sum of the series that begin so.
    fn sum(&self, series: &str) -> f64 {
        let values = self.text.lines().filter(|line| line.starts_with(series));
        values.map(|line| line.rsplit_once(' ').expect("a value").1.parse::<f64>().expect("a number")).sum()
    }

    /// Every series' metric with its labels.
    fn series(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(move |line| {
            let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a value"));
            let labels = rest.split("=\"").collect::<Vec<_>>();
            let names =
                labels[..labels.len() - 1].iter().map(|before| before.rsplit(['{', ',', '"']).next().expect("a name"));
            (self.metric_of(name), names.filter(|name| !["le", "quantile"].contains(name)).collect())
        })
    }

    /// Of a part of a histogram that histogram.
    fn metric_of<'a>(&self, name: &'a str) -> &'a str {
        let whole = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(*part));
        whole.filter(|whole| self.types.contains_key(*whole)).unwrap_or(name)
    }
}

/// A front end and a worker that both answer scrapers, after writes of every kind of fate and a search.
struct Busy {
    stack: Stack,
    worker: Client,
}

impl Busy {
    async fn start() -> Self {
        let setting = Setting::fresh().await.with("TIDEWELL_WORK_LISTEN", "127.0.0.1:0");
        let stack = Stack::without_worker(setting).await;
        let (worker, process) = watched_worker(&stack.setting);
        let stack = Stack { worker: Some(process), ..stack };
        let tenant = stack.tenant("busy").await;
        let documents = json!({ "documents": [
            { "id": "1", "title": "one" }, { "id": "2", "title": "two" }, { "id": "3", "title": 3 }, { "title": "nobody's" },
        ] });
        let batch = || {
            let request = tenant.client.request(reqwest::Method::POST, "/v1/indexes/books/documents:batch");
            tenant.client.send(request.header("idempotency-key", "once").json(&documents))
        };
        let job = batch().await.expect(202);
        batch().await.expect(202);
        tenant.client.ended(&job).await;
        tenant.client.post("/v1/indexes/books/search", &json!({ "q": "one" })).await.expect(200);
        Self { stack, worker }
    }

    async fn scrapes(&self) -> [Scrape; 2] {
        [Scrape::of(self.stack.operator()).await, Scrape::of(&self.worker).await]
    }
}

fn watched_worker(setting: &Setting) -> (Client, Process) {
    let process = Process::start(&["work"], &setting.variables());
    let address = process.logged("answering probes", "address");
    (Client::new(&format!("http://{address}"), "x-athena-key", OPERATOR_KEY), process)
}

fn catalogue() -> BTreeMap<&'static str, &'static Metric> {
    RECORDED.iter().chain(TOLD).flat_map(|group| group.metrics).map(|metric| (metric.name, metric)).collect()
}

#[tokio::test]
async fn each_document_is_counted_at_each_stage() {
    let busy = Busy::start().await;
    let settled = || async {
        let [serve, work] = busy.scrapes().await;
        // Counted a moment after it is committed.
        let rows = work.sum("tidewell_settled_rows_total");
        if rows == 3.0 { Ok((serve, work)) } else { Err(rows) }
    };
    let (serve, work) = eventually(Duration::from_secs(10), settled).await;
    for (series, value) in [
        (r#"tidewell_accepted_documents_total{operation="upsert"}"#, 3.0),
        (r#"tidewell_rejected_documents_total{code="missing_id"}"#, 2.0),
        ("tidewell_idempotent_replays_total", 1.0),
        ("tidewell_accept_duration_seconds_count", 1.0),
        (r#"tidewell_quota_units_total{kind="write"}"#, 3.0),
        (r#"tidewell_quota_units_total{kind="search"}"#, 1.0),
        (r#"tidewell_searches_total{mode="keyword",outcome="found"}"#, 1.0),
        ("tidewell_search_duration_seconds_count", 1.0),
        ("tidewell_search_engine_duration_seconds_count", 1.0),
        ("tidewell_dead_letters{", 1.0),
        ("tidewell_workers_alive", 1.0),
        // The scrape itself.
        ("tidewell_http_requests_in_flight", 1.0),
    ] {
        assert_eq!(serve.sum(series), value, "{series}:\n{}", serve.text);
    }
    for (series, value) in [
        (r#"tidewell_settled_rows_total{outcome="projected"}"#, 2.0),
        (r#"tidewell_settled_rows_total{outcome="dead"}"#, 1.0),
        (r#"tidewell_failed_rows_total{code="document_refused",fate="dead"}"#, 1.0),
        ("tidewell_freshness_seconds_count", 2.0),
        (r#"tidewell_lane_turns_total{outcome="lost"}"#, 0.0),
    ] {
        assert_eq!(work.sum(series), value, "{series}:\n{}", work.text);
    }
    let lines = |outcome: &str| {
        let of = work.text.lines().filter(|line| line.starts_with("tidewell_import_lines_total"));
        let of = of.filter(|line| line.contains(&format!(r#"outcome="{outcome}""#)));
        of.map(|line| line.rsplit_once(' ').expect("a value").1.parse::<f64>().expect("a number")).sum::<f64>()
    };
    assert_eq!((lines("imported"), lines("refused")), (2.0, 1.0));
    assert!(work.sum("tidewell_import_bytes_total") > 0.0);
    assert!(work.sum("process_resident_memory_bytes") > 0.0);
}

#[tokio::test]
async fn a_scrape_holds_what_the_catalogue_says_and_promtool_finds_no_fault_in_it() {
    let busy = Busy::start().await;
    let catalogue = catalogue();
    for scrape in busy.scrapes().await {
        for (name, kind) in scrape.types.iter().filter(|(name, _)| !name.starts_with("process_")) {
            let metric = catalogue.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
            assert_eq!(kind, kind_of(metric), "{name}");
        }
        for (name, labels) in scrape.series().filter(|(name, _)| !name.starts_with("process_")) {
            let declared: BTreeSet<_> = catalogue[name].labels.iter().map(|(label, _)| *label).collect();
            assert_eq!(labels.into_iter().collect::<BTreeSet<_>>(), declared, "{name}");
        }
        for metric in RECORDED.iter().flat_map(|group| group.metrics) {
            assert!(scrape.types.contains_key(metric.name), "{} is missing", metric.name);
        }
        promtool(&["check", "metrics"], &scrape.text);
    }
}

#[tokio::test]
async fn alerts_and_dashboard_name_only_metrics_that_there_are() {
    let busy = Busy::start().await;
    let [serve, work] = busy.scrapes().await;
    let scraped: BTreeSet<&str> = serve.types.keys().chain(work.types.keys()).map(String::as_str).collect();
    for text in [ALERTS, DASHBOARD] {
        // A rule's own name has colons.
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':'));
        let named =
            words.filter(|word| (word.starts_with("tidewell_") || word.starts_with("process_")) && !word.contains(':'));
        for name in named {
            assert!(scraped.contains(serve.metric_of(name)), "{name} is not in any scrape");
        }
    }
    for metric in catalogue().keys() {
        assert!(DASHBOARD.contains(metric), "{metric} is on no panel");
    }
}

#[test]
fn the_rules_do_what_their_tests_say_and_the_example_finds_them() {
    promtool(&["check", "rules", "prometheus/alerts.yml"], "");
    promtool(&["test", "rules", "prometheus/alerts_test.yml"], "");
    promtool(&["check", "config", "prometheus/prometheus.yml"], "");
}

#[test]
fn every_panel_can_be_evaluated() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<String> = targets
        .chain(dashboard["annotations"]["list"].as_array().expect("annotations"))
        .map(|target| {
            target["expr"].as_str().expect("an expression").replace("$__rate_interval", "5m").replace("$job", ".*")
        })
        .collect();
    assert!(expressions.len() > panels.len(), "{expressions:?}");
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(n, expr)| json!({ "record": format!("panel:{n}"), "expr": expr }))
        .collect();
    let rules = json!({ "groups": [{ "name": "panels", "rules": rules }] });
    let file = folder().join("panels.yml");
    std::fs::write(&file, rules.to_string()).expect("a file");
    promtool(&["check", "rules", file.to_str().expect("a path")], "");
}

#[test]
fn each_alert_is_explained_in_the_runbook_and_tested() {
    const TESTS: &str = include_str!("../ops/prometheus/alerts_test.yml");
    let alerts: BTreeMap<&str, &str> =
        ALERTS.split("- alert: ").skip(1).map(|rule| rule.split_once('\n').expect("more than a name")).collect();
    for (alert, rule) in &alerts {
        let rule = rule.split("- record: ").next().expect("a rule");
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(rule.contains(part), "{alert} has no {part}");
        }
        let anchor = format!("runbook_url: ops/runbook.md#{}\n", alert.to_lowercase());
        assert!(format!("{rule}\n").contains(&anchor), "{alert} does not lead to its section");
        assert!(TESTS.contains(alert), "{alert} has no test");
    }
    let sections: BTreeSet<&str> = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## Tidewell")).collect();
    let names: BTreeSet<&str> = alerts.keys().map(|alert| alert.strip_prefix("Tidewell").expect("its name")).collect();
    assert_eq!(sections, names);
    for section in RUNBOOK.split("\n## Tidewell").skip(1) {
        for part in ["**Means.**", "**See", "**Do.**", "**Leave it**"] {
            assert!(section.contains(part) || section.contains("**See, do.**"), "{part} is missing of {section}");
        }
    }
}

#[test]
fn every_command_of_the_runbook_is_there() {
    let quoted = RUNBOOK.split('`').filter_map(|text| text.strip_prefix("tidewell "));
    let commands: BTreeSet<&str> =
        quoted.chain(RUNBOOK.lines().filter_map(|line| line.strip_prefix("tidewell "))).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split([' ', '#']).take_while(|word| !word.is_empty()).collect();
        let is_name =
            |word: &&&str| word.bytes().all(|c| c.is_ascii_lowercase() || c == b'-') && !word.starts_with("--");
        let names: Vec<&str> = words.iter().take_while(is_name).copied().chain(["--help"]).collect();
        let help = process::run(&names, &[]);
        assert!(help.status.success(), "{command}: {}", String::from_utf8_lossy(&help.stderr));
        let help = String::from_utf8(help.stdout).expect("UTF-8");
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "{command}: there is no {flag}");
        }
    }
}

#[test]
fn the_page_of_metrics_is_the_catalogue() {
    let made = page();
    let file = folder().join("metrics.md");
    std::fs::write(&file, &made).expect("a file");
    assert_eq!(PAGE, made, "ops/metrics.md is not what the catalogue says: cp {} ops/metrics.md", file.display());
}

#[tokio::test]
async fn a_worker_is_ready_once_it_works_and_lives_when_it_is_not() {
    let setting = Setting::fresh().await.with("TIDEWELL_WORK_LISTEN", "127.0.0.1:0");
    setting.migrate();
    let (worker, process) = watched_worker(&setting);
    let ready = || async {
        let answer = worker.get("/readyz").await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
    };
    let ready = eventually(Duration::from_secs(10), ready).await;
    assert_eq!(ready, json!({ "status": "ready", "database": "ok", "worker": "ok" }));
    // A worker that falls silent is noticed after 30 s; a migration that is missing, at once.
    let pool = setting.pool().await;
    sqlx::query("delete from _sqlx_migrations where version = 10").execute(&pool).await.expect("a migration less");
    let answer = worker.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body["detail"], "1 migrations are missing: run `tidewell migrate`");
    assert_eq!(worker.get("/healthz").await.expect(200), json!({ "status": "alive" }));
    process.stop();
}

#[tokio::test]
async fn every_line_of_a_request_tells_its_id() {
    let stack =
        Stack::without_worker(Setting::fresh().await.with("TIDEWELL_LOG", "info,tidewell=debug,sqlx=warn")).await;
    let tenant = stack.tenant("told").await;
    let write = tenant.client.request(reqwest::Method::PUT, "/v1/indexes/books/documents");
    let write = write.header("x-request-id", "my-request").json(&json!({ "id": "1", "title": "one" }));
    let job = tenant.client.send(write).await.expect(202);
    let heard = || async {
        let log = stack.front.process.log();
        let lines: Vec<Value> = log
            .lines()
            .filter(|line| line.contains("my-request"))
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let said = |message: &str| lines.iter().find(|line| line["message"] == message).cloned();
        match (said("accepted"), said("answered")) {
            (Some(accepted), Some(answered)) => Ok((accepted, answered)),
            _ => Err(log),
        }
    };
    let (accepted, answered) = eventually(Duration::from_secs(5), heard).await;
    assert_eq!((&accepted["job_id"], &accepted["accepted"]), (&job["jobId"], &json!(1)));
    assert_eq!((&answered["route"], &answered["status"]), (&json!("/v1/indexes/{index}/documents"), &json!(202)));
    for line in [accepted, answered] {
        let request = line["spans"].as_array().expect("spans").iter().find(|span| span["name"] == "request");
        let request = request.expect("within the request");
        assert_eq!((&request["request_id"], &request["method"]), (&json!("my-request"), &json!("PUT")));
        assert!(["timestamp", "level", "target"].iter().all(|field| line[field].is_string()), "{line:#}");
    }
}

fn page() -> String {
    let mut page = "# Metrics\n\nWhat `/metrics` tells, of `serve` and `dev` on the API's port and of `work` where `TIDEWELL_WORK_LISTEN` says. This page is made from \
         `src/metrics/catalogue.rs`, and a test keeps it so.\n\nEvery process gives all that it counts by itself; the numbers of the whole are told by each `serve`, and are to be taken once \
         (`max by (…)`). A label without values here has as many as there are things of that name; none has one for each document, key or \
         request. `process_*` are the usual ones of the process: processors, memory, files, threads, start.\n\n\
         `tidewell_freshness_seconds` is what is promised: 99 of 100 documents are in Typesense 5 seconds after their `202`. It is judged by \
         the database's clock alone. A redriven dead letter counts with its whole age; repairs, which belong to no request, do not count.\n"
        .to_owned();
    for group in RECORDED.iter().chain(TOLD) {
        page += &format!("\n## {}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n", group.title);
        for metric in group.metrics {
            let labels = metric.labels.iter().map(|(label, values)| match values {
                [] => format!("`{label}`"),
                values => format!("`{label}`: {}", values.join(", ")),
            });
            let labels = labels.collect::<Vec<_>>().join("; ");
            page += &format!("| `{}` | {} | {labels} | {} |\n", metric.name, kind_of(metric), metric.help);
        }
    }
    page
}

fn kind_of(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("monitoring");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Runs promtool in `ops/`, which must find nothing to complain of.
fn promtool(arguments: &[&str], stdin: &str) {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops");
    let mut command = Command::new(ops.join("promtool"));
    command.args(arguments).current_dir(&ops).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("ops/promtool runs");
    // One that does not read it may have ended.
    let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}
