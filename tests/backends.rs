//! Backends of table syncs: Athena's routes for them, and what is never shown.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    client::{Answer, Client},
    process,
    stack::{OPERATOR_KEY, Setting, Stack, key},
};

const BACKENDS: &str = "/typesense/backends";
const SECRET_KEY: &str = "the-key-that-nobody-may-see";

async fn stack() -> Stack {
    Stack::without_worker(Setting::fresh().await.with("ATHENA_TYPESENSE_ALLOW_HTTP", true)).await
}

/// The data of a success.
#[track_caller]
fn data(answer: Answer, status: u16) -> Value {
    let mut body = answer.expect(status);
    assert_eq!(body["status"], "success", "{body:#}");
    assert!(body["message"].is_string(), "{body:#}");
    body["data"].take()
}

/// The message of an error in Athena's envelope.
#[track_caller]
fn error(answer: Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").is_some());
    let body = answer.expect(status);
    assert_eq!((&body["status"], &body["error"]), (&json!("error"), &json!(code)), "{body:#}");
    body["message"].as_str().expect("a message").to_owned()
}

fn real(stack: &Stack, name: &str) -> Value {
    json!({ "name": name, "base_url": stack.setting.typesense_url, "api_key": stack.setting.typesense_api_key })
}

/// The address of a node that is down.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// The address of a server that is no Typesense, and answers everything alike.
async fn stranger(status: &str, body: &str) -> String {
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

fn path(backend: &Value) -> String {
    format!("{BACKENDS}/{}", backend["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_backend_is_made_listed_changed_and_deleted_by_operator_and_gateway_key() {
    let stack = stack().await;
    let made = stack.operator().post("/v1/gateway-keys", &json!({ "name": "athena" })).await.expect(201);
    let gateway = Client::new(&stack.operator().base, "x-athena-key", made["rawKey"].as_str().expect("a key"));
    let admin = Client::new(&stack.operator().base, "x-athena-admin-key", OPERATOR_KEY);
    for (n, client) in [stack.operator().clone(), gateway, admin].into_iter().enumerate() {
        let name = format!("backend {n}");
        let answer = client.post(BACKENDS, &real(&stack, &name)).await;
        let location = answer.header("location").expect("a place").to_owned();
        let made = data(answer, 201);
        assert_eq!(
            (&made["name"], &made["timeout_ms"], &made["has_search_key"]),
            (&json!(name), &json!(10_000), &json!(false))
        );
        assert_eq!(location, path(&made));
        assert_eq!(data(client.get(&location).await, 200), made);
        let changes = json!({
            "name": format!("{name}!"),
            "timeout_ms": 500,
            "api_key": "k",
            "search_api_key": "s",
            "further_urls": ["https://b"],
        });
        let changed = data(client.patch(&location, &changes).await, 200);
        assert_eq!(changed["name"], format!("{name}!"));
        assert_eq!((&changed["timeout_ms"], &changed["has_search_key"]), (&json!(500), &json!(true)));
        assert_eq!((&changed["base_url"], &changed["further_urls"]), (&made["base_url"], &json!(["https://b"])));
        let changes = json!({ "api_key": "k", "search_api_key": null, "nodes": ["https://c/"] });
        let changed = data(client.patch(&location, &changes).await, 200);
        assert_eq!(changed["has_search_key"], false);
        assert_eq!((&changed["base_url"], &changed["further_urls"]), (&json!("https://c"), &json!([])));
        assert_eq!(data(client.patch(&location, &json!({})).await, 200)["name"], changed["name"]);
        assert_eq!(data(client.delete(&location).await, 200)["id"], made["id"]);
        for gone in
            [client.get(&location).await, client.delete(&location).await, client.patch(&location, &json!({})).await]
        {
            error(gone, 404, "not_found");
        }
    }
}

#[tokio::test]
async fn backends_are_listed_newest_first_by_cursor() {
    let stack = stack().await;
    let operator = stack.operator();
    for name in ["a", "b", "c"] {
        data(operator.post(BACKENDS, &real(&stack, name)).await, 201);
    }
    let first = data(operator.get(&format!("{BACKENDS}?limit=2")).await, 200);
    let names = |page: &Value| {
        page["items"].as_array().expect("items").iter().map(|item| item["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["c", "b"]);
    let cursor = first["nextCursor"].as_str().expect("more");
    let second = data(operator.get(&format!("{BACKENDS}?limit=2&cursor={cursor}")).await, 200);
    assert_eq!((names(&second), &second["nextCursor"]), (vec![json!("a")], &Value::Null));
    for query in ["limit=0", "limit=many", "cursor=x"] {
        error(operator.get(&format!("{BACKENDS}?{query}")).await, 400, "invalid_request");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_backend_is_told_by_field() {
    let stack = stack().await;
    let operator = stack.operator();
    let faulty = |change: Value| {
        let mut backend = real(&stack, "good");
        let fields = backend.as_object_mut().expect("an object");
        fields.extend(change.as_object().expect("an object").clone());
        fields.retain(|_, value| *value != "LEFT OUT");
        backend
    };
    for (field, change) in [
        ("name", json!({ "name": "" })),
        ("name", json!({ "name": "a\0b" })),
        ("name", json!({ "name": "x".repeat(101) })),
        ("name", json!({ "name": "01890a5d-ac96-774b-bcce-b302099a8057" })),
        ("base_url", json!({ "base_url": "https://user:hush@host" })),
        ("base_url", json!({ "base_url": "https://host/path" })),
        ("base_url", json!({ "base_url": "https://host?x=hush" })),
        ("base_url", json!({ "base_url": "ftp://host" })),
        ("base_url", json!({ "base_url": "x".repeat(1_000_000) })),
        ("base_url", json!({ "base_url": "LEFT OUT" })),
        ("base_url", json!({ "nodes": ["https://a"] })),
        ("further_urls[1]", json!({ "further_urls": ["https://a", "nowhere"] })),
        ("nodes[1]", json!({ "base_url": "LEFT OUT", "nodes": ["https://a", "https://a/"] })),
        ("nodes[0]", json!({ "base_url": "LEFT OUT", "nodes": [] })),
        ("api_key", json!({ "api_key": "hush\nhush" })),
        ("api_key", json!({ "api_key": "" })),
        ("search_api_key", json!({ "search_api_key": "hüsh" })),
        ("timeout_ms", json!({ "timeout_ms": 99 })),
        ("timeout_ms", json!({ "timeout_ms": 600_001 })),
        ("body", json!({ "api_key": 4711 })),
        ("body", json!({ "api_key": "LEFT OUT" })),
        ("body", json!({ "timeout_ms": "soon" })),
        ("body", json!({ "timeout_ms": 1e12 })),
        ("body", json!({ "further_urls": "https://a" })),
        ("body", json!({ "apiKey": "k" })),
    ] {
        let answer = operator.post(BACKENDS, &faulty(change.clone())).await;
        assert_eq!(answer.body["errors"][0]["field"], field, "{change}: {:#}", answer.body);
        let text = answer.body.to_string();
        assert!(!text.contains("hush") && !text.contains("4711"), "{text}");
        assert!(error(answer, 422, "validation_failed").starts_with(&format!("{field}: ")));
    }
    for body in [json!([]), json!(null), json!("x")] {
        error(operator.post(BACKENDS, &body).await, 422, "validation_failed");
    }
    assert_eq!(data(operator.get(BACKENDS).await, 200)["items"], json!([]));
}

#[tokio::test]
async fn a_name_is_one_backends_and_a_backend_in_use_stays() {
    let stack = stack().await;
    let operator = stack.operator();
    let made = data(operator.post(BACKENDS, &real(&stack, "ü / it's \"a\" name; --")).await, 201);
    let other = data(operator.post(BACKENDS, &real(&stack, "other")).await, 201);
    error(operator.post(BACKENDS, &real(&stack, "other")).await, 409, "conflict");
    error(operator.patch(&path(&other), &json!({ "name": made["name"] })).await, 409, "conflict");
    let pool = stack.setting.pool().await;
    let id: uuid::Uuid = made["id"].as_str().expect("an id").parse().expect("a UUID");
    sqlx::query(
        "insert into public.typesense_sync_jobs
             (name, source_client_name, source_table_name, typesense_profile_id, collection_name, document_id_column)
         values ('j', 'c', 't', $1, 'k', 'id')",
    )
    .bind(id)
    .execute(&pool)
    .await
    .expect("a job");
    let told = error(operator.delete(&path(&made)).await, 409, "conflict");
    assert!(told.contains("job"), "{told}");
    data(operator.get(&path(&made)).await, 200);
}

#[tokio::test]
async fn whoever_may_not_call_is_told_so_before_anything_else() {
    let stack = stack().await;
    let tenant = stack.tenant("nosy").await;
    let operator = stack.operator();
    let made = operator.post("/v1/gateway-keys", &json!({ "name": "k" })).await.expect(201);
    sqlx::query("update tidewell.gateway_keys set rights = '{gateway.other}'")
        .execute(&stack.setting.pool().await)
        .await
        .expect("changed");
    let without_right = Client::new(&operator.base, "x-athena-key", made["rawKey"].as_str().expect("a key"));
    let anybody = Client::new(&operator.base, "x-athena-key", "nonsense");
    let searcher = operator.bearer(&key(operator, "nosy", &["search"]).await);
    for (client, status, code) in [
        (&anybody, 401, "unauthorized"),
        (&without_right, 403, "forbidden"),
        (&tenant.client, 403, "forbidden"),
        (&searcher, 403, "forbidden"),
    ] {
        for (method, path) in [
            (Method::POST, "/typesense/backends"),
            (Method::POST, "/typesense/backends/test"),
            (Method::POST, "/typesense/collections/list"),
            (Method::PUT, "/typesense/backends"),
            (Method::GET, "/typesense"),
            (Method::GET, "/typesense/"),
            (Method::DELETE, "/typesense/backends/none/none"),
        ] {
            let malformed = client.request(method, path).header("content-encoding", "br").body("{");
            error(client.send(malformed).await, status, code);
        }
    }
    // What the operator did wrong is in the same envelope.
    let send = async |method, path, coding, body: &str| {
        let request = operator.request(method, path).header("content-encoding", coding).body(body.to_owned());
        operator.send(request).await
    };
    error(send(Method::POST, BACKENDS, "identity", "{").await, 400, "invalid_request");
    error(send(Method::POST, BACKENDS, "br", "{}").await, 415, "unsupported_media_type");
    error(send(Method::POST, BACKENDS, "identity", &" ".repeat(3 << 20)).await, 413, "payload_too_large");
    error(send(Method::GET, "/typesense/backends/1", "identity", "").await, 404, "not_found");
    error(send(Method::GET, "/typesense/backends/a%00b", "identity", "").await, 404, "not_found");
    for path in ["/typesense", "/typesense/", "/typesense/backends/test/more"] {
        error(send(Method::GET, path, "identity", "").await, 404, "not_found");
    }
    let wrong_method = send(Method::PUT, BACKENDS, "identity", "").await;
    assert_eq!(wrong_method.header("allow"), Some("GET,HEAD,POST"));
    error(wrong_method, 405, "method_not_allowed");
}

#[tokio::test]
async fn a_gateway_key_can_not_have_stored_keys_sent_to_an_address_of_its_own() {
    let stack = stack().await;
    let operator = stack.operator();
    let made = operator.post("/v1/gateway-keys", &json!({ "name": "athena" })).await.expect(201);
    let gateway = Client::new(&operator.base, "x-athena-key", made["rawKey"].as_str().expect("a key"));
    let mut backend = real(&stack, "b");
    backend["search_api_key"] = json!("s");
    let backend = path(&data(operator.post(BACKENDS, &backend).await, 201));
    for (changes, field) in [
        (json!({ "base_url": "https://elsewhere" }), "api_key"),
        (json!({ "nodes": [stack.setting.typesense_url, "https://elsewhere"] }), "api_key"),
        (json!({ "further_urls": ["https://elsewhere"], "search_api_key": "s" }), "api_key"),
        (json!({ "base_url": "https://elsewhere", "api_key": "k" }), "search_api_key"),
    ] {
        let told = error(gateway.patch(&backend, &changes).await, 422, "validation_failed");
        assert!(told.starts_with(&format!("{field}: must be given anew")), "{told}");
    }
    data(gateway.patch(&backend, &json!({ "base_url": stack.setting.typesense_url, "timeout_ms": 700 })).await, 200);
    let with_keys = json!({ "base_url": "https://elsewhere", "api_key": "k", "search_api_key": null });
    data(gateway.patch(&backend, &with_keys).await, 200);
    data(operator.patch(&backend, &json!({ "base_url": "https://elsewhere.still" })).await, 200);
}

#[tokio::test]
async fn a_backend_is_tested_and_its_collections_are_listed_stored_or_not() {
    let stack = stack().await;
    let operator = stack.operator();
    let collection = format!("listed_{}", uuid::Uuid::new_v4().simple());
    let typesense = Client::new(&stack.setting.typesense_url, "x-typesense-api-key", &stack.setting.typesense_api_key);
    let schema =
        json!({ "name": collection, "fields": [{ "name": "n", "type": "int32" }], "default_sorting_field": "n" });
    typesense.post("/collections", &schema).await.expect(201);
    let alias = json!({ "collection_name": collection });
    typesense.put(&format!("/aliases/{collection}_alias"), &alias).await.expect(200);
    let stored = data(operator.post(BACKENDS, &real(&stack, "real")).await, 201);
    let ad_hoc = json!({ "base_url": stack.setting.typesense_url, "api_key": stack.setting.typesense_api_key, "timeout_ms": 5000 });
    for target in [ad_hoc.clone(), json!({ "profile_id": stored["id"] })] {
        let tested = data(operator.post("/typesense/backends/test", &target).await, 200);
        assert_eq!((&tested["ok"], &tested["nodes"][0]["healthy"]), (&json!(true), &json!(true)));
        assert_eq!(tested["nodes"][0]["url"], stored["base_url"]);
        assert!(tested["latency_ms"].is_u64() && tested["collections"].as_u64() > Some(0), "{tested:#}");
        assert!(tested["version"].as_str().is_some_and(|version| version.starts_with("0.")), "{tested:#}");
        let listed = data(operator.post("/typesense/collections/list", &target).await, 200);
        assert_eq!(listed["nextCursor"], Value::Null);
        let items = listed["items"].as_array().expect("items");
        let found = items.iter().find(|item| item["name"] == *collection).expect("the collection");
        assert_eq!((&found["num_documents"], &found["default_sorting_field"]), (&json!(0), &json!("n")));
        assert_eq!(
            (&found["aliases"], &found["fields"][0]["name"]),
            (&json!([format!("{collection}_alias")]), &json!("n"))
        );
        assert!(found["created_at"].is_string());
    }
    for route in ["/typesense/backends/test", "/typesense/collections/list"] {
        for target in [
            json!({}),
            json!({ "base_url": ad_hoc["base_url"] }),
            json!({ "api_key": "k" }),
            json!({ "profile_id": stored["id"], "api_key": "k" }),
            json!({ "profile_id": stored["id"], "base_url": ad_hoc["base_url"], "api_key": "k" }),
            json!({ "profile_id": 7 }),
            json!({ "profile_id": stored["id"], "timeout_ms": 0 }),
            json!({ "base_url": "https://user:hush@host", "api_key": "k" }),
        ] {
            error(operator.post(route, &target).await, 422, "validation_failed");
        }
        let unknown = json!({ "profile_id": "00000000-0000-0000-0000-000000000000" });
        error(operator.post(route, &unknown).await, 404, "not_found");
        let refused = json!({ "base_url": ad_hoc["base_url"], "api_key": SECRET_KEY });
        let told = error(operator.post(route, &refused).await, 422, "backend_refused_key");
        assert!(told.contains("key") && !told.contains(SECRET_KEY), "{told}");
        let unreachable = json!({ "base_url": nobody().await, "api_key": SECRET_KEY });
        let told = error(operator.post(route, &unreachable).await, 422, "backend_unreachable");
        assert!(told.contains("check its address") && !told.contains(SECRET_KEY), "{told}");
        for (status, body) in [("200 OK", "<html>hush</html>"), ("404 Not Found", "hush"), ("302 Found", "hush")] {
            let stranger = json!({ "base_url": stranger(status, body).await, "api_key": SECRET_KEY });
            let told = error(operator.post(route, &stranger).await, 422, "backend_unreachable");
            assert!(told.contains("Typesense") && !told.contains("hush"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_backend_whose_first_node_is_down_goes_on_with_the_second() {
    let stack = stack().await;
    let operator = stack.operator();
    let (down, real) = (nobody().await, &stack.setting.typesense_url);
    let backend = json!({ "name": "two", "nodes": [down, real], "api_key": stack.setting.typesense_api_key });
    let made = data(operator.post(BACKENDS, &backend).await, 201);
    assert_eq!((&made["base_url"], &made["further_urls"]), (&json!(down), &json!([real])));
    let target = json!({ "profile_id": made["id"] });
    let tested = data(operator.post("/typesense/backends/test", &target).await, 200);
    assert_eq!((&tested["nodes"][0]["healthy"], &tested["nodes"][1]["healthy"]), (&json!(false), &json!(true)));
    assert!(tested["nodes"][0]["error"].is_string() && tested["version"].is_string(), "{tested:#}");
    data(operator.post("/typesense/collections/list", &target).await, 200);
}

#[tokio::test]
async fn plain_http_is_refused_unless_the_setting_allows_it() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let operator = stack.operator();
    let local = real(&stack, "local");
    let told = error(operator.post(BACKENDS, &local).await, 422, "validation_failed");
    assert!(told.contains("ATHENA_TYPESENSE_ALLOW_HTTP"), "{told}");
    let target = json!({ "base_url": local["base_url"], "api_key": local["api_key"] });
    for route in ["/typesense/backends/test", "/typesense/collections/list"] {
        assert!(error(operator.post(route, &target).await, 422, "validation_failed").contains("https"));
    }
    let secure = json!({ "name": "secure", "base_url": "https://search.example.com", "api_key": "k" });
    let made = data(operator.post(BACKENDS, &secure).await, 201);
    error(
        operator.patch(&path(&made), &json!({ "further_urls": ["http://10.0.0.7"] })).await,
        422,
        "validation_failed",
    );
}

#[tokio::test]
async fn keys_are_neither_shown_nor_logged_nor_stored_as_they_are() {
    let setting = Setting::fresh().await.with("ATHENA_TYPESENSE_ALLOW_HTTP", true).with("TIDEWELL_LOG", "trace");
    let stack = Stack::without_worker(setting).await;
    let operator = stack.operator();
    let backend = json!({ "name": "b", "base_url": nobody().await, "api_key": SECRET_KEY, "search_api_key": format!("{SECRET_KEY}2") });
    let made = operator.post(BACKENDS, &backend).await.expect(201);
    let id = path(&made["data"]);
    let seen = [
        made.clone(),
        operator.get(BACKENDS).await.expect(200),
        operator.get(&id).await.expect(200),
        operator.patch(&id, &json!({ "api_key": format!("{SECRET_KEY}3") })).await.expect(200),
        operator.post(BACKENDS, &backend).await.expect(409),
        operator.post("/typesense/backends/test", &json!({ "profile_id": made["data"]["id"] })).await.expect(422),
    ];
    for body in seen {
        assert!(!body.to_string().contains(SECRET_KEY), "{body:#}");
    }
    let stored: String = sqlx::query_scalar(
        "select string_agg(profile::text || encode(api_key_encrypted, 'escape') || encode(search_api_key_encrypted, 'escape'), '')
         from public.typesense_profiles as profile",
    )
    .fetch_one(&stack.setting.pool().await)
    .await
    .expect("profiles");
    assert!(stored.contains("127.0.0.1") && !stored.contains(SECRET_KEY), "{stored}");
    let log = stack.front.process.log();
    assert!(!log.is_empty() && !log.contains(SECRET_KEY), "{log}");
}

#[tokio::test]
async fn without_the_secret_a_backend_is_503_and_one_that_is_not_stored_can_be_tested() {
    let setting = Setting::fresh().await.with("ATHENA_TYPESENSE_ALLOW_HTTP", true).with("TIDEWELL_SECRET", "");
    let stack = Stack::without_worker(setting).await;
    let answer = stack.operator().post(BACKENDS, &real(&stack, "b")).await;
    assert!(answer.header("retry-after").is_some());
    assert!(error(answer, 503, "unavailable").contains("TIDEWELL_SECRET"));
    let target = json!({ "base_url": stack.setting.typesense_url, "api_key": stack.setting.typesense_api_key });
    data(stack.operator().post("/typesense/backends/test", &target).await, 200);
}

#[tokio::test]
async fn the_command_line_does_what_the_routes_do() {
    let stack = stack().await;
    let (url, api_key) = (stack.setting.typesense_url.clone(), stack.setting.typesense_api_key.clone());
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
    let stdin = format!("{api_key}\nsearch\n");
    let made = good(&["backend", "create", "b", "--node", &url, "--api-key", "-", "--search-api-key", "-"], &stdin);
    assert_eq!((&made["has_search_key"], &made["timeout_ms"]), (&json!(true), &json!(10_000)));
    assert_eq!(data(stack.operator().get(&path(&made)).await, 200)["base_url"], *url);
    assert_eq!(good(&["backend", "list"], "")["items"][0]["id"], made["id"]);
    assert_eq!(good(&["backend", "show", "b"], ""), made);
    assert_eq!(good(&["backend", "test", "b"], "")["ok"], true);
    assert_eq!(good(&["backend", "test", "--base-url", &url, "--api-key", "-"], &api_key)["ok"], true);
    assert!(good(&["backend", "collections", "b"], "")["items"].is_array());
    assert!(bad(&["backend", "test", "--node", &url, "--api-key", SECRET_KEY], "").contains("refuses the key"));
    let changed = good(&["backend", "update", "b", "--name", "c", "--no-search-api-key", "--timeout-ms", "700"], "");
    assert_eq!((&changed["has_search_key"], &changed["timeout_ms"]), (&json!(false), &json!(700)));
    assert!(bad(&["backend", "show", "b"], "").contains("tidewell backend list"));
    assert!(bad(&["backend", "create", "c", "--node", &url, "--api-key", "k"], "").contains("already"));
    let told = bad(&["backend", "create", "d", "--node", "https://a:hush@h", "--api-key", "-"], "ha sh\n");
    assert!(told.contains("API key") && !told.contains("ha sh"), "{told}");
    assert_eq!(good(&["backend", "delete", "c"], "")["id"], made["id"]);
}
