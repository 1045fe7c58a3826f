//! Tables kept fresh in Typesense: what a run writes, and what it leaves alone.

use reqwest::Method;
use serde_json::json;

use crate::support::syncing::Syncing;

/// A table of so many books.
async fn books(syncing: &Syncing, rows: usize) {
    syncing
        .sql(&format!(
            "create table books (id bigint primary key, title text not null, price numeric not null, pages int, added timestamptz);
             insert into books select n, 'Title ' || n, n * 0.25, n % 700, now() from generate_series(1, {rows}) as n"
        ))
        .await;
}

/// The table's rows as documents.
const BOOKS: &str =
    "select id::text, title, price::float8 as price, pages, floor(extract(epoch from added))::int8 as added from books";

#[tokio::test]
async fn a_run_writes_what_has_changed_and_nothing_else() {
    let syncing = Syncing::start().await;
    books(&syncing, 12_000).await;
    let job = syncing.job(json!({})).await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (12_000, 0, 0));
    syncing.equals(&job, BOOKS).await;
    let unchanged = syncing.run(&job).await;
    assert_eq!(Syncing::counts(&unchanged), (0, 0, 0));
    assert_eq!(unchanged["unchanged_count"], 12_000);
    syncing
        .sql(
            "update books set title = title || '!' where id % 12 = 0;
             delete from books where id % 24 = 1;
             insert into books select n, 'New ' || n, 1, null, null from generate_series(-250, -1) as n;
             insert into books select n, 'New ' || n, 1, null, null from generate_series(20001, 20250) as n",
        )
        .await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (1500, 500, 0));
    syncing.equals(&job, BOOKS).await;
    let again = syncing.again(&job).await;
    assert_eq!((&again["last_sync_status"], &again["last_source_row_count"]), (&json!("success"), &json!(12_000)));
    let runs = syncing.call(Method::GET, &job, "/runs").await.expect(200);
    assert_eq!(runs["data"]["items"].as_array().expect("runs").len(), 3);
}

#[tokio::test]
async fn every_type_of_postgres_becomes_what_typesense_can_take() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create type mood as enum ('calm', 'wild');
             create domain positive as int check (value > 0);
             create type size as (width int, unit text);
             create table books (
                 id bigint primary key, small int2, big bigint, price numeric, real float4, double float8, ok bool, code uuid, mood mood,
                 day date, plain timestamp, zoned timestamptz, as_text timestamptz, doc jsonb, raw json, place point, tags text[],
                 prices numeric[], moods mood[], grid int[][], times timestamptz[], span interval, host inet, few positive,
                 fews positive[], size size, sizes size[], range int4range, list jsonb, exact numeric, char char(5));
             insert into books values (
                 9007199254740993, -7, 9223372036854775807, 12.50, 0.1, 0.30000000000000004, true,
                 '0b0e7c5e-7d3c-4c5e-9a68-2c6d1e0d7a11', 'wild', '2024-02-29', '2024-02-29 12:00:00.9', '2024-02-29 12:00:00.9+02',
                 '2024-02-29 12:00:00.5+02', '{\"a\": {\"b\": [1, 2]}}', '{\"c\":
                 1}', '(8.5,47.4)', array['x', null, '\"y\"'], array[1.5, null, 'NaN'], array['calm']::mood[],
                 array[[1, 2], [3, 4]], array['1970-01-01 00:00:10+00'::timestamptz, null], '1 day 02:00', '10.0.0.1', 3,
                 array[1, 2]::positive[], row(3, 'cm'), array[row(1, 'm')]::size[], '[1,5)', '[{\"k\": 1}]', 12.5000, 'ab');
             insert into books (id, price, real, double, day, zoned, doc, raw, tags)
             values (2, 'NaN', 'Infinity', '-Infinity', 'infinity', '-infinity', 'null', 'null', '{}'), (3, 1e-400, 1, 1, null, null,
                 '{}', '{}', null), (4, 1e305, null, null, '0044-03-15 BC', null, null, null, null)",
        )
        .await;
    let fields =
        json!({ "as_text": { "type": "string" }, "list": { "type": "object[]" }, "exact": { "type": "string" } });
    let job = syncing.job(json!({ "field_config": fields })).await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (4, 0, 0));
    let held = syncing.held(&job["collection_name"]).await;
    let expected = json!({
        "id": "9007199254740993", "small": -7, "big": 9_223_372_036_854_775_807_i64, "price": 12.5, "real": 0.1,
        "double": 0.300_000_000_000_000_04, "ok": true, "code": "0b0e7c5e-7d3c-4c5e-9a68-2c6d1e0d7a11", "mood": "wild",
        "day": 1_709_164_800, "plain": 1_709_208_000, "zoned": 1_709_200_800, "as_text": "2024-02-29T10:00:00.5Z",
        "doc": { "a": { "b": [1, 2] } }, "raw": { "c": 1 }, "place": [47.4, 8.5], "tags": ["x", "\"y\""], "prices": [1.5],
        "moods": ["calm"], "grid": [1, 2, 3, 4], "times": [10], "span": "1 day 02:00:00", "host": "10.0.0.1", "few": 3,
        "fews": [1, 2], "size": { "width": 3, "unit": "cm" }, "sizes": [{ "width": 1, "unit": "m" }], "range": "[1,5)",
        "list": [{ "k": 1 }], "exact": "12.5000", "char": "ab",
    });
    assert_eq!(held["9007199254740993"], expected);
    assert_eq!(held["2"], json!({ "id": "2", "tags": [] }), "what is no number and no moment is left out");
    assert_eq!(held["3"], json!({ "id": "3", "price": 0.0, "real": 1.0, "double": 1.0, "doc": {}, "raw": {} }));
    assert_eq!(held["4"]["day"], -63_517_824_000_i64);
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (0, 0, 0));
}

