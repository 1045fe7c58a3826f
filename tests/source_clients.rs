//! Clients: logical names of source databases, whose URLs are never shown; and what becomes of all that is stored encrypted when the
//! secret changes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    process,
    stack::{Setting, Stack},
};

const CLIENTS: &str = "/v1/clients";
const URL: &str = "postgres://reader:the-password-that-nobody-may-see@db.example.com:5432/shop";
const PASSWORD: &str = "the-password-that-nobody-may-see";
const OLD_SECRET: &str = "the-master-secret-of-all-of-the-tests";
const NEW_SECRET: &str = "the-master-secret-that-comes-after-it";

#[tokio::test]
async fn a_client_is_made_listed_changed_and_deleted_by_id_or_name() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let operator = stack.operator();
    let answer = operator.post(CLIENTS, &json!({ "name": "shop / eu", "url": URL })).await;
    let location = answer.header("location").expect("a place").to_owned();
    let made = answer.expect(201);
    let by_name = format!("{CLIENTS}/shop%20%2F%20eu");
    let properties: BTreeSet<&str> = made.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(properties, BTreeSet::from(["createdAt", "id", "name", "updatedAt"]));
    for path in [&location, &by_name] {
        assert_eq!(operator.get(path).await.expect(200), made);
    }
    operator.post(CLIENTS, &json!({ "name": "other", "url": URL })).await.expect(201);
    let listed = operator.get(&format!("{CLIENTS}?limit=1")).await.expect(200);
    assert_eq!(listed["items"][0]["name"], "other");
    let cursor = listed["nextCursor"].as_str().expect("more");
    let listed = operator.get(&format!("{CLIENTS}?cursor={cursor}")).await.expect(200);
    assert_eq!((&listed["items"], &listed["nextCursor"]), (&json!([made]), &Value::Null));
    let changed = operator.patch(&by_name, &json!({ "name": "shop", "url": "postgresql://h/d" })).await.expect(200);
    assert_eq!((&changed["id"], &changed["name"]), (&made["id"], &json!("shop")));
    operator.get(&by_name).await.problem(404, "not_found");
    operator.patch(&location, &json!({ "name": "other" })).await.problem(409, "conflict");
    operator.post(CLIENTS, &json!({ "name": "shop", "url": URL })).await.problem(409, "conflict");
    assert_eq!(operator.delete(&format!("{CLIENTS}/shop")).await.expect(200)["id"], made["id"]);
    for gone in [operator.get(&location).await, operator.delete(&location).await] {
        gone.problem(404, "not_found");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_client_is_told_without_its_url() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let operator = stack.operator();
    for (field, name, url) in [
        ("name", json!(""), json!(URL)),
        ("name", json!("a\0b"), json!(URL)),
        ("name", json!("a\nb"), json!(URL)),
        ("name", json!("x".repeat(1_000_000)), json!(URL)),
        ("name", json!("01890a5d-ac96-774b-bcce-b302099a8057"), json!(URL)),
        ("url", json!("a"), json!(URL.replace("postgres", "mysql"))),
        ("url", json!("a"), json!(format!("{URL}?sslmode={PASSWORD}"))),
        ("url", json!("a"), json!(format!("{URL}?pasword={PASSWORD}"))),
        ("url", json!("a"), json!(PASSWORD)),
        ("url", json!("a"), json!("")),
        ("body", json!(7), json!(URL)),
        ("body", json!("a"), json!([PASSWORD])),
        ("body", json!("a"), json!(null)),
    ] {
        let answer = operator.post(CLIENTS, &json!({ "name": name, "url": url })).await;
        answer.problem(422, "validation_failed");
        assert_eq!(answer.body["errors"][0]["field"], field, "{:#}", answer.body);
        assert!(!answer.body.to_string().contains(PASSWORD), "{:#}", answer.body);
    }
    operator.post(CLIENTS, &json!({ "name": "a" })).await.problem(422, "validation_failed");
    operator.post(CLIENTS, &json!({ "name": "a", "url": URL, "more": 1 })).await.problem(422, "validation_failed");
    operator.get(&format!("{CLIENTS}/a%00b")).await.problem(404, "not_found");
}

#[tokio::test]
async fn clients_are_the_operators_alone() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("nosy").await;
    let anybody = stack.operator().bearer("ss_search_nonsense");
    for (client, status, code) in [(&tenant.client, 403, "forbidden"), (&anybody, 401, "unauthorized")] {
        client.get(CLIENTS).await.problem(status, code);
        client.post(CLIENTS, &json!({})).await.problem(status, code);
        for answer in [client.get("/v1/clients/a").await, client.delete("/v1/clients/a").await] {
            answer.problem(status, code);
        }
    }
}

#[tokio::test]
async fn a_client_that_a_job_names_stays_and_the_job_follows_its_new_name() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let (operator, pool) = (stack.operator(), stack.setting.pool().await);
    operator.post(CLIENTS, &json!({ "name": "shop", "url": URL })).await.expect(201);
    sqlx::raw_sql(
        "insert into public.typesense_profiles (name, base_url, api_key_encrypted) values ('b', 'https://b', '');
         insert into public.typesense_sync_jobs
             (name, source_client_name, source_table_name, typesense_profile_id, collection_name, document_id_column)
         select 'the job', 'shop', 't', id, 'k', 'id' from public.typesense_profiles",
    )
    .execute(&pool)
    .await
    .expect("a job");
    let refused = operator.delete("/v1/clients/shop").await;
    refused.problem(409, "conflict");
    assert!(refused.body["detail"].as_str().is_some_and(|detail| detail.contains("the job")), "{:#}", refused.body);
    operator.patch("/v1/clients/shop", &json!({ "name": "store" })).await.expect(200);
    let named: String = sqlx::query_scalar("select source_client_name from public.typesense_sync_jobs")
        .fetch_one(&pool)
        .await
        .expect("the job");
    assert_eq!(named, "store");
    operator.delete("/v1/clients/store").await.problem(409, "conflict");
    sqlx::query("delete from public.typesense_sync_jobs").execute(&pool).await.expect("gone");
    operator.delete("/v1/clients/store").await.expect(200);
}

