//! Another version of an index takes the live one's place: without a pause for who searches, without a loss for who writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::support::{
    eventually,
    flow::Flow,
    oracle::{Oracle, held, unsettled},
    process::Process,
    proxy::{Fault, Held, Proxy},
    stack::{Setting, Stack, Tenant},
};

const BATCH: &str = "/v1/indexes/books/documents:batch";
const REINDEX: &str = "/v1/indexes/books:reindex";
const ROLLBACK: &str = "/v1/indexes/books:rollback";
const SEARCH: &str = "/v1/indexes/books/search";

/// The index's fields, with another type for `year`.
fn with_year(kind: &str) -> Value {
    json!([
        { "name": "title", "type": "string" },
        { "name": "genre", "type": "string", "facet": true, "optional": true },
        { "name": "year", "type": kind, "optional": true },
    ])
}

/// Asks for something, waits for its end, and gives the job.
async fn done(tenant: &Tenant, path: &str, body: Value) -> Value {
    let job = tenant.client.post(path, &body).await.expect(202);
    tenant.client.ended(&job).await
}

/// Versions of the index as `(number, state)`, newest first.
async fn versions(tenant: &Tenant) -> Vec<(u64, String)> {
    let versions = tenant.client.get("/v1/indexes/books/versions").await.expect(200);
    let versions = versions["items"].as_array().expect("a list").clone();
    let state = |version: &Value| version["state"].as_str().expect("a state").to_owned();
    versions.iter().map(|version| (version["number"].as_u64().expect("a number"), state(version))).collect()
}

/// Collections of an index that there are, by Typesense's own list.
async fn collections(setting: &Setting, tenant: &Tenant) -> Vec<String> {
    let prefix = format!("{}_v", tenant.alias());
    let found = typesense(setting, reqwest::Method::GET, "/collections", Value::Null).await;
    let names =
        found.as_array().expect("a list").iter().map(|found| found["name"].as_str().expect("a name").to_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
    names.sort();
    names
}

/// The collection that the index's alias points at.
async fn live_collection(setting: &Setting, tenant: &Tenant) -> String {
    let alias = typesense(setting, reqwest::Method::GET, &format!("/aliases/{}", tenant.alias()), Value::Null).await;
    alias["collection_name"].as_str().expect("a name").to_owned()
}

async fn typesense(setting: &Setting, method: reqwest::Method, path: &str, body: Value) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut call = http.request(method, format!("{}{path}", setting.typesense_url));
    if !body.is_null() {
        call = call.json(&body);
    }
    let answer = call.header("x-typesense-api-key", &setting.typesense_api_key).send().await.expect("an answer");
    answer.error_for_status().expect("a success").json().await.expect("json")
}

/// Writes that flow at full speed beside a test, until they are told to stop.
struct Flowing {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    flow: JoinHandle<Flow>,
}

impl Flowing {
    fn start(tenant: &Tenant, mut flow: Flow) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = tenant.client.clone();
        let flow = tokio::spawn({
            let (stop, written) = (stop.clone(), written.clone());
            async move {
                while !stop.load(Ordering::Relaxed) {
                    flow.write(&client).await;
                    written.store(flow.written, Ordering::Relaxed);
                }
                flow
            }
        });
        Self { stop, written, flow }
    }

    /// Waits until so many more have been written.
    async fn goes_on(&self, more: usize) {
        let until = self.written.load(Ordering::Relaxed) + more;
        eventually(Duration::from_secs(60), || async {
            let written = self.written.load(Ordering::Relaxed);
            if written >= until { Ok(()) } else { Err(written) }
        })
        .await;
    }

    async fn stop(self) -> Flow {
        self.stop.store(true, Ordering::Relaxed);
        self.flow.await.expect("the flow")
    }
}

/// Searches again and again for a document that is always there; gives how often it was found.
fn searching(tenant: &Tenant, stop: &Arc<AtomicBool>) -> JoinHandle<usize> {
    let (client, stop) = (tenant.client.clone(), stop.clone());
    tokio::spawn(async move {
        let mut found = 0;
        while !stop.load(Ordering::Relaxed) {
            let answer = client.post(SEARCH, &json!({ "q": "always" })).await.expect(200);
            assert_eq!(answer["found"], 1, "searches went without after {found}: {answer:#}");
            found += 1;
        }
        found
    })
}

