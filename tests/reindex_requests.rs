//! Asking for a reindex or a rollback: what is judged at the door, before any worker has seen it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    process,
    stack::{Setting, Stack, Tenant, key},
};

const REINDEX: &str = "/v1/indexes/books:reindex";
const ROLLBACK: &str = "/v1/indexes/books:rollback";
const CANCEL: &str = "/v1/indexes/books:cancelReindex";
const VERSIONS: &str = "/v1/indexes/books/versions";

/// The fields that the tests' index has.
fn fields() -> Vec<Value> {
    vec![
        json!({ "name": "title", "type": "string" }),
        json!({ "name": "genre", "type": "string", "facet": true, "optional": true }),
        json!({ "name": "year", "type": "int32", "optional": true }),
    ]
}

fn fields_and(more: Value) -> Vec<Value> {
    fields().into_iter().chain([more]).collect()
}

async fn door() -> (Stack, Tenant) {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("acme").await;
    (stack, tenant)
}

/// Lets the record be counted as if it held so many documents.
async fn record_of(stack: &Stack, documents: i64) {
    sqlx::query("update tidewell.lanes set documents = $1 where lane = 0")
        .bind(documents)
        .execute(&stack.setting.pool().await)
        .await
        .expect("counted");
}

/// Gives the index a former version, as a swap leaves one.
async fn former_version(stack: &Stack, state: &str) {
    let pool = stack.setting.pool().await;
    for statement in [
        "update tidewell.index_versions set state = 'retired', retired_at = now() where number = 1",
        "insert into tidewell.index_versions (index_id, number, collection, fields, state, live_at)
         select index_id, 5, collection || '_5', fields, 'live', now() from tidewell.index_versions where number = 1",
        "update tidewell.indexes set version = 5",
    ] {
        sqlx::query(statement).execute(&pool).await.expect("a former version");
    }
    sqlx::query("update tidewell.index_versions set state = $1 where number = 1")
        .bind(state)
        .execute(&pool)
        .await
        .expect("its state");
}

/// Lets what is under way have ended.
async fn end(stack: &Stack, status: &str, error: &str) {
    sqlx::query("update tidewell.reindexes set status = $1, phase = 'done', error = $2, finished_at = now()")
        .bind(status)
        .bind(error)
        .execute(&stack.setting.pool().await)
        .await
        .expect("ended");
}

