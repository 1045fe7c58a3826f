//! What there is to sync in a client's database: tables, columns, and what each would be in Typesense.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    client::Client,
    process,
    stack::{Setting, Stack},
    syncing::Syncing,
};

const PASSWORD: &str = "the-password-that-nobody-may-see";

/// No worker: nothing runs, things are looked at.
async fn syncing() -> Syncing {
    let setting = Setting::fresh().await;
    let typesense_url = setting.typesense_url.clone();
    let syncing = Syncing::without_worker(setting, &typesense_url).await;
    syncing
        .sql(
            "create table books (id bigint primary key, title text not null, price numeric(10,2), cover bytea, tags text[], isbn text unique);
             create schema more; create view more.titles as select title from books; create table \"more\".\"Odd / name\" (x int);
             insert into books select n, 'x' from generate_series(1, 200) as n; analyze books",
        )
        .await;
    syncing
}

#[tokio::test]
async fn tables_and_their_columns_are_told_with_what_they_would_be() {
    let syncing = syncing().await;
    let operator = syncing.stack.operator();
    let tables = operator.get("/v1/clients/shop/tables").await.expect(200);
    assert_eq!(
        tables,
        json!({
            "items": [
                { "schema": "more", "name": "Odd / name", "kind": "table", "estimatedRows": null },
                { "schema": "more", "name": "titles", "kind": "view", "estimatedRows": null },
                { "schema": "public", "name": "books", "kind": "table", "estimatedRows": 200 },
            ],
            "nextCursor": null,
        })
    );
    let books = operator.get("/v1/clients/shop/tables/public/books").await.expect(200);
    let column = |name: &str| {
        let found = books["columns"].as_array().expect("columns").iter().find(|column| column["name"] == name);
        found.cloned().unwrap_or_else(|| panic!("{name}: {books:#}"))
    };
    assert_eq!((&books["kind"], &books["uniqueKeys"]), (&json!("table"), &json!([["id"], ["isbn"]])));
    assert_eq!(
        column("price"),
        json!({ "name": "price", "type": "numeric(10,2)", "nullable": true, "fieldType": "float", "reason": null })
    );
    assert_eq!((&column("title")["nullable"], &column("tags")["fieldType"]), (&json!(false), &json!("string[]")));
    assert_eq!(column("cover")["fieldType"], Value::Null);
    assert!(column("cover")["reason"].as_str().is_some_and(|reason| reason.contains("bytea")), "{books:#}");
    let odd = operator.get("/v1/clients/shop/tables/more/Odd%20%2F%20name").await.expect(200);
    assert_eq!((&odd["columns"][0]["fieldType"], &odd["uniqueKeys"]), (&json!("int32"), &json!([])));
    for nowhere in ["/v1/clients/nobody/tables", "/v1/clients/shop/tables/public/nothing"] {
        operator.get(nowhere).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn some_rows_are_given_as_they_are_and_of_a_long_value_the_beginning() {
    let syncing = syncing().await;
    syncing
        .sql(
            r#"create table wide (id int primary key, story text, tags text[], extra jsonb, cover bytea, price numeric, note text);
               insert into wide values (1, repeat('é', 5000), '{a,"b c"}', '{"a": [1, null]}', '\x00ff', 'NaN', null);
               create view more.slow as select id, pg_sleep(60)::text as nap from wide"#,
        )
        .await;
    let operator = syncing.stack.operator();
    let of = |rest: &str| format!("/v1/clients/shop/tables/{rest}");
    let wide = operator.get(&of("public/wide/rows")).await.expect(200);
    let values = json!({
        "id": 1, "story": "é".repeat(1000), "tags": ["a", "b c"], "extra": { "a": [1, null] }, "cover": "\\x00ff", "price": "NaN",
        "note": null,
    });
    assert_eq!(wide, json!({ "items": [{ "values": values, "cut": ["story"] }], "nextCursor": null }));
    for (path, rows) in [
        ("public/books/rows", 5),
        ("public/books/rows?limit=1", 1),
        ("public/books/rows?limit=20", 20),
        ("more/titles/rows", 5),
        ("more/Odd%20%2F%20name/rows", 0),
    ] {
        let found = operator.get(&of(path)).await.expect(200);
        assert_eq!(found["items"].as_array().map(Vec::len), Some(rows), "{path}: {found:#}");
    }
    for limit in ["0", "21", "-1", "many"] {
        let path = of(&format!("public/books/rows?limit={limit}"));
        operator.get(&path).await.problem(400, "invalid_request");
    }
    for nowhere in ["/v1/clients/nobody/tables/public/books/rows", &of("public/nothing/rows"), &of("none/books/rows")] {
        operator.get(nowhere).await.problem(404, "not_found");
    }
    let began = Instant::now();
    let slow = operator.get(&of("more/slow/rows")).await;
    slow.problem(422, "validation_failed");
    assert_eq!(slow.body["errors"][0]["field"], "client");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn tables_are_the_operators_alone() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("nosy").await;
    let made = stack.operator().post("/v1/gateway-keys", &json!({ "name": "athena" })).await.expect(201);
    let gateway = Client::new(&stack.operator().base, "x-athena-key", made["rawKey"].as_str().expect("a key"));
    for path in
        ["/v1/clients/shop/tables", "/v1/clients/shop/tables/public/books", "/v1/clients/shop/tables/public/books/rows"]
    {
        tenant.client.get(path).await.problem(403, "forbidden");
        gateway.get(path).await.problem(403, "forbidden");
        stack.operator().bearer("ss_search_nonsense").get(path).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_source_that_can_not_be_read_is_a_fault_of_the_client_that_tells_why_and_not_where() {
    let syncing = syncing().await;
    let operator = syncing.stack.operator();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("an address");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let (address, _) = syncing.source_url.rsplit_once('/').expect("a database");
    for (name, url, said) in [
        ("gone", format!("{address}/gone"), "does not exist"),
        ("refusing", format!("postgres://reader:{PASSWORD}@{free}/shop"), "refused"),
        ("silent", format!("postgres://reader:{PASSWORD}@{silent}/shop"), "in time"),
    ] {
        operator.post("/v1/clients", &json!({ "name": name, "url": url })).await.expect(201);
        let began = Instant::now();
        let answer = operator.get(&format!("/v1/clients/{name}/tables")).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
        answer.problem(422, "validation_failed");
        let fault = &answer.body["errors"][0];
        assert_eq!(fault["field"], "client", "{:#}", answer.body);
        assert!(fault["message"].as_str().is_some_and(|message| message.contains(said)), "{name}: {fault:#}");
        assert!(!answer.body.to_string().contains(PASSWORD), "{:#}", answer.body);
    }
}

#[tokio::test]
async fn the_command_line_lists_tables_and_shows_columns() {
    let syncing = syncing().await;
    let run = |arguments: &[&str]| {
        let output = process::run(arguments, &syncing.stack.setting.variables());
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (listed, told) = run(&["client", "tables", "shop"]);
    assert!(listed && told.contains("more.titles") && told.contains("200"), "{told}");
    let (shown, told) = run(&["client", "tables", "shop", "books"]);
    for expected in ["numeric(10,2)", "float", "selected_columns", "unique: id; isbn"] {
        assert!(shown && told.contains(expected), "{expected}: {told}");
    }
    let (shown, told) = run(&["client", "tables", "shop", "more.titles", "--json"]);
    let view: Value = serde_json::from_str(&told).expect("JSON");
    let by_http = syncing.stack.operator().get("/v1/clients/shop/tables/more/titles").await.expect(200);
    assert!(shown && view == by_http, "{view:#}");
    let (found, told) = run(&["client", "tables", "shop", "nothing"]);
    assert!(!found && told.contains("public.nothing") && told.contains("tidewell client tables shop"), "{told}");
}
