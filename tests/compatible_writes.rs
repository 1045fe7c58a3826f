//! Writes as Typesense's own clients send them: judged by what is there, made durable, projected.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    clients::run_script,
    eventually,
    oracle::{Oracle, unsettled},
    stack::{Setting, Stack, Tenant, key},
};

const DOCUMENTS: &str = "/collections/books/documents";
const IMPORT: &str = "/collections/books/documents/import";

/// A client that sends its key as Typesense's do.
async fn typesense(stack: &Stack, tenant: &Tenant) -> Client {
    let organization = tenant.organization["slug"].as_str().expect("a slug");
    let key = key(stack.operator(), organization, &["connector_write"]).await;
    Client::new(&stack.operator().base, "x-typesense-api-key", &key)
}

async fn import(client: &Client, parameters: &str, lines: String) -> Vec<Value> {
    let request = client.request(Method::POST, &format!("{IMPORT}?{parameters}")).body(lines);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let text = response.text().await.expect("results");
    text.split('\n').map(|line| serde_json::from_str(line).expect("a result")).collect()
}

fn lines(documents: impl IntoIterator<Item = Value>) -> String {
    documents.into_iter().map(|document| document.to_string()).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status.as_u16(), &answer.body), (status, &json!({ "message": message })));
}

async fn settled(stack: &Stack) {
    let pool = stack.setting.pool().await;
    eventually(Duration::from_secs(60), || unsettled(&pool)).await;
}

async fn equals(stack: &Stack, tenant: &Tenant, documents: &[Value]) {
    settled(stack).await;
    let mut oracle = Oracle::default();
    documents.iter().for_each(|document| oracle.upsert(document));
    oracle.equals(&stack.setting, tenant.index["alias"].as_str().expect("an alias")).await;
}

#[tokio::test]
async fn single_writes_answer_with_the_document_as_typesense_does() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("single").await;
    let client = typesense(&stack, &tenant).await;
    let document = json!({ "id": "a b/c", "title": "A", "n": { "x": 1, "y": 2 } });
    let created = client.post(DOCUMENTS, &document).await;
    assert!(created.header("location").is_some_and(|location| location.starts_with("/v1/jobs/")));
    assert_eq!(created.expect(201), document);
    refused(&client.post(DOCUMENTS, &document).await, 409, "A document with id a b/c already exists.");
    let path = format!("{DOCUMENTS}/a%20b%2Fc");
    let patched = client.patch(&path, &json!({ "year": 7, "n": { "x": 3 } })).await.expect(200);
    assert_eq!(patched, json!({ "id": "a b/c", "title": "A", "year": 7, "n": { "x": 3 } }));
    let patched = client.patch(&path, &json!({ "id": "a b/c", "n": null })).await.expect(200);
    assert_eq!(patched, json!({ "id": "a b/c", "title": "A", "year": 7 }));
    let message = "The `id` of the resource does not match the `id` in the JSON body.";
    refused(&client.patch(&path, &json!({ "id": "b" })).await, 400, message);
    assert_eq!(client.delete(&path).await.expect(200), patched);
    refused(&client.delete(&path).await, 404, "Could not find a document with id: a b/c");
    refused(&client.patch(&path, &json!({})).await, 404, "Could not find a document with id: a b/c");
    let again = json!({ "id": "a b/c", "title": "again" });
    assert_eq!(client.post(&format!("{DOCUMENTS}?action=emplace"), &again).await.expect(201), again);
    let emplaced = client.post(&format!("{DOCUMENTS}?action=emplace"), &json!({ "id": "a b/c", "year": 1 })).await;
    assert_eq!(emplaced.expect(201), json!({ "id": "a b/c", "title": "again", "year": 1 }));
    let named = client.post(DOCUMENTS, &json!({ "title": "no id" })).await.expect(201);
    assert!(named["id"].as_str().is_some_and(|id| !id.is_empty()), "{named}");
    let upserted = json!({ "id": "up", "title": "U" });
    for _ in 0..2 {
        assert_eq!(client.post(&format!("{DOCUMENTS}?action=upsert"), &upserted).await.expect(201), upserted);
    }
    let _worker = stack.setting.work();
    equals(&stack, &tenant, &[json!({ "id": "a b/c", "title": "again", "year": 1 }), named, upserted]).await;
}