#[tokio::test]
async fn a_reindex_is_queued_as_a_new_version_and_as_a_job() {
    let (stack, tenant) = door().await;
    record_of(&stack, 7).await;
    let wish = json!({ "fields": fields_and(json!({ "name": "pages", "type": "int32" })), "maxRefused": null });
    let answer = tenant.client.post(REINDEX, &wish).await;
    let job = answer.body["jobId"].as_str().expect("a job").to_owned();
    assert_eq!(answer.header("location"), Some(&*format!("/v1/jobs/{job}")));
    let queued = answer.expect(202);
    let expected = json!({ "index": "books", "kind": "reindex", "version": 2, "status": "queued", "phase": "waiting", "total": 7 });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&queued[name], value, "{name}");
    }
    assert_eq!(queued["maxRefused"], json!(null));
    assert!(queued["requestedBy"].as_str().expect("a name").starts_with("key "));

    let shown = tenant.client.get(&format!("/v1/jobs/{job}?wait=1")).await.expect(200);
    assert_eq!((&shown["status"], &shown["index"], &shown["errors"]), (&json!("queued"), &json!("books"), &json!([])));
    let counts = json!({ "total": 7, "pending": 7, "succeeded": 0, "retrying": 0, "dead": 0, "superseded": 0 });
    assert_eq!(shown["counts"], counts);
    assert_eq!((&shown["reindex"]["jobId"], &shown["reindex"]["progress"]), (&json!(job), &json!(0.0)));

    let first = tenant.client.get(&format!("{VERSIONS}?limit=1")).await.expect(200);
    let building = &first["items"][0];
    assert_eq!((&building["number"], &building["state"]), (&json!(2), &json!("building")));
    assert_eq!(building["fields"], wish["fields"]);
    assert_eq!(building["reindex"]["jobId"], json!(job));
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let rest = tenant.client.get(&format!("{VERSIONS}?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((&rest["items"][0]["state"], &rest["nextCursor"]), (&json!("live"), &json!(null)));
    assert_eq!(rest["items"][0]["reindex"], json!(null));
    tenant.client.get(&format!("{VERSIONS}?cursor=none")).await.problem(400, "invalid_request");
    assert_eq!(tenant.client.get("/v1/indexes/books").await.expect(200)["version"], 1, "until it is put in place");
}

#[tokio::test]
async fn fields_that_no_document_needs_are_added_in_place() {
    let (stack, tenant) = door().await;
    record_of(&stack, 7).await;
    let added = fields_and(json!({ "name": "pages", "type": "int32", "optional": true }));
    let kind = async |wish: Value| {
        let queued = tenant.client.post(REINDEX, &wish).await.expect(202);
        end(&stack, "failed", "ended by the test").await;
        (queued["kind"].clone(), queued["version"].clone())
    };
    let usage = async || stack.operator().get("/v1/organizations/acme/usage").await.expect(200)["used"].clone();
    assert_eq!(kind(json!({ "fields": added })).await, (json!("in_place"), json!(1)));
    assert_eq!(usage().await, 0, "nothing is written for it");
    assert_eq!(kind(json!({ "fields": added, "rebuild": true })).await, (json!("reindex"), json!(2)));
    assert_eq!(usage().await, 7);
    assert_eq!(kind(json!({})).await, (json!("reindex"), json!(3)));
    let embedding = json!({ "from": ["title"], "model": "openai:any" });
    assert_eq!(kind(json!({ "fields": added, "embedding": embedding })).await, (json!("reindex"), json!(4)));
    let nothing = tenant.client.request(Method::POST, REINDEX);
    assert_eq!(tenant.client.send(nothing).await.expect(202)["kind"], "reindex", "without a body, a repair");
}

#[tokio::test]
async fn what_is_wrong_with_a_schema_is_told_with_its_place() {
    let (stack, tenant) = door().await;
    for (wish, place) in [
        (json!({ "fields": [] }), "fields"),
        (json!({ "fields": [{ "name": "title", "type": "text" }] }), "fields[0].type"),
        (json!({ "defaultSortingField": "title" }), "defaultSortingField"),
        (json!({ "embedding": { "from": ["author"], "model": "openai:any" } }), "embedding.from[0]"),
        (json!({ "embedding": { "from": ["title"], "model": "none" } }), "embedding.model"),
        (json!({ "maxRefused": -1 }), "body"),
        (json!({ "field": [] }), "body"),
        (json!([]), "body"),
    ] {
        let refused = tenant.client.post(REINDEX, &wish).await;
        refused.problem(422, "validation_failed");
        assert_eq!(refused.body["errors"][0]["field"], place, "{wish}");
    }
    let versions = tenant.client.get(VERSIONS).await.expect(200);
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(1), "nothing was queued");
    // What the embedding needs can't go while it stays.
    let with =
        json!({ "slug": "films", "fields": fields(), "embedding": { "from": ["title"], "model": "openai:any" } });
    stack.operator().post("/v1/organizations/acme/indexes", &with).await.expect(201);
    let without_title = json!({ "fields": [{ "name": "name", "type": "string" }] });
    let refused = tenant.client.post("/v1/indexes/films:reindex", &without_title).await;
    refused.problem(422, "validation_failed");
    let mut with_null = without_title;
    with_null["embedding"] = json!(null);
    tenant.client.post("/v1/indexes/films:reindex", &with_null).await.expect(202);
}

#[tokio::test]
async fn an_index_is_reindexed_once_at_a_time() {
    let (stack, tenant) = door().await;
    let repair = json!({});
    let both = futures::future::join_all((0..2).map(|_| tenant.client.post(REINDEX, &repair))).await;
    let mut statuses: Vec<u16> = both.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409]);
    let (refused, queued) = if both[0].status == 409 { (&both[0], &both[1]) } else { (&both[1], &both[0]) };
    refused.problem(409, "already_running");
    let job = queued.body["jobId"].as_str().expect("a job");
    assert!(refused.body["detail"].as_str().expect("a detail").contains(job), "{:#}", refused.body);
    tenant.client.post(ROLLBACK, &json!({})).await.problem(409, "already_running");
    end(&stack, "failed", "the backend is gone").await;
    tenant.client.post(REINDEX, &json!({})).await.expect(202);
    let failed = tenant.client.get(&format!("/v1/jobs/{job}")).await.expect(200);
    assert_eq!(failed["status"], "failed");
    assert_eq!(
        (&failed["errors"][0]["code"], &failed["errors"][0]["message"]),
        (&json!("reindex_failed"), &json!("the backend is gone"))
    );
}

