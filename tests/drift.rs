//! Drift of an index: its collection, changed behind Tidewell's back, against what was written.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    eventually,
    oracle::{Oracle, unsettled},
    process,
    stack::{Setting, Stack, Tenant, key},
};

const BATCH: &str = "/v1/indexes/books/documents:batch";
const VERIFY: &str = "/v1/indexes/books:verify";
/// Ids that no filter of Typesense's can name.
const UNNAMEABLE: [&str; 3] = ["`tick`", "back\\slash", " edge "];

/// An index of books whose writes have all ended, and what it must hold.
struct Books {
    stack: Stack,
    tenant: Tenant,
    oracle: Oracle,
}

impl Books {
    async fn written(slug: &str, count: u32) -> Self {
        let mut books = Self::none(Stack::start().await, slug).await;
        let ids = (0..count).map(|n| n.to_string()).chain(UNNAMEABLE.map(str::to_owned));
        let documents: Vec<_> = ids.map(|id| json!({ "id": id, "title": format!("Book {id}") })).collect();
        for documents in documents.chunks(1000) {
            let job = books.tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
            assert_eq!(books.tenant.client.ended(&job).await["status"], "succeeded");
        }
        documents.iter().for_each(|document| books.oracle.upsert(document));
        books.settled().await;
        books
    }

    async fn none(stack: Stack, slug: &str) -> Self {
        let tenant = stack.tenant(slug).await;
        Self { stack, tenant, oracle: Oracle::default() }
    }

    fn collection(&self) -> String {
        format!("{}_v1", self.tenant.index["alias"].as_str().expect("an alias"))
    }

    /// What somebody does to the collection behind Tidewell's back.
    async fn meddle(&self, method: Method, path: &str, body: String) {
        let Setting { typesense_url, typesense_api_key, .. } = &self.stack.setting;
        let url = format!("{typesense_url}/collections/{}{path}", self.collection());
        let request = self.stack.operator().http.request(method, url).header("x-typesense-api-key", typesense_api_key);
        let answer = request.body(body).send().await.expect("an answer").error_for_status().expect("done");
        let told = answer.text().await.expect("a body");
        assert!(!told.contains("\"success\":false"), "{told}");
    }

    /// A document as no write has made it.
    fn forged(&self, id: &str, version: i64) -> String {
        let tenant = &self.tenant.organization["id"];
        json!({ "id": id, "title": "Forged", "tenantId": tenant, "_tidewell_version": version }).to_string()
    }

    async fn verify(&self, repair: bool) -> Value {
        self.tenant.client.post(VERIFY, &json!({ "repair": repair })).await.expect(200)
    }

    async fn settled(&self) {
        let pool = self.stack.setting.pool().await;
        eventually(Duration::from_secs(60), || unsettled(&pool)).await;
    }

    /// The collection is what was written, and so is what is counted of the record.
    async fn are_well(&self) {
        self.oracle.equals(&self.stack.setting, self.tenant.index["alias"].as_str().expect("an alias")).await;
        let counts = "select (select sum(documents) from tidewell.lanes)::bigint,
                             (select count(*) from tidewell.documents where body is not null)";
        let (counted, held): (i64, i64) =
            sqlx::query_as(counts).fetch_one(&self.stack.setting.pool().await).await.expect("counts");
        assert_eq!((counted, held), (held, self.oracle.0.len() as i64));
    }

