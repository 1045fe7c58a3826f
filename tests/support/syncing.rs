//! A Tidewell with a source database of its own, a backend, and jobs between them.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgPool};

use super::{
    client::Answer,
    eventually,
    servers::servers,
    stack::{Setting, Stack},
};

pub struct Syncing {
    pub stack: Stack,
    /// Another database than Tidewell's own.
    pub source: PgPool,
    pub source_url: String,
    pub profile_id: Value,
}

impl Syncing {
    pub async fn start() -> Self {
        Self::of(Setting::fresh().await).await
    }

    /// With settings of its own, over those that allow a backend on this machine.
    pub async fn of(setting: Setting) -> Self {
        let url = setting.typesense_url.clone();
        let mut syncing = Self::without_worker(setting, &url).await;
        syncing.stack.worker = Some(syncing.stack.setting.work());
        syncing
    }

    /// With a backend at this address, such as a proxy's.
    pub async fn without_worker(setting: Setting, typesense_url: &str) -> Self {
        let source_url = servers().await.fresh_database().await;
        let key = setting.typesense_api_key.clone();
        let setting =
            setting.with("ATHENA_TYPESENSE_ALLOW_HTTP", true).with("ATHENA_TYPESENSE_SYNC_WORKER_POLL_MS", 1000);
        let stack = Stack::without_worker(setting).await;
        let client = json!({ "name": "shop", "url": source_url });
        stack.operator().post("/v1/clients", &client).await.expect(201);
        let backend = json!({ "name": "search", "base_url": typesense_url, "api_key": key });
        let profile = stack.operator().post("/typesense/backends", &backend).await.expect(201);
        let source = PgPool::connect(&source_url).await.expect("the source");
        Self { stack, source, source_url, profile_id: profile["data"]["id"].clone() }
    }

    /// Runs statements on the source.
    pub async fn sql(&self, statements: &str) {
        self.source.execute(AssertSqlSafe(statements.to_owned())).await.expect("statements");
    }

    /// A job's description: of the table `books` by its `id` unless `more` says otherwise, into a collection of a name that is free.
    pub fn spec(&self, more: Value) -> Value {
        let mut spec = json!({
            "name": "books", "source_client_name": "shop", "source_table_name": "books",
            "typesense_profile_id": self.profile_id, "document_id_column": "id",
            "collection_name": format!("books_{}", uuid::Uuid::new_v4().simple()),
        });
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        spec
    }

    /// A new job.
    pub async fn job(&self, more: Value) -> Value {
        let made = self.stack.operator().post("/typesense/sync-jobs", &self.spec(more)).await.expect(201);
        made["data"].clone()
    }

    pub async fn call(&self, method: Method, job: &Value, path: &str) -> Answer {
        let id = job["id"].as_str().expect("a job");
        let operator = self.stack.operator();
        operator.send(operator.request(method, &format!("/typesense/sync-jobs/{id}{path}"))).await
    }

    /// The job as it is now.
    pub async fn again(&self, job: &Value) -> Value {
        self.call(Method::GET, job, "").await.expect(200)["data"].clone()
    }

    /// A run, at its end.
    pub async fn run(&self, job: &Value) -> Value {
        self.call(Method::POST, job, "/run?wait=true").await.expect(200)["data"].clone()
    }

    /// Asks for a run, and gives its id at once.
    pub async fn begin(&self, job: &Value) -> String {
        let queued = self.call(Method::POST, job, "/run").await.expect(202);
        queued["data"]["run_id"].as_str().expect("a run").to_owned()
    }

    /// A run as it is now.
    pub async fn look(&self, job: &Value, run: &str) -> Value {
        self.call(Method::GET, job, &format!("/runs/{run}")).await.expect(200)["data"].clone()
    }

    /// A run, once it is as wanted.
    pub async fn until(&self, job: &Value, run: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(Duration::from_secs(60), || async {
            let run = self.look(job, run).await;
            if is_so(&run) { Ok(run) } else { Err(run) }
        })
        .await
    }

    /// A run, at its end.
    pub async fn ended(&self, job: &Value, run: &str) -> Value {
        self.until(job, run, |run| !run["finished_at"].is_null()).await
    }

    /// A run that has settled so many rows.
    pub async fn read(&self, job: &Value, run: &str, rows: i64) -> i64 {
        let run = self.until(job, run, |run| run["source_row_count"].as_i64() >= Some(rows)).await;
        assert!(run["finished_at"].is_null(), "too quick for this test: {run:#}");
        run["source_row_count"].as_i64().expect("a count")
    }

    /// All runs of a job, newest first.
    pub async fn runs(&self, job: &Value) -> Vec<Value> {
        let runs = self.call(Method::GET, job, "/runs?limit=100").await.expect(200);
        runs["data"]["items"].as_array().expect("runs").clone()
    }

