//! An older backup of the control database is put back: Typesense has gone on meanwhile, and becomes what the backup says.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::{
    dev::{Server, default_cache, ensure},
    typesense::{Client, NewCollection},
};

use crate::support::{
    eventually,
    oracle::{Oracle, held, unsettled},
    process,
    servers::servers,
    stack::{Setting, Stack, Tenant},
    syncing::Syncing,
};

const BATCH: &str = "/v1/indexes/books/documents:batch";
const REINDEX: &str = "/v1/indexes/books:reindex";

/// Runs a program of the pinned PostgreSQL.
async fn postgres(program: &str, arguments: &[&str]) {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cache = std::env::var_os("TIDEWELL_CACHE").map_or_else(|| default_cache(home.as_deref()), PathBuf::from);
    let program = ensure(&cache, &[Server::Postgres]).await.expect("installed").postgres(program);
    let output = Command::new(program).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A backup of a control database, as `ops/backup.md` makes it.
struct Backup(PathBuf);

impl Backup {
    async fn of(setting: &Setting) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.dump", uuid::Uuid::new_v4().simple()));
        let path = file.to_str().expect("a path");
        postgres("pg_dump", &["--format=custom", "--file", path, &setting.database_url]).await;
        Self(file)
    }

    /// The same deployment on a database that this was put back into.
    async fn restored(&self, setting: &Setting) -> Setting {
        let database_url = servers().await.fresh_database().await;
        let path = self.0.to_str().expect("a path");
        postgres("pg_restore", &["--no-owner", "--exit-on-error", "--dbname", &database_url, path]).await;
        Setting { database_url, ..setting.clone() }
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// `tidewell restored`, with what it printed.
fn restored(setting: &Setting, repair: bool) -> (bool, Value, String) {
    let arguments: &[&str] = if repair { &["--json", "restored", "--repair"] } else { &["--json", "restored"] };
    let output = process::run(arguments, &setting.variables());
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.success(), report, String::from_utf8(output.stderr).expect("text"))
}

fn counts(report: &Value, name: &str) -> [u64; 3] {
    let compared = report["compared"].as_array().expect("a list");
    let compared = compared.iter().find(|compared| compared["name"] == name).expect("it was compared");
    assert_eq!(compared["error"], Value::Null, "{compared:#}");
    ["missing", "extra", "different"].map(|kind| compared[kind].as_u64().expect("a count"))
}

async fn write(tenant: &Tenant, documents: &[Value]) {
    let job = tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
    assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
}

async fn settled(setting: &Setting) -> PgPool {
    let pool = setting.pool().await;
    eventually(Duration::from_secs(60), || unsettled(&pool)).await;
    pool
}

fn book(id: usize, title: &str) -> Value {
    json!({ "id": id.to_string(), "title": title })
}

async fn reindexed(tenant: &Tenant) -> Value {
    let fields = json!([{ "name": "title", "type": "string", "sort": true }]);
    let job = tenant.client.post(REINDEX, &json!({ "fields": fields })).await.expect(202);
    tenant.client.ended(&job).await
}

#[tokio::test]
async fn an_index_becomes_what_the_backup_says_whatever_was_projected_after_it() {
    let Stack { setting, front, worker } = Stack::start().await;
    let tenant = Tenant::make(&front.operator, "older", json!({})).await;
    let before: Vec<Value> = (0..50).map(|id| book(id, "before")).collect();
    write(&tenant, &before).await;
    settled(&setting).await.close().await;
    let backup = Backup::of(&setting).await;

    // What the backup does not know: changes, deletes, new documents, another version of the index.
    write(&tenant, &(0..10).chain(50..60).map(|id| book(id, "after")).collect::<Vec<_>>()).await;
    let deleted = tenant.client.delete("/v1/indexes/books/documents/20").await.expect(202);
    tenant.client.ended(&deleted).await;
    assert_eq!(reindexed(&tenant).await["status"], "succeeded");
    write(&tenant, &[book(30, "after the reindex")]).await;
    let setting_after = backup.restored(&setting).await;
    let (ok, _, told) = restored(&setting, true);
    assert!(!ok && told.contains("workers are running"), "{told}");
    worker.expect("a worker").stop();
    drop(front);

    let (alias, mut oracle) = (tenant.alias().to_owned(), Oracle::default());
    // A stranger's, whatever it is called.
    let typesense = Client::new(&setting.typesense_url, &setting.typesense_api_key).expect("a client");
    let (name, fields) = (&*format!("{alias}_v9"), vec![json!({ "name": "title", "type": "string" })]);
    let strangers = NewCollection { name, fields, default_sorting_field: None, enable_nested_fields: false };
    assert!(typesense.create_collection(&strangers).await.expect("an answer"));
    before.iter().for_each(|document| oracle.upsert(document));
    let (ok, report, told) = restored(&setting_after, false);
    assert!(!ok && told.contains("--repair"), "{told}");
    assert_eq!(report["leftovers"], json!([format!("{alias}_v2")]));
    assert_eq!(counts(&report, &alias), [1, 10, 10], "{report:#}");

    let (ok, report, told) = restored(&setting_after, true);
    assert!(ok, "{report:#}{told}");
    assert!(typesense.collection(name).await.expect("an answer").is_some(), "a stranger's was taken");
    let stack = Stack { front: setting_after.serve(), worker: Some(setting_after.work()), setting: setting_after };
    let pool = settled(&stack.setting).await;
    // The alias is moved back by the workers.
    eventually(Duration::from_secs(30), || async {
        let held = held(&stack.setting, &alias).await;
        if held == oracle.0 { Ok(()) } else { Err(held.len()) }
    })
    .await;
    let (drawn,): (i64,) =
        sqlx::query_as("select last_value from tidewell.versions").fetch_one(&pool).await.expect("a number");
    assert!(drawn > 1 << 32, "versions of after the backup are not given again: {drawn}");

    // And all goes on from there, the number of the version that was left over included.
    let client = tenant.client.at(&stack.operator().base);
    let tenant = Tenant { client, ..tenant };
    assert_eq!(reindexed(&tenant).await["status"], "succeeded");
    write(&tenant, &[book(20, "anew"), book(50, "anew")]).await;
    settled(&stack.setting).await;
    [20, 50].into_iter().for_each(|id| oracle.upsert(&book(id, "anew")));
    oracle.equals(&stack.setting, &alias).await;
}

#[tokio::test]
async fn what_was_under_way_when_the_backup_was_made_is_done_once_more() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("under-way").await;
    tenant.client.post(BATCH, &json!({ "documents": [book(1, "accepted")] })).await.expect(202);
    let pool = stack.setting.pool().await;
    let index_id = uuid::Uuid::try_parse(tenant.index["id"].as_str().expect("an id")).expect("a UUID");
    // A request that was about to be answered: its document has been projected meanwhile, at a version to come.
    sqlx::query(
        "insert into tidewell.flights (id, index_id, collection, document_ids, versions, worker, deadline, doubted_until, next_read_at)
         values (gen_random_uuid(), $1, $2, array['1', '2'], array[1, 2], 'lost', now(), now() + interval '1 hour', now())",
    )
    .bind(index_id)
    .bind(format!("{}_v1", tenant.alias()))
    .execute(&pool)
    .await
    .expect("a flight");
    let backup = Backup::of(&stack.setting).await;
    let worker = stack.setting.work();
    write(&tenant, &[book(1, "later"), book(2, "later")]).await;
    worker.stop();

    let setting = backup.restored(&stack.setting).await;
    assert!(restored(&setting, true).0);
    let _worker = setting.work();
    settled(&setting).await;
    let mut oracle = Oracle::default();
    oracle.upsert(&book(1, "accepted"));
    oracle.equals(&setting, tenant.alias()).await;
}