#[tokio::test]
async fn bad_writes_are_refused_with_a_message_and_cost_nothing() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("refused").await;
    let client = typesense(&stack, &tenant).await;
    let update = format!("{DOCUMENTS}?action=update");
    refused(&client.post(&update, &json!({ "id": "x" })).await, 404, "Could not find a document with id: x");
    refused(&client.post(&update, &json!({ "title": "x" })).await, 400, "For update, the `id` key must be provided.");
    refused(&client.post(DOCUMENTS, &json!({ "id": 5 })).await, 400, "Document's `id` field should be a string.");
    refused(&client.post(DOCUMENTS, &json!({ "id": "" })).await, 400, "The `id` should not be empty.");
    refused(&client.delete(DOCUMENTS).await, 400, "Parameter `filter_by` must be provided.");
    let message = |answer: Answer, status: u16| {
        let message = answer.expect(status)["message"].as_str().expect("a message").to_owned();
        assert!(!message.is_empty());
        message
    };
    let post = |path: &str, body: &str| client.send(client.request(Method::POST, path).body(body.to_owned()));
    assert!(message(post(DOCUMENTS, "{").await, 400).starts_with("Bad JSON: "));
    assert!(message(post(DOCUMENTS, "[]").await, 400).starts_with("Bad JSON: "));
    assert!(message(client.post(DOCUMENTS, &json!({ "id": "a", "tenantId": "b" })).await, 400).contains("tenantId"));
    message(post(&format!("{DOCUMENTS}?action=replace"), "{}").await, 400);
    message(post(&format!("{IMPORT}?return_id=maybe"), "{}").await, 400);
    message(post("/collections/none/documents", r#"{"id":"a"}"#).await, 404);
    message(post("/collections/none/documents/import", r#"{"id":"a"}"#).await, 404);
    message(client.delete(&format!("{DOCUMENTS}?filter_by=title:a)%20||%20(title:b")).await, 400);
    let large = json!({ "id": "a", "title": "x".repeat(1 << 20) });
    message(client.post(DOCUMENTS, &large).await, 413);
    let half = "x".repeat(600_000);
    client.post(DOCUMENTS, &json!({ "id": "half", "title": half })).await.expect(201);
    message(client.patch(&format!("{DOCUMENTS}/half"), &json!({ "other": half })).await, 413);
    let keyed = client.request(Method::POST, DOCUMENTS).header("idempotency-key", "k").body(r#"{"id":"k"}"#);
    message(client.send(keyed).await, 400);
    let searcher = key(stack.operator(), "refused", &["search"]).await;
    let searcher = Client::new(&stack.operator().base, "x-typesense-api-key", &searcher);
    message(searcher.post(DOCUMENTS, &json!({ "id": "s" })).await, 403);
    let stranger = Client::new(&stack.operator().base, "x-typesense-api-key", "ss_connector_none");
    message(stranger.post(DOCUMENTS, &json!({ "id": "s" })).await, 401);
    let usage = stack.operator().get("/v1/organizations/refused/usage").await.expect(200);
    assert_eq!(usage["used"], 1, "{usage:#}");
}

#[tokio::test]
async fn an_import_answers_line_by_line_in_order() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("lines").await;
    let client = typesense(&stack, &tenant).await;
    let mixed = "{\"id\":\"a\",\"title\":\"A\"}\r\n\n{\"id\":\"a\",\"title\":\"B\"}\n{bad\n{\"id\":5}\n{\"title\":\"named\"}\n5\n{\"id\":\"c\",\"title\":\"C\"}\n";
    let results = import(&client, "return_id=true&return_doc=true", mixed.to_owned()).await;
    let a = json!({ "id": "a", "title": "A" });
    assert_eq!(results[0], json!({ "success": true, "id": "a", "document": a }));
    let exists = "A document with id a already exists.";
    let expected = json!({ "success": false, "code": 409, "error": exists, "document": r#"{"id":"a","title":"B"}"# });
    assert_eq!(results[1], expected);
    assert_eq!((&results[2]["code"], &results[2]["document"]), (&json!(400), &json!("{bad")));
    assert_eq!(results[3]["error"], "Document's `id` field should be a string.");
    let named = results[4]["document"].clone();
    assert_eq!(
        (&results[4]["success"], &named["id"], &named["title"]),
        (&json!(true), &results[4]["id"], &json!("named"))
    );
    assert_eq!((&results[5]["code"], &results[6]["id"], results.len()), (&json!(400), &json!("c"), 7));
    let results =
        import(&client, "action=update", lines([json!({ "id": "a", "year": 1 }), json!({ "id": "z" })])).await;
    assert_eq!((&results[0], &results[1]["code"]), (&json!({ "success": true }), &json!(404)));
    let changes =
        [json!({ "id": "a", "year": null }), json!({ "id": "a", "genre": "g" }), json!({ "id": "d", "title": "D" })];
    let results =
        import(&client, "action=emplace&return_doc=true&dirty_values=coerce_or_reject&batch_size=40", lines(changes))
            .await;
    let merged = json!({ "id": "a", "title": "A", "genre": "g" });
    assert_eq!((&results[1]["document"], &results[2]["success"]), (&merged, &json!(true)));
    let replaced = json!({ "id": "c", "title": "new" });
    assert_eq!(import(&client, "action=upsert", lines([replaced.clone()])).await, [json!({ "success": true })]);
    equals(&stack, &tenant, &[merged, named, replaced, json!({ "id": "d", "title": "D" })]).await;
    let usage = stack.operator().get("/v1/organizations/lines/usage").await.expect(200);
    assert_eq!(usage["used"], 8, "failed lines cost nothing: {usage:#}");
    let empty = client.send(client.request(Method::POST, IMPORT).body("\n \n")).await.expect(200);
    assert_eq!(empty, "");
}

#[tokio::test]
async fn patches_of_one_document_at_one_time_are_all_kept() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("patches").await;
    let client = typesense(&stack, &tenant).await;
    let second = stack.setting.serve();
    client.post(DOCUMENTS, &json!({ "id": "a", "title": "A" })).await.expect(201);
    let patch = |n: usize| {
        let client = if n.is_multiple_of(2) { client.clone() } else { client.at(&second.operator.base) };
        async move { client.patch(&format!("{DOCUMENTS}/a"), &json!({ format!("field{n}"): n })).await.expect(200) }
    };
    join_all((0..16).map(patch)).await;
    let mut expected = json!({ "id": "a", "title": "A" });
    (0..16).for_each(|n| expected[format!("field{n}")] = json!(n));
    equals(&stack, &tenant, &[expected]).await;
}

#[tokio::test]
async fn a_patch_is_merged_onto_exactly_the_write_before_it() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("racing").await;
    let client = typesense(&stack, &tenant).await;
    client.post(DOCUMENTS, &json!({ "id": "a", "title": "first" })).await.expect(201);
    let write = |n: usize| {
        let (client, plain) = (client.clone(), tenant.client.clone());
        async move {
            if n.is_multiple_of(2) {
                let whole = json!({ "id": "a", "title": format!("whole {n}") });
                plain.put("/v1/indexes/books/documents", &whole).await.expect(202);
            } else {
                client.patch(&format!("{DOCUMENTS}/a"), &json!({ format!("field{n}"): n })).await.expect(200);
            }
        }
    };
    join_all((0..60).map(write)).await;
    let rows: Vec<String> = sqlx::query_scalar("select body from tidewell.outbox order by version")
        .fetch_all(&stack.setting.pool().await)
        .await
        .expect("rows");
    let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).expect("a document")).collect();
    assert_eq!(rows.len(), 61);
    for pair in rows.windows(2) {
        let (before, after) = (pair[0].as_object().expect("an object"), pair[1].as_object().expect("an object"));
        let is_whole = after.len() == 2;
        let is_merged =
            after.len() == before.len() + 1 && before.iter().all(|(name, value)| after.get(name) == Some(value));
        assert!(is_whole || is_merged, "{before:?} was followed by {after:?}");
    }
    let _worker = stack.setting.work();
    equals(&stack, &tenant, &rows[60..]).await;
}

#[tokio::test]
async fn of_creations_of_one_document_at_one_time_exactly_one_wins() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("creations").await;
    let client = typesense(&stack, &tenant).await;
    let second = stack.setting.serve();
    let create = |n: usize| {
        let client = if n.is_multiple_of(2) { client.clone() } else { client.at(&second.operator.base) };
        let document = json!({ "id": "a", "title": format!("{n}") });
        async move {
            let created = if n.is_multiple_of(3) {
                import(&client, "", lines([document.clone()])).await[0]["success"] == json!(true)
            } else {
                client.post(DOCUMENTS, &document).await.status == 201
            };
            created.then_some(document)
        }
    };
    let created: Vec<Value> = join_all((0..16).map(create)).await.into_iter().flatten().collect();
    assert_eq!(created.len(), 1, "{created:?}");
    equals(&stack, &tenant, &created).await;
}