#[tokio::test]
async fn what_can_not_be_a_job_is_answered_with_what_to_change() {
    let syncing = Syncing::start().await;
    books(&syncing, 10).await;
    syncing
        .sql(
            "create table pictures (id int primary key, image bytea); create table loose (id int, name text);
             create view twice as select 1 as id, 'x' as name from generate_series(1, 2); create table nullable (id int unique, name text)",
        )
        .await;
    let operator = syncing.stack.operator();
    for (more, field, said) in [
        (json!({ "source_table_name": "book" }), "source_table_name", "no table or view public.book"),
        (json!({ "source_client_name": "nobody" }), "source_client_name", "no client"),
        (json!({ "typesense_profile_id": uuid::Uuid::new_v4() }), "typesense_profile_id", "no such backend"),
        (json!({ "selected_columns": ["id", "tilte"] }), "selected_columns", "it has id, title"),
        (json!({ "source_table_name": "pictures" }), "selected_columns", "bytea"),
        (json!({ "source_table_name": "loose" }), "document_id_column", "create unique index"),
        (json!({ "source_table_name": "nullable" }), "document_id_column", "set not null"),
        (json!({ "source_table_name": "twice" }), "document_id_column", "share a value"),
        (json!({ "query_by_fields": ["price"] }), "query_by_fields", "searches look in texts"),
        (json!({ "default_sort_field": "title" }), "default_sort_field", "int64"),
        (json!({ "default_sort_field": "pages" }), "default_sort_field", "may be null"),
        (json!({ "cron": "sometimes" }), "cron", "can't be read"),
        (json!({ "cron": "* * * * *", "timezone": "Nowhere" }), "timezone", "no time zone"),
        (json!({ "cron": "* * * * *", "sync_interval_minutes": 5 }), "cron", "not both"),
        (json!({ "batch_size": 0 }), "batch_size", "1 to 10000"),
        (json!({ "collection_name": "a/b" }), "collection_name", "letters"),
        (json!({ "name": "" }), "name", "1 to"),
    ] {
        let refused = operator.post("/typesense/sync-jobs", &syncing.spec(more.clone())).await.expect(422);
        assert_eq!((&refused["status"], &refused["error"]), (&json!("error"), &json!("validation_failed")));
        let faults = refused["errors"].as_array().expect("faults");
        let is_told = |fault: &serde_json::Value| {
            fault["field"] == field && fault["message"].as_str().is_some_and(|message| message.contains(said))
        };
        assert!(faults.iter().any(is_told), "{more}: {refused:#}");
    }
    for malformed in [json!({ "batch_size": "many" }), json!({ "colour": "red" }), json!({ "sync_strategy": "magic" })]
    {
        let refused = operator.post("/typesense/sync-jobs", &syncing.spec(malformed)).await;
        assert!([400, 422].contains(&refused.status.as_u16()), "{:#}", refused.body);
    }
    let job = syncing.job(json!({})).await;
    operator.post("/typesense/sync-jobs", &syncing.spec(json!({}))).await.expect(409);
    let same = json!({ "name": "other", "collection_name": job["collection_name"] });
    operator.post("/typesense/sync-jobs", &syncing.spec(same)).await.expect(422);
}