    pub async fn change(&self, job: &Value, changes: Value) -> Answer {
        let operator = self.stack.operator();
        let id = job["id"].as_str().expect("a job");
        operator.patch(&format!("/typesense/sync-jobs/{id}"), &changes).await
    }

    /// How long a call of the job's backend may take.
    pub async fn set_timeout(&self, millis: u32) {
        let id = self.profile_id.as_str().expect("a backend");
        let path = format!("/typesense/backends/{id}");
        self.stack.operator().patch(&path, &json!({ "timeout_ms": millis })).await.expect(200);
    }

    /// The job's rows that Typesense does not take: id and reason.
    pub async fn letters(&self, job: &Value) -> Vec<(String, String)> {
        let id = uuid::Uuid::try_parse(job["id"].as_str().expect("a job")).expect("a UUID");
        let letters = sqlx::query_as(
            "select document_id, error_message from tidewell.dead_letters where sync_job_id = $1 order by document_id",
        );
        letters.bind(id).fetch_all(&self.stack.setting.pool().await).await.expect("letters")
    }

    /// Waits until no statement of a sync is under way on the source: nothing there is held open by one that waits.
    pub async fn source_rests(&self) {
        eventually(Duration::from_secs(5), || async {
            let open: Vec<(String, String)> = sqlx::query_as(
                "select state, query from pg_stat_activity
                 where datname = current_database() and application_name = 'tidewell sync' and xact_start is not null",
            )
            .fetch_all(&self.source)
            .await
            .expect("sessions");
            if open.is_empty() { Ok(()) } else { Err(open) }
        })
        .await;
    }

    /// Speaks to Typesense itself.
    pub async fn typesense(&self, method: Method, path: &str, body: &str) -> Answer {
        let url = format!("{}{path}", self.stack.setting.typesense_url);
        let call = self.stack.operator().http.request(method, url);
        let call = call.header("x-typesense-api-key", &self.stack.setting.typesense_api_key).body(body.to_owned());
        self.stack.operator().send(call).await
    }

    /// The collection behind an alias.
    pub async fn behind(&self, job: &Value) -> String {
        let name = job["collection_name"].as_str().expect("a name");
        let alias = self.typesense(Method::GET, &format!("/aliases/{name}"), "").await.expect(200);
        alias["collection_name"].as_str().expect("a collection").to_owned()
    }

    /// A run that ends well: what it imported, deleted, and could not.
    #[track_caller]
    pub fn counts(run: &Value) -> (i64, i64, i64) {
        assert_eq!(run["status"], "success", "{run:#}");
        let count = |name: &str| run[name].as_i64().expect("a count");
        (count("imported_count"), count("deleted_count"), count("failed_count"))
    }

    /// What the collection of that name, or behind that alias, holds.
    pub async fn held(&self, collection: &Value) -> BTreeMap<String, Value> {
        let (url, name) = (&self.stack.setting.typesense_url, collection.as_str().expect("a name"));
        let export = self.stack.operator().http.get(format!("{url}/collections/{name}/documents/export"));
        let export = export.header("x-typesense-api-key", &self.stack.setting.typesense_api_key).send().await;
        let export = export.expect("an answer");
        if export.status() == 404 {
            return BTreeMap::new();
        }
        let lines = export.error_for_status().expect("an export").text().await.expect("lines");
        let documents = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a document"));
        documents.map(|document| (document["id"].as_str().expect("an id").to_owned(), document)).collect()
    }

    /// What a statement gives, as documents: a field for each column that is not null.
    pub async fn rows(&self, select: &str) -> BTreeMap<String, Value> {
        let select = AssertSqlSafe(format!("select jsonb_strip_nulls(to_jsonb(row)) from ({select}) as row"));
        let rows: Vec<Value> = sqlx::query_scalar(select).fetch_all(&self.source).await.expect("rows");
        rows.into_iter().map(|row| (row["id"].as_str().expect("an id").to_owned(), row)).collect()
    }

    /// Compares the collection with what a statement gives.
    pub async fn equals(&self, job: &Value, select: &str) {
        let (held, rows) = (self.held(&job["collection_name"]).await, self.rows(select).await);
        let missing: Vec<_> = rows.keys().filter(|id| !held.contains_key(*id)).take(5).collect();
        let extra: Vec<_> = held.keys().filter(|id| !rows.contains_key(*id)).take(5).collect();
        let differs = |(id, row): &(&String, &Value)| held.get(*id).is_some_and(|held| !is_same(held, row));
        let different: Vec<_> = rows.iter().filter(differs).map(|(id, row)| (row, &held[id])).take(5).collect();
        assert!(
            missing.is_empty() && extra.is_empty() && different.is_empty(),
            "of {} rows: missing {missing:?}, extra {extra:?}, different {different:?}",
            rows.len()
        );
    }
}

/// Whether two documents say the same; 1 and 1.0 do.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}