    fn command(&self, arguments: &[&str]) -> (bool, String, String) {
        let output = process::run(arguments, &self.stack.setting.variables());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

fn counts(drift: &Value) -> [u64; 4] {
    ["missing", "extra", "stale", "pending"].map(|kind| drift[kind].as_u64().expect("a count"))
}

/// A list of names, in order.
fn names(ids: &Value) -> Vec<&str> {
    let mut ids: Vec<&str> = ids.as_array().expect("ids").iter().map(|id| id.as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn what_is_missing_extra_or_stale_is_found_and_repaired() {
    let mut books = Books::written("three", 1200).await;
    let documents = books.oracle.0.len();
    let well = books.verify(false).await;
    assert_eq!((counts(&well), &well["documents"]), ([0; 4], &json!(documents)), "{well:#}");
    assert_eq!((&well["index"], &well["collection"]), (&json!("books"), &json!(books.collection())));
    // One that was deleted by a write, and comes back.
    let gone = books.tenant.client.delete("/v1/indexes/books/documents/9").await.expect(202);
    books.tenant.client.ended(&gone).await;
    books.oracle.delete("9");
    books.settled().await;
    for path in ["7", "8", "%60tick%60"] {
        books.meddle(Method::DELETE, &format!("/documents/{path}"), String::new()).await;
    }
    let forged = [("5", 1), (" edge ", 1), ("9", 1), ("never", 1 << 40), ("ne`ver\\ ", 1 << 40)];
    let lines = forged.map(|(id, version)| books.forged(id, version)).join("\n");
    books.meddle(Method::POST, "/documents/import?action=upsert", lines).await;
    books.meddle(Method::PATCH, "/documents/6", json!({ "_tidewell_version": null }).to_string()).await;

    let drift = books.verify(false).await;
    assert_eq!(counts(&drift), [3, 3, 3, 0], "{drift:#}");
    assert_eq!((&drift["documents"], &drift["repaired"]), (&json!(documents - 1), &json!(0)));
    assert_eq!(names(&drift["samples"]["missing"]), ["7", "8", "`tick`"]);
    assert_eq!(names(&drift["samples"]["extra"]), ["9", "ne`ver\\ ", "never"]);
    assert_eq!(names(&drift["samples"]["stale"]), [" edge ", "5", "6"]);

    let (went_well, shown, told) = books.command(&["index", "verify", "books", "--org", "three"]);
    assert!(!went_well && told.contains("--repair mends it") && shown.contains("it has drifted"), "{shown}{told}");
    let (went_well, shown, told) = books.command(&["index", "verify", "books", "--repair", "--json"]);
    assert!(went_well, "{told}");
    let repaired: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((counts(&repaired), &repaired["repaired"]), ([3, 3, 3, 0], &json!(9)));
    books.settled().await;
    books.are_well().await;
    let (went_well, shown, _) = books.command(&["index", "verify", "books"]);
    assert!(went_well && shown.contains("the collection holds what was written"), "{shown}");
}

#[tokio::test]
async fn a_document_whose_id_no_write_can_have_is_told_and_left_to_its_maker() {
    let books = Books::written("foreign", 10).await;
    let id = "nul\u{0}";
    books.meddle(Method::POST, "/documents", books.forged(id, 3)).await;
    let drift = books.verify(true).await;
    assert_eq!((counts(&drift), &drift["repaired"]), ([0, 1, 0, 0], &json!(0)), "{drift:#}");
    assert_eq!(drift["samples"]["extra"], json!([id]));
    let (went_well, _, told) = books.command(&["index", "verify", "books", "--repair"]);
    assert!(!went_well && told.contains("delete them in Typesense itself"), "{told}");
}

#[tokio::test]
async fn a_collection_that_is_gone_is_made_again_with_all_that_it_held() {
    let books = Books::written("gone", 2500).await;
    books.meddle(Method::DELETE, "", String::new()).await;
    let drift = books.verify(true).await;
    let documents = books.oracle.0.len() as u64;
    assert_eq!((counts(&drift), &drift["repaired"]), ([documents, 0, 0, 0], &json!(documents)), "{drift:#}");
    assert_eq!(drift["samples"]["missing"].as_array().map(Vec::len), Some(10));
    books.settled().await;
    books.are_well().await;
    assert_eq!(counts(&books.verify(false).await), [0; 4]);
}

#[tokio::test]
async fn what_waits_or_is_under_way_is_not_judged() {
    let mut books = Books::written("waiting", 20).await;
    books.stack.worker.take().expect("a worker").stop();
    let write = json!({ "id": "3", "title": "Newer" });
    books.tenant.client.put("/v1/indexes/books/documents", &write).await.expect(202);
    for id in ["3", "4"] {
        books.meddle(Method::DELETE, &format!("/documents/{id}"), String::new()).await;
    }
    let drift = books.verify(true).await;
    assert_eq!((counts(&drift), &drift["repaired"]), ([1, 0, 0, 1], &json!(1)), "{drift:#}");
    let again = books.verify(true).await;
    assert_eq!((counts(&again), &again["repaired"]), ([0, 0, 0, 2], &json!(0)), "a repair that waits is one");
    books.stack.worker = Some(books.stack.setting.work());
    books.oracle.upsert(&write);
    books.settled().await;
    books.are_well().await;
}

#[tokio::test]
async fn writes_that_flow_are_never_taken_for_drift() {
    let books = Books::written("flow", 3000).await;
    let stop = AtomicBool::new(false);
    // Updates, creations and deletions of the same documents, as fast as they are taken.
    let write = async |writer: u32| {
        let mut round = 0;
        while !stop.load(Ordering::Relaxed) {
            round += 1;
            let of = |n: u32| (n * 7 + round * 131 + writer * 1009) % 4000;
            let documents: Vec<_> =
                (0..400).map(|n| json!({ "id": of(n).to_string(), "title": format!("{writer} {round}") })).collect();
            books.tenant.client.post(BATCH, &json!({ "documents": documents })).await.expect(202);
            let ids: Vec<_> = (400..450).map(|n| of(n).to_string()).collect();
            let path = "/v1/indexes/books/documents:batchDelete";
            books.tenant.client.post(path, &json!({ "ids": ids })).await.expect(202);
        }
        round
    };
    let check = async || {
        let mut pending = 0;
        for _ in 0..25 {
            let drift = books.verify(false).await;
            assert_eq!(&counts(&drift)[..3], [0; 3], "{drift:#}");
            pending += drift["pending"].as_u64().expect("a count");
        }
        stop.store(true, Ordering::Relaxed);
        pending
    };
    let (pending, first, second) = tokio::join!(check(), write(0), write(1));
    assert!(pending > 0 && first.min(second) > 2, "nothing flowed: {pending} pending, {first} and {second} rounds");
    books.settled().await;
    assert_eq!(counts(&books.verify(false).await), [0; 4]);
}

#[tokio::test]
async fn a_check_that_is_due_is_made_and_told() {
    let books = Books::written("due", 30).await;
    let show = async || books.tenant.client.get("/v1/indexes/books").await.expect(200)["check"].clone();
    assert_eq!(show().await, Value::Null, "an index that was made a moment ago is not due");
    books.meddle(Method::DELETE, "/documents/7", String::new()).await;
    let due = "update tidewell.index_checks set due_at = now()";
    sqlx::query(due).execute(&books.stack.setting.pool().await).await.expect("due");
    let check = eventually(Duration::from_secs(40), || async {
        let check = show().await;
        if check["checkedAt"].is_string() { Ok(check) } else { Err(check) }
    })
    .await;
    let [documents, missing, extra, stale, error] =
        ["documents", "missing", "extra", "stale", "error"].map(|name| check[name].clone());
    assert_eq!((documents, missing, extra, stale, error), (json!(33), json!(1), json!(0), json!(0), Value::Null));
    let metrics = books.stack.operator().get("/metrics").await.body;
    let metrics = metrics.as_str().expect("text");
    for (kind, count) in [("missing", 1), ("extra", 0), ("stale", 0)] {
        let line =
            format!(r#"tidewell_index_drift_documents{{organization="due",index="books",kind="{kind}"}} {count}"#);
        assert!(metrics.lines().any(|told| told == line), "{line}:\n{metrics}");
    }
    assert!(metrics.contains(r#"tidewell_index_check_age_seconds{organization="due",index="books"}"#), "{metrics}");
    let (_, status, _) = books.command(&["status"]);
    assert!(status.contains("1 missing, "), "{status}");
    let (_, status, _) = books.command(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["indexes"][0]["check"]["missing"], 1, "{status:#}");
    let due: bool = sqlx::query_scalar("select due_at > now() + interval '23 hours' from tidewell.index_checks")
        .fetch_one(&books.stack.setting.pool().await)
        .await
        .expect("when it is due");
    assert!(due, "the next is a day away");
    let reader = books.stack.operator().bearer(&key(books.stack.operator(), "due", &["search"]).await);
    assert_eq!(reader.get("/v1/indexes/books").await.expect(200)["check"], Value::Null);
}

#[tokio::test]
async fn a_check_that_can_not_be_made_says_why_and_keeps_what_was_known() {
    let mut books = Books::written("away", 5).await;
    books.stack.worker.take().expect("a worker").stop();
    books.verify(false).await;
    let due = "update tidewell.index_checks set due_at = now()";
    sqlx::query(due).execute(&books.stack.setting.pool().await).await.expect("due");
    // A key that is refused does not open the breaker of a worker that has nothing to send.
    let _worker = books.stack.setting.clone().with("TIDEWELL_TYPESENSE_API_KEY", "not the key").work();
    let check = eventually(Duration::from_secs(40), || async {
        let check = books.tenant.client.get("/v1/indexes/books").await.expect(200)["check"].clone();
        if check["error"].is_string() { Ok(check) } else { Err(check) }
    })
    .await;
    assert!(check["checkedAt"].is_string() && check["documents"] == 8, "{check:#}");
    assert!(check["error"].as_str().expect("an error").contains("401"), "{check:#}");
}

#[tokio::test]
async fn an_index_is_verified_by_who_may_administer_it() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let books = Books::none(stack, "mine").await;
    let never = books.verify(true).await;
    assert_eq!((counts(&never), &never["documents"], &never["collection"]), ([0; 4], &json!(0), &Value::Null));
    let other = books.stack.tenant("theirs").await;
    let path = format!("/v1/indexes/{}:verify", books.tenant.index["id"].as_str().expect("an id"));
    other.client.post(&path, &json!({})).await.problem(404, "index_not_found");
    books.stack.operator().post(&path, &json!({})).await.expect(200);
    books.tenant.client.post("/v1/indexes/films:verify", &json!({})).await.problem(404, "index_not_found");
    let writer = books.stack.operator().bearer(&key(books.stack.operator(), "mine", &["ingest", "search"]).await);
    writer.post(VERIFY, &json!({ "repair": "no JSON of this shape" })).await.problem(403, "forbidden");
    books.tenant.client.post(VERIFY, &json!({ "repairs": true })).await.problem(422, "validation_failed");
}