#[tokio::test]
async fn changes_find_what_waits_what_is_projected_and_what_was_deleted() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("states").await;
    let client = typesense(&stack, &tenant).await;
    let all = ["a", "b", "c"].map(|id| json!({ "id": id, "title": id }));
    import(&client, "", lines(all)).await;
    settled(&stack).await;
    // Projected, and then deleted where that is known from the record alone.
    client.delete(&format!("{DOCUMENTS}/b")).await.expect(200);
    settled(&stack).await;
    let a = json!({ "id": "a", "title": "a", "year": 1 });
    assert_eq!(client.patch(&format!("{DOCUMENTS}/a"), &json!({ "year": 1 })).await.expect(200), a);
    client.patch(&format!("{DOCUMENTS}/b"), &json!({ "year": 1 })).await.expect(404);
    client.post(DOCUMENTS, &json!({ "id": "c", "title": "c" })).await.expect(409);
    let b = json!({ "id": "b", "title": "again" });
    client.post(DOCUMENTS, &b).await.expect(201);
    equals(&stack, &tenant, &[a, b, json!({ "id": "c", "title": "c" })]).await;
}

#[tokio::test]
async fn a_write_that_was_refused_counts_no_more() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("dead").await;
    let client = typesense(&stack, &tenant).await;
    client.post(DOCUMENTS, &json!({ "id": "a", "title": "A" })).await.expect(201);
    settled(&stack).await;
    client.patch(&format!("{DOCUMENTS}/a"), &json!({ "year": "no number" })).await.expect(200);
    client.post(DOCUMENTS, &json!({ "id": "b", "title": 7 })).await.expect(201);
    settled(&stack).await;
    let a = json!({ "id": "a", "title": "A", "genre": "g" });
    assert_eq!(client.patch(&format!("{DOCUMENTS}/a"), &json!({ "genre": "g" })).await.expect(200), a);
    let b = json!({ "id": "b", "title": "B" });
    client.post(DOCUMENTS, &b).await.expect(201);
    equals(&stack, &tenant, &[a, b]).await;
    let letters = tenant.client.get("/v1/dead-letters").await.expect(200);
    assert_eq!(letters["items"].as_array().map(Vec::len), Some(2), "nothing is forgotten: {letters:#}");
}