#[tokio::test]
async fn a_new_version_costs_a_unit_a_document() {
    let (stack, tenant) = door().await;
    let operator = stack.operator();
    operator.put("/v1/plans/own", &json!({ "monthlyUnits": 10 })).await.expect(200);
    operator.patch("/v1/organizations/acme", &json!({ "plan": "own" })).await.expect(200);
    record_of(&stack, 11).await;
    let refused = tenant.client.post(REINDEX, &json!({})).await;
    refused.problem(429, "quota_exceeded");
    assert!(refused.header("retry-after").is_some());
    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(10), &json!(0)));
    assert_eq!(tenant.client.get(VERSIONS).await.expect(200)["items"].as_array().map(Vec::len), Some(1));
    record_of(&stack, 9).await;
    let queued = tenant.client.post(REINDEX, &json!({})).await;
    assert_eq!(queued.header("x-quota-warning"), Some("9 of 10 units of this month are used"));
    queued.expect(202);
    end(&stack, "failed", "").await;
    former_version(&stack, "retired").await;
    tenant.client.post(ROLLBACK, &json!({})).await.expect(202);
    let used = operator.get("/v1/organizations/acme/usage").await.expect(200)["used"].clone();
    assert_eq!(used, 9, "a rollback is free");
}

#[tokio::test]
async fn only_a_version_that_is_kept_is_rolled_back_to() {
    let (stack, tenant) = door().await;
    let refused = async |body: Value, of: &str| {
        let answer = tenant.client.post(ROLLBACK, &body).await;
        answer.problem(409, "conflict");
        assert!(answer.body["detail"].as_str().expect("a detail").contains(of), "{:#}", answer.body);
    };
    refused(json!({}), "nothing to roll back to").await;
    refused(json!({ "version": 1 }), "is the live one").await;
    refused(json!({ "version": 9 }), "there is no version 9").await;
    former_version(&stack, "dropped").await;
    refused(json!({}), "nothing to roll back to").await;
    refused(json!({ "version": 1 }), "is not kept").await;
    let pool = stack.setting.pool().await;
    sqlx::query("update tidewell.index_versions set state = 'retired' where number = 1")
        .execute(&pool)
        .await
        .expect("kept");
    let queued = tenant.client.post(ROLLBACK, &json!({ "version": 1 })).await.expect(202);
    assert_eq!((&queued["kind"], &queued["version"]), (&json!("rollback"), &json!(1)));
    end(&stack, "cancelled", "").await;
    let nothing = tenant.client.request(Method::POST, ROLLBACK);
    assert_eq!(tenant.client.send(nothing).await.expect(202)["version"], 1);
}

#[tokio::test]
async fn what_is_under_way_can_be_asked_to_end() {
    let (stack, tenant) = door().await;
    tenant.client.post(CANCEL, &json!({})).await.problem(409, "conflict");
    let queued = tenant.client.post(REINDEX, &json!({})).await.expect(202);
    let cancelled = tenant.client.post(CANCEL, &json!({})).await.expect(202);
    assert_eq!((&cancelled["jobId"], &cancelled["cancelRequested"]), (&queued["jobId"], &json!(true)));
    end(&stack, "cancelled", "").await;
    tenant.client.post(CANCEL, &json!({})).await.problem(409, "conflict");
}

#[tokio::test]
async fn what_a_version_refuses_is_listed() {
    let (stack, tenant) = door().await;
    let queued = tenant.client.post(REINDEX, &json!({})).await.expect(202);
    for id in ["a", "b/ä", "c"] {
        sqlx::query(
            "insert into tidewell.version_refusals (index_id, number, document_id, code, message)
             select index_id, number, $1, 'document_refused', 'no' from tidewell.reindexes",
        )
        .bind(id)
        .execute(&stack.setting.pool().await)
        .await
        .expect("refused");
    }
    let first = tenant.client.get(&format!("{VERSIONS}/2/refusals?limit=2")).await.expect(200);
    assert_eq!(first["items"][0], json!({ "documentId": "a", "code": "document_refused", "message": "no" }));
    assert_eq!(first["nextCursor"], "b/ä");
    let rest = tenant.client.get(&format!("{VERSIONS}/2/refusals?cursor=b%2F%C3%A4")).await.expect(200);
    assert_eq!((&rest["items"][0]["documentId"], &rest["nextCursor"]), (&json!("c"), &json!(null)));
    tenant.client.get(&format!("{VERSIONS}/3/refusals")).await.problem(404, "not_found");
    let job = format!("/v1/jobs/{}", queued["jobId"].as_str().expect("a job"));
    assert_eq!(tenant.client.get(&job).await.expect(200)["errors"][1]["documentId"], "b/ä");
}