async fn fill(tenant: &Tenant, documents: impl Iterator<Item = Value>) {
    let documents: Vec<Value> = documents.collect();
    for part in documents.chunks(1000) {
        tenant.client.post(BATCH, &json!({ "documents": part })).await.expect(202);
    }
}

async fn settled(pool: &PgPool) {
    eventually(Duration::from_secs(120), || unsettled(pool)).await;
}

#[tokio::test]
async fn writes_and_searches_flow_on_while_versions_are_swapped_and_swapped_back() {
    let stack = Stack::of(Setting::fresh().await.with("TIDEWELL_LEASE_SECONDS", 30)).await;
    let _second = stack.setting.work();
    let tenant = stack.tenant("swapped").await;
    let pool = stack.setting.pool().await;
    let mut flow = Flow::new(11, 3000);
    let always = json!({ "id": "always", "title": "always here" });
    fill(&tenant, std::iter::once(always.clone())).await;
    flow.oracle.upsert(&always);
    while flow.written < 4000 {
        flow.write(&tenant.client).await;
    }
    settled(&pool).await;
    let stop = Arc::new(AtomicBool::new(false));
    let searches = searching(&tenant, &stop);
    let flowing = Flowing::start(&tenant, flow);

    let job = done(&tenant, REINDEX, json!({ "fields": with_year("string") })).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(live_collection(&stack.setting, &tenant).await, format!("{}_v2", tenant.alias()));
    flowing.goes_on(500).await;
    let job = done(&tenant, ROLLBACK, json!({})).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(live_collection(&stack.setting, &tenant).await, format!("{}_v1", tenant.alias()));
    flowing.goes_on(500).await;
    let job = done(&tenant, ROLLBACK, json!({ "version": 2 })).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    flowing.goes_on(500).await;
    let job = done(&tenant, REINDEX, json!({})).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");

    let flow = flowing.stop().await;
    stop.store(true, Ordering::Relaxed);
    assert!(searches.await.expect("the searches") > 20);
    flow.settles(&stack.setting, &tenant, &pool).await;
    let states = [(3, "live"), (2, "retired"), (1, "retired")].map(|(number, state)| (number, state.to_owned()));
    assert_eq!(versions(&tenant).await, states);
}

#[tokio::test]
async fn a_reindex_whose_workers_are_killed_goes_on_where_it_stood_and_loses_nothing() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_IMPORT_LINES", 100)).await;
    let tenant = stack.tenant("resumed").await;
    let pool = stack.setting.pool().await;
    let mut worker = stack.setting.work();
    let mut flow = Flow::new(12, 6000);
    let document = |n: usize| json!({ "id": n.to_string(), "title": format!("seed {n}") });
    fill(&tenant, (0..6000).map(document)).await;
    (0..6000).for_each(|n| flow.oracle.upsert(&document(n)));
    flow.written = 6000;
    settled(&pool).await;
    let job = tenant.client.post(REINDEX, &json!({ "rebuild": true })).await.expect(202);
    let id: uuid::Uuid = job["jobId"].as_str().expect("an id").parse().expect("a uuid");
    for kill in 1..=3 {
        let at_least = kill * 1200;
        eventually(Duration::from_secs(60), || async {
            let done: i64 = sqlx::query_scalar("select done from tidewell.reindexes where id = $1")
                .bind(id)
                .fetch_one(&pool)
                .await
                .expect("a count");
            if done >= at_least { Ok(()) } else { Err(done) }
        })
        .await;
        worker.kill();
        flow.write(&tenant.client).await;
        worker = stack.setting.work();
    }
    let job = tenant.client.ended(&job).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    let copied: i64 = sqlx::query_scalar("select done from tidewell.reindexes where id = $1")
        .bind(id)
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert!(copied < 6000 + 3000, "{copied} documents were written: it began anew");
    flow.settles(&stack.setting, &tenant, &pool).await;
    drop(worker);
}

/// An index of two books that is reindexed; its new version's first import is held back.
struct HeldCopy {
    stack: Stack,
    tenant: Tenant,
    pool: PgPool,
    /// Sent it.
    worker: Option<Process>,
    job: Value,
    late: Held,
    _proxy: Proxy,
}

fn book(id: &str, title: &str) -> Value {
    json!({ "id": id, "title": title })
}