#[tokio::test]
async fn what_a_delete_by_filter_may_have_taken_is_answered_503_until_it_is_known() {
    let mut stack = Stack::start().await;
    let tenant = stack.tenant("question").await;
    let client = typesense(&stack, &tenant).await;
    let book = |id: &str, year: u32| json!({ "id": id, "title": id, "year": year });
    import(&client, "", lines([book("old", 1990), book("new", 2020), book("sure", 1990)])).await;
    settled(&stack).await;
    stack.worker.take().expect("a worker").stop();
    let queued = client.delete(&format!("{DOCUMENTS}?filter_by=year:1990&batch_size=100")).await.expect(200);
    assert_eq!((&queued["num_deleted"], &queued["status"]), (&Value::Null, &json!("queued")));
    for id in ["old", "new"] {
        let answer = client.patch(&format!("{DOCUMENTS}/{id}"), &json!({ "genre": "g" })).await;
        assert!(answer.header("retry-after").is_some());
        answer.expect(503);
    }
    let results = import(&client, "", lines([book("old", 1), book("other", 1)])).await;
    assert_eq!((&results[0]["code"], &results[1]["success"]), (&json!(503), &json!(true)));
    // A later whole write survives the delete in any case.
    client.post(&format!("{DOCUMENTS}?action=upsert"), &book("sure", 1991)).await.expect(201);
    client.patch(&format!("{DOCUMENTS}/sure"), &json!({ "genre": "g" })).await.expect(200);
    let _worker = stack.setting.work();
    settled(&stack).await;
    client.patch(&format!("{DOCUMENTS}/old"), &json!({ "genre": "g" })).await.expect(404);
    client.patch(&format!("{DOCUMENTS}/new"), &json!({ "genre": "g" })).await.expect(200);
    let sure = json!({ "id": "sure", "title": "sure", "year": 1991, "genre": "g" });
    let new = json!({ "id": "new", "title": "new", "year": 2020, "genre": "g" });
    equals(&stack, &tenant, &[new, sure, book("other", 1)]).await;
}