#[tokio::test]
async fn only_the_operator_and_the_tenants_own_admin_may() {
    let (stack, tenant) = door().await;
    let operator = stack.operator();
    let index = tenant.index["id"].as_str().expect("an id");
    let writer = operator.bearer(&key(operator, "acme", &["ingest", "search"]).await);
    let other = stack.tenant("other").await.client;
    let queued = operator.post(&format!("/v1/indexes/{index}:reindex"), &json!({})).await.expect(202);
    assert_eq!(queued["requestedBy"], "operator");
    for verb in ["reindex", "rollback", "cancelReindex"] {
        writer.post(&format!("/v1/indexes/books:{verb}"), &json!({})).await.problem(403, "forbidden");
        other.post(&format!("/v1/indexes/{index}:{verb}"), &json!({})).await.problem(404, "index_not_found");
    }
    for path in ["versions", "versions/1/refusals"] {
        writer.get(&format!("/v1/indexes/books/{path}")).await.problem(403, "forbidden");
        other.get(&format!("/v1/indexes/{index}/{path}")).await.problem(404, "index_not_found");
    }
    other.get(&format!("/v1/jobs/{}", queued["jobId"].as_str().expect("a job"))).await.problem(404, "not_found");
    let anybody = operator.bearer("ss_connector_nonsense");
    anybody.post(REINDEX, &json!({})).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_verb_takes_its_method_alone_and_an_index_its_own() {
    let (_stack, tenant) = door().await;
    let client = &tenant.client;
    let allows = async |method: Method, path: &str| {
        let answer = client.send(client.request(method, path)).await;
        answer.problem(405, "method_not_allowed");
        answer.header("allow").expect("what it takes").to_owned()
    };
    assert_eq!(allows(Method::GET, REINDEX).await, "POST");
    assert_eq!(allows(Method::PATCH, CANCEL).await, "POST");
    assert_eq!(allows(Method::POST, "/v1/indexes/books").await, "GET,HEAD,PATCH");
    client.post("/v1/indexes/books:unknown", &json!({})).await.problem(404, "not_found");
    client.get("/v1/indexes/books").await.expect(200);
}

#[tokio::test]
async fn who_patches_a_schema_is_told_of_the_verb() {
    let (stack, _tenant) = door().await;
    for body in [json!({ "fields": fields() }), json!({ "embedding": null }), json!({ "defaultSortingField": "year" })]
    {
        let refused = stack.operator().patch("/v1/indexes/books", &body).await;
        refused.problem(422, "validation_failed");
        assert!(refused.body["errors"][0]["message"].as_str().expect("a message").contains(":reindex"));
    }
}

#[tokio::test]
async fn the_command_line_asks_as_the_api_does() {
    let (stack, _tenant) = door().await;
    let run = |arguments: &[&str]| process::run(arguments, &stack.setting.variables());
    let json_of = |arguments: &[&str]| -> Value {
        let output = run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let fault = |arguments: &[&str]| -> String {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let embedding = r#"{"from":["title"],"model":"openai:any"}"#;
    let queued = json_of(&["reindex", "books", "--embedding", embedding, "--max-refused", "any", "--no-wait"]);
    assert_eq!(
        (&queued["version"], &queued["maxRefused"], &queued["index"]),
        (&json!(2), &json!(null), &json!("books"))
    );
    let told = fault(&["reindex", "books", "--no-wait"]);
    assert!(told.contains(queued["jobId"].as_str().expect("a job")), "{told}");
    let job = json_of(&["job", "show", queued["jobId"].as_str().expect("a job")]);
    assert_eq!((&job["status"], &job["reindex"]["version"]), (&json!("queued"), &json!(2)));
    let status = json_of(&["status"]);
    assert_eq!(
        (&status["reindexes"][0]["index"], &status["reindexes"][0]["phase"]),
        (&json!("books"), &json!("waiting"))
    );
    let versions = json_of(&["index", "versions", "books"]);
    assert_eq!(versions["items"][0]["embedding"]["from"], json!(["title"]));
    let shown = String::from_utf8(run(&["index", "versions", "books"]).stdout).expect("text");
    assert!(shown.contains("building") && shown.contains("live"), "{shown}");
    let cancelled = json_of(&["reindex", "--cancel", "books"]);
    assert_eq!(cancelled["cancelRequested"], true);
    end(&stack, "cancelled", "").await;
    assert!(fault(&["reindex", "--cancel", "books"]).contains("nothing is under way"));
    assert!(fault(&["reindex", "--rollback", "books", "--to", "9"]).contains("there is no version 9"));
    assert!(fault(&["reindex", "books", "--fields", "[]"]).contains("fields must be 1 to 250 fields"));
    for misused in [
        &["reindex", "books", "--to", "1"][..],
        &["reindex", "--rollback", "books", "--rebuild"],
        &["reindex", "books", "--rollback", "--cancel"],
    ] {
        assert_eq!(run(misused).status.code(), Some(2), "{misused:?}");
    }
}