impl HeldCopy {
    async fn begin(mut setting: Setting, slug: &str) -> Self {
        let mut proxy = Proxy::before(&setting.typesense_url).await;
        let stack = Stack::without_worker(setting.clone()).await;
        let tenant = stack.tenant(slug).await;
        let pool = stack.setting.pool().await;
        setting.typesense_url = proxy.url.clone();
        let worker = Some(setting.work());
        fill(&tenant, [book("updated", "old"), book("deleted", "old")].into_iter()).await;
        settled(&pool).await;
        proxy.set(Fault::Hold);
        let job = tenant.client.post(REINDEX, &json!({ "rebuild": true })).await.expect(202);
        let late = proxy.held.recv().await.expect("an import");
        proxy.set(Fault::None);
        Self { stack, tenant, pool, worker, job, late, _proxy: proxy }
    }

    /// Waits until the version is there, and filled by others than the held import.
    async fn is_filled(&self) {
        eventually(Duration::from_secs(30), || async {
            let done = sqlx::query_scalar("select done from tidewell.reindexes").fetch_one(&self.pool);
            let done: i64 = done.await.expect("one");
            if done > 0 { Ok(()) } else { Err(done) }
        })
        .await;
    }

    /// Changes both books.
    async fn change(&self) {
        let client = &self.tenant.client;
        let write = client.put("/v1/indexes/books/documents", &book("updated", "new")).await.expect(202);
        client.ended(&write).await;
        let write = client.delete("/v1/indexes/books/documents/deleted").await.expect(202);
        client.ended(&write).await;
    }

    /// Lets the import land; of what it carried nothing may be seen once the version is live. Gives the worker.
    async fn lands_without_a_trace(self) -> Option<Process> {
        let Self { stack, tenant, worker, job, late, .. } = self;
        late.let_go().await;
        assert_eq!(tenant.client.ended(&job).await["status"], "succeeded");
        let mut oracle = Oracle::default();
        oracle.upsert(&book("updated", "new"));
        oracle.equals(&stack.setting, tenant.alias()).await;
        assert_eq!(live_collection(&stack.setting, &tenant).await, format!("{}_v2", tenant.alias()));
        worker
    }
}

#[tokio::test]
async fn an_import_of_a_killed_worker_that_lands_late_leaves_nothing_stale_in_the_new_version() {
    let mut copy = HeldCopy::begin(Setting::fresh().await, "late_version").await;
    copy.worker.take().expect("a worker").kill();
    copy.worker = Some(copy.stack.setting.work());
    copy.change().await;
    // Only then the lost request lands.
    copy.is_filled().await;
    copy.lands_without_a_trace().await;
}

#[tokio::test]
async fn an_import_that_was_given_up_and_lands_late_leaves_nothing_stale_in_the_new_version() {
    // So that it lands in time, however slow the machine is.
    let setting = Setting::fresh().await.with("TIDEWELL_DOUBT_SECONDS", 15);
    let copy = HeldCopy::begin(setting, "given_up").await;
    // The same worker tries again, and is answered.
    copy.is_filled().await;
    copy.change().await;
    let doubted = "select count(*) from tidewell.version_flights where doubted_until < 'infinity'";
    let doubted: i64 = sqlx::query_scalar(doubted).fetch_one(&copy.pool).await.expect("a count");
    assert!(doubted > 0, "it is waited for");
    let worker = copy.lands_without_a_trace().await.expect("a worker");
    assert_eq!(worker.logged("a reindex succeeded", "kind"), "Reindex");
}