#[tokio::test]
async fn a_conditional_delete_that_waits_leaves_its_document_in_question() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("conditional").await;
    let client = typesense(&stack, &tenant).await;
    client.post(DOCUMENTS, &json!({ "id": "a", "title": "A" })).await.expect(201);
    // As a delete by filter leaves one for a document whose own write waits for a retry.
    sqlx::query(
        "insert into tidewell.outbox (index_id, lane, operation, document_id, body)
         select index_id, lane, 'delete_if_matches', document_id, 'title:A' from tidewell.outbox",
    )
    .execute(&stack.setting.pool().await)
    .await
    .expect("a row");
    client.patch(&format!("{DOCUMENTS}/a"), &json!({ "year": 1 })).await.expect(503);
    client.delete(&format!("{DOCUMENTS}/a")).await.expect(503);
    client.post(&format!("{DOCUMENTS}?action=upsert"), &json!({ "id": "a", "title": "B" })).await.expect(201);
    client.patch(&format!("{DOCUMENTS}/a"), &json!({ "year": 1 })).await.expect(200);
}

#[tokio::test]
async fn an_import_of_many_lines_is_taken_whole() {
    let stack = Stack::start().await;
    let tenant = stack.tenant("many").await;
    let client = typesense(&stack, &tenant).await;
    let book = |n: usize| json!({ "id": n.to_string(), "title": format!("Book {n}") });
    let mut all: Vec<String> = (0..5000).map(|n| book(n).to_string()).collect();
    all[2500] = "{broken".to_owned();
    let results = import(&client, "return_id=true", all.join("\n")).await;
    assert_eq!(results.len(), 5000);
    for (n, result) in results.iter().enumerate() {
        match n {
            2500 => assert_eq!((&result["success"], &result["code"]), (&json!(false), &json!(400))),
            _ => assert_eq!(result, &json!({ "success": true, "id": n.to_string() })),
        }
    }
    let documents: Vec<Value> = (0..5000).filter(|n| *n != 2500).map(book).collect();
    equals(&stack, &tenant, &documents).await;
}