#[tokio::test]
async fn a_synced_collection_becomes_what_its_table_is_now() {
    let mut syncing = Syncing::start().await;
    syncing.sql("create table books (id int primary key, title text); insert into books select n, 'before' from generate_series(1, 30) n").await;
    let job = syncing.job(json!({})).await;
    assert_eq!(syncing.run(&job).await["status"], "success");
    let backup = Backup::of(&syncing.stack.setting).await;

    syncing.sql("update books set title = 'between' where id <= 5; insert into books select n, 'between' from generate_series(31, 40) n").await;
    assert_eq!(syncing.run(&job).await["status"], "success");
    syncing.stack.worker.take().expect("a worker").stop();
    // While nobody looks: rows become what they were when the backup was made, and new ones go.
    syncing.sql("update books set title = 'before' where id <= 5; delete from books where id > 35").await;

    let setting = backup.restored(&syncing.stack.setting).await;
    let (ok, report, told) = restored(&setting, false);
    assert!(!ok && told.contains("--repair"), "{told}");
    assert_eq!(counts(&report, "books"), [0, 5, 5], "{report:#}");
    assert!(restored(&setting, true).0);
    let _worker = setting.work();
    let (pool, expected) = (setting.pool().await, 35);
    let name = job["collection_name"].as_str().expect("a name");
    eventually(Duration::from_secs(60), || async {
        let active = "select count(*) from public.typesense_sync_runs where finished_at is null";
        let (active,): (i64,) = sqlx::query_as(active).fetch_one(&pool).await.expect("a count");
        let (well, report, _) = verified(&setting);
        if active == 0 && well { Ok(()) } else { Err(report) }
    })
    .await;
    let url = format!("{}/collections/{name}", setting.typesense_url);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer =
        http.get(url).header("x-typesense-api-key", &setting.typesense_api_key).send().await.expect("an answer");
    let collection: Value = answer.json().await.expect("JSON");
    assert_eq!(collection["num_documents"], expected);
}

/// Whether the job's collection holds what its table does.
fn verified(setting: &Setting) -> (bool, String, String) {
    let output = process::run(&["--json", "sync", "verify", "books"], &setting.variables());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.success(), text(output.stdout), text(output.stderr))
}