#[tokio::test]
async fn documents_that_do_not_fit_stop_a_new_version_unless_they_are_allowed_and_are_dead_letters_then() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("refusing").await;
    let pool = stack.setting.pool().await;
    let old = |n: usize| json!({ "id": n.to_string(), "title": "kept", "year": 1900 + n });
    let odd = json!({ "id": "odd", "title": "odd", "genre": "prose" });
    fill(&tenant, (0..20).map(old).chain([odd.clone()])).await;
    settled(&pool).await;
    let fields = json!([
        { "name": "title", "type": "string" },
        { "name": "genre", "type": "int32", "optional": true },
    ]);
    let job = done(&tenant, REINDEX, json!({ "fields": fields })).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    assert!(job["errors"].to_string().contains("odd"), "{job:#}");
    assert_eq!(versions(&tenant).await[1], (1, "live".to_owned()));
    eventually(Duration::from_secs(20), || async {
        let found = collections(&stack.setting, &tenant).await;
        if found == [format!("{}_v1", tenant.alias())] { Ok(()) } else { Err(found) }
    })
    .await;
    let refusals = tenant.client.get("/v1/indexes/books/versions/2/refusals").await.expect(200);
    assert_eq!(refusals["items"][0]["documentId"], "odd");

    let job = done(&tenant, REINDEX, json!({ "fields": fields, "maxRefused": 1 })).await;
    assert_eq!((&job["status"], &job["counts"]["dead"]), (&json!("partial"), &json!(1)), "{job:#}");
    let letters = tenant.client.get("/v1/dead-letters").await.expect(200);
    let letter = &letters["items"][0];
    assert_eq!((&letter["documentId"], &letter["document"]), (&json!("odd"), &odd), "{letters:#}");
    let mended = json!({ "document": { "id": "odd", "title": "odd", "genre": 7 } });
    tenant
        .client
        .put(&format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id")), &mended)
        .await
        .expect(200);
    settled(&pool).await;
    let mut oracle = Oracle::default();
    (0..20).for_each(|n| oracle.upsert(&old(n)));
    oracle.upsert(&mended["document"]);
    oracle.equals(&stack.setting, tenant.alias()).await;
}

#[tokio::test]
async fn a_rollback_takes_along_what_was_written_since_and_tells_what_the_former_schema_refuses() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("back").await;
    let pool = stack.setting.pool().await;
    let book = |id: &str, year: Value| json!({ "id": id, "title": "a book", "year": year });
    fill(&tenant, [book("a", json!(1)), book("b", json!(2)), book("c", json!(3))].into_iter()).await;
    settled(&pool).await;
    // The new version does not care what a year is.
    let mut fields = with_year("int32");
    fields.as_array_mut().expect("a list").pop();
    let job = done(&tenant, REINDEX, json!({ "fields": fields })).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    fill(&tenant, [book("b", json!("MMXX")), book("d", json!(4))].into_iter()).await;
    let delete = tenant.client.delete("/v1/indexes/books/documents/c").await.expect(202);
    tenant.client.ended(&delete).await;
    settled(&pool).await;
    let job = done(&tenant, ROLLBACK, json!({})).await;
    assert_eq!((&job["status"], &job["counts"]["dead"]), (&json!("partial"), &json!(1)), "{job:#}");
    assert_eq!(job["errors"][0]["documentId"], "b", "{job:#}");
    let held = held(&stack.setting, tenant.alias()).await;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!(held["b"]["year"], 2, "its last state that fits");
    // Nothing is lost: with the newer schema it is there again.
    let job = done(&tenant, ROLLBACK, json!({ "version": 2 })).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    let mut oracle = Oracle::default();
    [book("a", json!(1)), book("b", json!("MMXX")), book("d", json!(4))].iter().for_each(|book| oracle.upsert(book));
    oracle.equals(&stack.setting, tenant.alias()).await;
}

#[tokio::test]
async fn an_optional_field_is_added_to_the_collection_that_is_there() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("in_place").await;
    let pool = stack.setting.pool().await;
    let book = |n: usize| json!({ "id": n.to_string(), "title": "a book", "shelf": format!("s{}", n % 2) });
    fill(&tenant, (0..10).map(book)).await;
    settled(&pool).await;
    let mut fields = with_year("int32");
    let shelf = json!({ "name": "shelf", "type": "string", "facet": true, "optional": true });
    fields.as_array_mut().expect("a list").push(shelf);
    let job = done(&tenant, REINDEX, json!({ "fields": fields })).await;
    assert_eq!((&job["status"], &job["reindex"]["kind"]), (&json!("succeeded"), &json!("in_place")), "{job:#}");
    assert_eq!(versions(&tenant).await, [(1, "live".to_owned())]);
    let found = tenant.client.post(SEARCH, &json!({ "q": "*", "filterBy": "shelf:=s1" })).await.expect(200);
    assert_eq!(found["found"], 5, "what was there before is found by the new field");
    let index = tenant.client.get("/v1/indexes/books").await.expect(200);
    assert_eq!(index["fields"], fields);

    // What does not fit changes nothing.
    let mut wrong = fields.clone();
    wrong.as_array_mut().expect("a list").push(json!({ "name": "title2", "type": "string", "optional": true }));
    fill(&tenant, [json!({ "id": "x", "title": "x", "title2": 5 })].into_iter()).await;
    settled(&pool).await;
    let job = done(&tenant, REINDEX, json!({ "fields": wrong })).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    let index = tenant.client.get("/v1/indexes/books").await.expect(200);
    assert_eq!(index["fields"], fields);

    // Nor does what is there as something else: whoever began it was told to stop too late.
    let found = json!({ "fields": [{ "name": "pages", "type": "int32", "optional": true }] });
    let path = format!("/collections/{}", live_collection(&stack.setting, &tenant).await);
    typesense(&stack.setting, reqwest::Method::PATCH, &path, found).await;
    fields.as_array_mut().expect("a list").push(json!({ "name": "pages", "type": "float", "optional": true }));
    let job = done(&tenant, REINDEX, json!({ "fields": fields })).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    assert!(job["errors"].to_string().contains("has a field pages already"), "{job:#}");
}