#[tokio::test]
async fn a_large_line_of_control_characters_is_refused_in_few_words_among_good_ones() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("binary").await;
    let client = typesense(&stack, &tenant).await;
    let body = ["{\"id\":\"a\"}", &"\u{1}".repeat(2 << 20), "{\"id\":\"b\"}"].join("\n");
    let results = import(&client, "return_id=true", body).await;
    assert_eq!(results.len(), 3);
    for (n, id) in [(0, "a"), (2, "b")] {
        assert_eq!(results[n], json!({ "success": true, "id": id }));
    }
    assert_eq!((&results[1]["success"], &results[1]["document"]), (&json!(false), &json!("\u{1}".repeat(1000))));
    assert!(results[1].to_string().len() < 10_000);
}

#[tokio::test]
async fn updates_of_large_documents_pass_in_as_many_transactions_as_they_need() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("heavy").await;
    let client = typesense(&stack, &tenant).await;
    let blob = "y".repeat(1_000_000);
    let ids = || (0..20).map(|n| n.to_string());
    import(&client, "", lines(ids().map(|id| json!({ "id": id, "title": "x", "blob": blob })))).await;
    // Each twice: the second is merged onto the first.
    let changes = ids().chain(ids()).enumerate().map(|(n, id)| json!({ "id": id, format!("field{}", n / 20): n }));
    let results = import(&client, "action=update", lines(changes)).await;
    assert_eq!(results, vec![json!({ "success": true }); 40]);
    let whole: i64 = sqlx::query_scalar(
        "select count(*) from tidewell.outbox
         where body::json ->> 'field0' = document_id and (body::json ->> 'field1')::int = document_id::int + 20
           and length(body::json ->> 'blob') = 1000000",
    )
    .fetch_one(&stack.setting.pool().await)
    .await
    .expect("a count");
    assert_eq!(whole, 20);
}

#[tokio::test]
async fn where_the_month_runs_out_midway_the_lines_before_stay_and_the_rest_is_told() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("midway").await;
    let client = typesense(&stack, &tenant).await;
    stack.operator().patch("/v1/organizations/midway", &json!({ "plan": "free" })).await.expect(200);
    let pool = stack.setting.pool().await;
    sqlx::query("insert into tidewell.usage select id, date_trunc('month', now() at time zone 'utc'), 0, 7500 from tidewell.organizations")
        .execute(&pool)
        .await
        .expect("usage");
    let mut all: Vec<String> = (0..4000).map(|n| json!({ "id": n.to_string(), "title": "x" }).to_string()).collect();
    all[3500] = "{broken".to_owned();
    let results = import(&client, "", all.join("\n")).await;
    let codes: Vec<u64> = results.iter().map(|result| result["code"].as_u64().unwrap_or(200)).collect();
    let expected: Vec<u64> = (0..4000)
        .map(|n| {
            if n < 2000 {
                200
            } else if n == 3500 {
                400
            } else {
                429
            }
        })
        .collect();
    assert_eq!(codes, expected);
    let (rows, used): (i64, i64) =
        sqlx::query_as("select (select count(*) from tidewell.outbox), (select sum(used)::bigint from tidewell.usage)")
            .fetch_one(&pool)
            .await
            .expect("counts");
    assert_eq!((rows, used), (2000, 9500));
    refused(&client.post(DOCUMENTS, &json!({ "id": "0" })).await, 409, "A document with id 0 already exists.");
}