#[tokio::test]
async fn a_url_is_neither_logged_nor_stored_as_it_is() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_LOG", "trace")).await;
    let operator = stack.operator();
    operator.post(CLIENTS, &json!({ "name": "shop", "url": URL })).await.expect(201);
    operator.post(CLIENTS, &json!({ "name": "shop", "url": URL })).await.expect(409);
    operator.post(CLIENTS, &json!({ "name": "b", "url": format!("{URL}?pasword={PASSWORD}") })).await.expect(422);
    operator.patch("/v1/clients/shop", &json!({ "url": format!("{URL}2") })).await.expect(200);
    let stored: String = sqlx::query_scalar(
        "select string_agg(client::text || encode(url_encrypted, 'escape'), '') from tidewell.clients as client",
    )
    .fetch_one(&stack.setting.pool().await)
    .await
    .expect("clients");
    assert!(stored.contains("shop") && !stored.contains(PASSWORD), "{stored}");
    let log = stack.front.process.log();
    assert!(log.contains("serving") && !log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn without_the_secret_no_url_is_taken() {
    let stack = Stack::without_worker(Setting::fresh().await.with("TIDEWELL_SECRET", "")).await;
    let answer = stack.operator().post(CLIENTS, &json!({ "name": "a", "url": URL })).await;
    answer.problem(503, "unavailable");
    assert!(
        answer.body["detail"].as_str().is_some_and(|detail| detail.contains("TIDEWELL_SECRET")),
        "{:#}",
        answer.body
    );
    let output = process::run(&["client", "create", "a", "--url", URL], &stack.setting.variables());
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("TIDEWELL_SECRET"));
}

#[tokio::test]
async fn a_new_secret_takes_over_what_the_old_one_has_encrypted() {
    let setting = Setting::fresh().await.with("ATHENA_TYPESENSE_ALLOW_HTTP", true);
    let before = Stack::without_worker(setting.clone()).await;
    before.operator().post(CLIENTS, &json!({ "name": "shop", "url": URL })).await.expect(201);
    let backend = json!({ "name": "b", "base_url": setting.typesense_url, "api_key": setting.typesense_api_key, "search_api_key": "s" });
    let backend = before.operator().post("/typesense/backends", &backend).await.expect(201);
    let target = json!({ "profile_id": backend["data"]["id"] });
    let migrated = |setting: &Setting| -> Value {
        let output = process::run(&["migrate", "--json"], &setting.variables());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let test = async |setting: &Setting, status: u16| {
        let front = setting.serve();
        front.operator.post("/typesense/backends/test", &target).await.expect(status)
    };
    let (new, both) =
        (setting.clone().with("TIDEWELL_SECRET", NEW_SECRET), setting.clone().with("TIDEWELL_SECRET", NEW_SECRET));
    let both = both.with("TIDEWELL_PREVIOUS_SECRET", OLD_SECRET);
    let told = test(&new, 503).await;
    assert!(told["message"].as_str().is_some_and(|message| message.contains("TIDEWELL_PREVIOUS_SECRET")), "{told:#}");
    test(&both, 200).await;
    assert_eq!(migrated(&setting)["reencrypted"], Value::Null);
    assert_eq!(migrated(&both)["reencrypted"], 3);
    assert_eq!(migrated(&both)["reencrypted"], 0);
    test(&new, 200).await;
    test(&setting, 503).await;
    // The old one is not needed any more; a wrong one leaves everything as it is, and is told of.
    let lost = setting.with("TIDEWELL_SECRET", "x".repeat(40)).with("TIDEWELL_PREVIOUS_SECRET", "y".repeat(40));
    let told = migrated(&lost);
    assert_eq!(
        (&told["reencrypted"], &told["unreadable"]),
        (&json!(0), &json!(["client shop", "backend b", "backend b (search key)"]))
    );
    test(&new, 200).await;
}

#[tokio::test]
async fn the_command_line_does_what_the_routes_do() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let run = |arguments: &[&str], stdin: &str| {
        let arguments = [arguments, &["--json"]].concat();
        process::run_with_stdin(&arguments, &stack.setting.variables(), stdin)
    };
    let good = |arguments: &[&str], stdin: &str| -> Value {
        let output = run(arguments, stdin);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let bad = |arguments: &[&str], stdin: &str| -> String {
        let output = run(arguments, stdin);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let made = good(&["client", "create", "shop", "--url", "-"], &format!("{URL}\n"));
    assert_eq!(stack.operator().get("/v1/clients/shop").await.expect(200), made);
    assert_eq!(good(&["client", "list"], "")["items"], json!([made]));
    assert_eq!(good(&["client", "show", "shop"], ""), made);
    assert_eq!(good(&["client", "update", "shop", "--name", "store", "--url", URL], "")["id"], made["id"]);
    assert!(bad(&["client", "show", "shop"], "").contains("tidewell client list"));
    assert!(bad(&["client", "create", "store", "--url", URL], "").contains("already"));
    let told = bad(&["client", "create", "a", "--url", "-"], PASSWORD);
    assert!(told.contains("postgres://user:password@host") && !told.contains(PASSWORD), "{told}");
    assert_eq!(good(&["client", "delete", "store"], "")["id"], made["id"]);
}