#[tokio::test]
async fn a_reindex_that_is_cancelled_leaves_the_live_version_as_it_is() {
    let setting = Setting::fresh().await;
    let mut proxy = Proxy::before(&setting.typesense_url).await;
    let direct = setting.clone();
    let stack = Stack::of(Setting { typesense_url: proxy.url.clone(), ..setting }).await;
    let tenant = stack.tenant("cancelled").await;
    let pool = stack.setting.pool().await;
    fill(&tenant, (0..50).map(|n| json!({ "id": n.to_string(), "title": "a book" }))).await;
    settled(&pool).await;
    proxy.set(Fault::Hold);
    let job = tenant.client.post(REINDEX, &json!({ "rebuild": true })).await.expect(202);
    let import = proxy.held.recv().await.expect("an import");
    tenant.client.post(REINDEX, &json!({})).await.problem(409, "already_running");
    tenant.client.post("/v1/indexes/books:cancelReindex", &json!({})).await.expect(202);
    let job = tenant.client.ended(&job).await;
    assert_eq!((&job["status"], &job["reindex"]["status"]), (&json!("failed"), &json!("cancelled")), "{job:#}");
    import.let_go().await;
    proxy.set(Fault::None);
    eventually(Duration::from_secs(90), || async {
        let found = collections(&direct, &tenant).await;
        if found == [format!("{}_v1", tenant.alias())] { Ok(()) } else { Err(found) }
    })
    .await;
    let write =
        tenant.client.put("/v1/indexes/books/documents", &json!({ "id": "0", "title": "new" })).await.expect(202);
    assert_eq!(tenant.client.ended(&write).await["status"], "succeeded");
    assert_eq!(held(&direct, tenant.alias()).await.len(), 50);
    // Another one can be asked for.
    assert_eq!(done(&tenant, REINDEX, json!({})).await["status"], "succeeded");
}

#[tokio::test]
async fn former_versions_go_when_their_time_is_over_and_an_alias_that_was_moved_is_moved_back() {
    let stack = Stack::of(Setting::fresh().await.with("TIDEWELL_VERSIONS_KEPT_HOURS", 0)).await;
    let tenant = stack.tenant("pruned").await;
    let pool = stack.setting.pool().await;
    fill(&tenant, (0..5).map(|n| json!({ "id": n.to_string(), "title": "a book" }))).await;
    settled(&pool).await;
    assert_eq!(done(&tenant, REINDEX, json!({})).await["status"], "succeeded");
    let (first, second) = (format!("{}_v1", tenant.alias()), format!("{}_v2", tenant.alias()));
    let wrong = json!({ "collection_name": first });
    typesense(&stack.setting, reqwest::Method::PUT, &format!("/aliases/{}", tenant.alias()), wrong).await;
    eventually(Duration::from_secs(20), || async {
        let live = live_collection(&stack.setting, &tenant).await;
        if live == second { Ok(()) } else { Err(live) }
    })
    .await;
    eventually(Duration::from_secs(90), || async {
        let found = collections(&stack.setting, &tenant).await;
        if found == [second.clone()] { Ok(()) } else { Err(found) }
    })
    .await;
    assert_eq!(held(&stack.setting, tenant.alias()).await.len(), 5, "the live one stays");
    tenant.client.post(ROLLBACK, &json!({})).await.problem(409, "conflict");
}