#[tokio::test]
async fn an_import_into_a_full_index_is_answered_503_by_line() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_BACKLOG_LIMIT", 1500)).await;
    let tenant = stack.tenant("full").await;
    let client = typesense(&stack, &tenant).await;
    let all = (0..3000).map(|n| json!({ "id": n.to_string(), "title": "x" }));
    let results = import(&client, "action=upsert", lines(all)).await;
    assert_eq!(results.iter().filter(|result| result["success"] == json!(true)).count(), 2000);
    assert!(results[2000..].iter().all(|result| result["code"] == 503 && result["error"].is_string()));
    client.post(DOCUMENTS, &json!({ "id": "more", "title": "x" })).await.expect(503);
}

#[tokio::test]
async fn a_front_end_killed_in_an_import_leaves_whole_transactions_that_a_repetition_completes() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("killed").await;
    let client = typesense(&stack, &tenant).await;
    let doomed = stack.setting.serve();
    let pool = stack.setting.pool().await;
    let documents: Vec<Value> = (0..30_000).map(|n| json!({ "id": n.to_string(), "title": "x" })).collect();
    let body = lines(documents.clone());
    let sending =
        client.at(&doomed.operator.base).request(Method::POST, &format!("{IMPORT}?action=upsert")).body(body.clone());
    let sending = tokio::spawn(async move { sending.send().await?.text().await });
    let rows = || async {
        let rows: Result<i64, _> = sqlx::query_scalar("select count(*) from tidewell.outbox").fetch_one(&pool).await;
        match rows {
            Ok(rows) if rows > 0 => Ok(rows),
            other => Err(other),
        }
    };
    eventually(Duration::from_secs(60), rows).await;
    doomed.process.kill();
    let answer = sending.await.expect("an end");
    let left = eventually(Duration::from_secs(60), rows).await;
    let (used, jobs): (i64, i64) = sqlx::query_as(
        "select (select sum(used)::bigint from tidewell.usage), (select sum(total)::bigint from tidewell.jobs)",
    )
    .fetch_one(&pool)
    .await
    .expect("counts");
    assert_eq!((left % 1000, used, jobs), (0, left, left));
    assert!(left == 30_000 || answer.is_err(), "a cut-off answer must not look whole");
    let _worker = stack.setting.work();
    let results = import(&client, "action=upsert", body).await;
    assert_eq!(results, vec![json!({ "success": true }); 30_000]);
    equals(&stack, &tenant, &documents).await;
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("notoffered").await;
    let client = typesense(&stack, &tenant).await;
    for (method, path) in [
        (Method::PATCH, format!("{DOCUMENTS}?filter_by=year:1")),
        (Method::GET, format!("{DOCUMENTS}/export")),
        (Method::PUT, format!("{DOCUMENTS}/a")),
    ] {
        let answer = client.send(client.request(method.clone(), &path).body("{}")).await;
        assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.status);
        assert!(answer.body["message"].is_string(), "{method} {path}: {}", answer.body);
    }
}

/// Runs a script of an official client that writes, and checks what it has left.
async fn written_by(script: &'static str) {
    let stack = Stack::start().await;
    let tenant = stack.tenant("published").await;
    let key = key(stack.operator(), "published", &["ingest"]).await;
    run_script(script, stack.operator(), &key).await;
    let imported = (0..2500).map(|n| json!({ "id": format!("many-{n}"), "title": format!("Book {n}"), "year": 2000 }));
    let mut left: Vec<Value> = imported.collect();
    left.push(json!({ "id": "one", "title": "One", "year": 3, "tags": ["b"] }));
    left.push(json!({ "id": "two", "title": "Two, again" }));
    left.push(json!({ "id": "three", "title": "Three", "genre": "poetry" }));
    left.push(json!({ "id": "a b/ü", "title": "Odd", "year": 1 }));
    equals(&stack, &tenant, &left).await;
}

#[tokio::test]
async fn the_client_for_javascript_writes() {
    written_by("writes.mjs").await;
}

#[tokio::test]
async fn the_client_for_python_writes() {
    written_by("writes.py").await;
}
