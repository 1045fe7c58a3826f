//! Tables kept fresh in Typesense: what a run writes, and what it leaves alone.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::json;

use crate::support::{eventually, syncing::Syncing};

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

#[tokio::test]
async fn rows_that_typesense_refuses_cost_no_good_document() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create table books (id bigint primary key, title text not null, doc jsonb);
             insert into books select n, 'Title ' || n, '{\"a\": 1}' from generate_series(1, 1000) as n;
             update books set doc = '[1]' where id % 100 = 0",
        )
        .await;
    let good = "select id::text, title, doc from books where id % 100 <> 0";
    let job = syncing.job(json!({ "failed_share_limit": 0.01 })).await;
    let run = syncing.run(&job).await;
    assert_eq!(Syncing::counts(&run), (990, 0, 10));
    syncing.equals(&job, good).await;
    let letters = syncing.letters(&job).await;
    assert_eq!(letters.len(), 10);
    assert!(letters.iter().all(|(_, reason)| reason.contains("doc")), "{letters:?}");
    // Unchanged, they are not sent again, and still count.
    let again = syncing.run(&job).await;
    assert_eq!((Syncing::counts(&again), &again["unchanged_count"]), ((0, 0, 10), &json!(990)));
    // A new version that is refused does not cost the good one before it; beyond the limit the run has failed all the same.
    syncing
        .sql("update books set title = 'new', doc = '[2]' where id = 1; update books set title = 'new' where id = 2")
        .await;
    let failed = syncing.run(&job).await;
    assert_eq!(
        (&failed["status"], &failed["failed_count"], &failed["imported_count"]),
        (&json!("failed"), &json!(11), &json!(1))
    );
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("failed_share_limit")), "{failed:#}");
    assert_eq!(syncing.again(&job).await["last_sync_status"], "failed");
    let held = syncing.held(&job["collection_name"]).await;
    assert_eq!((&held["1"]["title"], &held["2"]["title"]), (&json!("Title 1"), &json!("new")));
    assert_eq!(syncing.letters(&job).await.len(), 11);
    // Mended in the source, or deleted there: the letter goes, and so does a document that was refused last.
    syncing.sql("update books set doc = '{}' where id in (100, 200); delete from books where id in (1, 300)").await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (2, 1, 7));
    syncing.equals(&job, "select id::text, title, doc from books where jsonb_typeof(doc) = 'object'").await;
    assert_eq!(syncing.letters(&job).await.len(), 7);
    syncing.sql("update books set doc = null").await;
    let run = syncing.run(&job).await;
    assert_eq!((&run["status"], &run["failed_count"]), (&json!("success"), &json!(0)));
    assert_eq!(syncing.letters(&job).await, []);
    syncing.equals(&job, "select id::text, title from books").await;
}

#[tokio::test]
async fn of_a_collection_that_was_there_only_the_jobs_own_documents_are_deleted() {
    let syncing = Syncing::start().await;
    books(&syncing, 300).await;
    let shared = format!("shared_{}", uuid::Uuid::new_v4().simple());
    let made = json!({ "name": shared, "fields": [{ "name": ".*", "type": "auto" }], "enable_nested_fields": true });
    syncing.typesense(Method::POST, "/collections", &made.to_string()).await.expect(201);
    let foreign = (1..=50).map(|n| format!("{{\"id\":\"f{n}\",\"title\":\"foreign\"}}\n")).collect::<String>();
    syncing.typesense(Method::POST, &format!("/collections/{shared}/documents/import"), &foreign).await.expect(200);
    syncing
        .stack
        .operator()
        .post("/typesense/sync-jobs", &syncing.spec(json!({ "collection_name": shared, "sync_strategy": "full" })))
        .await
        .expect(422);
    let job = syncing.job(json!({ "collection_name": shared, "selected_columns": ["title"] })).await;
    let with_foreign = async |select: &str| {
        syncing
            .equals(&job, &format!("{select} union all select 'f' || n, 'foreign' from generate_series(1, 50) as n"))
            .await;
    };
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (300, 0, 0));
    with_foreign("select id::text, title from books").await;
    syncing.sql("delete from books where id > 100").await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (0, 200, 0));
    with_foreign("select id::text, title from books").await;
    // Other ids of the same rows: the old ones go, and nobody else's.
    syncing.sql("alter table books add column code text; update books set code = (101 - id)::text; alter table books alter code set not null; create unique index on books (code)").await;
    syncing.change(&job, json!({ "document_id_column": "code" })).await.expect(200);
    assert_eq!(syncing.run(&job).await["status"], "success");
    with_foreign("select code as id, title from books").await;
    syncing.sql("delete from books").await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (0, 100, 0));
    with_foreign("select code as id, title from books").await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (0, 0, 0));
}

#[tokio::test]
async fn rows_are_told_apart_by_keys_of_every_kind() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create table pairs (a text, b text, title text, primary key (a, b));
             insert into pairs values ('', '', '0'), ('a:b', 'c', '1'), ('a', 'b:c', '2'), ('a%3Ab', 'c', '3'), ('é', 'Ω≈ç', '4'), (' x ', '`', '5'), ('', ':', '6'), (':', '', '7'), ('/', '\\', '8');
             insert into pairs select n::text, (n * 7 % 13)::text, n::text from generate_series(1, 3000) as n;
             do $$ begin
                 -- One that does not order by bytes, where the server has one.
                 execute format('create table words (id text collate %I primary key, title text)', (
                     select collname from pg_collation where collname in ('en_US.utf8', 'en-x-icu', 'C.utf8', 'C')
                     order by collname like 'C%' limit 1));
             end $$;
             insert into words select chr(case n % 2 when 0 then 65 else 97 end + n % 26) || '-' || chr(case n % 3 when 0 then 65 else 97 end + n % 7) || n, n::text from generate_series(1, 5000) as n;
             create table codes (id uuid primary key, title text);
             insert into codes select md5(n::text)::uuid, n::text from generate_series(1, 3000) as n;
             create table moments (id timestamptz primary key, title text);
             insert into moments select timestamptz '2024-03-31 00:00:00+00' + n * interval '17 minutes 0.000001 seconds', n::text from generate_series(1, 3000) as n;
             insert into moments values ('infinity', 'i'), ('0044-03-15 BC', 'c');
             create table huge (id bigint primary key, title text);
             insert into huge select n * 3074457345618258, n::text from generate_series(-3000, 3000) as n;
             insert into huge values (9223372036854775807, 'max'), (-9223372036854775808, 'min');
             create table parts (id int, region text, title text, primary key (id, region)) partition by list (region);
             create table parts_a partition of parts for values in ('a'); create table parts_b partition of parts for values in ('b');
             insert into parts select n, case n % 2 when 0 then 'a' else 'b' end, n::text from generate_series(1, 3000) as n;
             create table base (id int, title text); insert into base select n, n::text from generate_series(1, 3000) as n;
             create view seen as select id, title from base; create materialized view kept as select id, title from base;
             create type level as enum ('low', 'high', 'a_bit');
             create table levels (id level, n numeric, title text, primary key (id, n));
             insert into levels select (array['low', 'high', 'a_bit'])[1 + n % 3]::level, n * 1.50, n::text from generate_series(1, 3000) as n",
        )
        .await;
    let joined = |a: &str, b: &str| {
        let escaped = |column: &str| format!("replace(replace({column}, '%', '%25'), ':', '%3A')");
        format!("{} || ':' || {}", escaped(a), escaped(b))
    };
    // table, its id, the id as a text, columns beside, and a change of rows
    let tables = [
        ("pairs", "a,b", joined("a", "b"), "a, b", "a not like '1%'"),
        ("words", "id", "id".to_owned(), "", "id < 'm'"),
        ("codes", "id", "id::text".to_owned(), "", "id < '80000000-0000-0000-0000-000000000000'"),
        ("moments", "id", "replace(id::text, '!', '')".to_owned(), "", "id < '2024-04-10' or id = 'infinity'"),
        ("huge", "id", "id::text".to_owned(), "", "id < 0"),
        ("parts", "id,region", joined("id::text", "region"), "", "region = 'b'"),
        ("seen", "id", "id::text".to_owned(), "", ""),
        ("kept", "id", "id::text".to_owned(), "", ""),
        ("levels", "id,n", joined("id::text", "n::text"), "", "id = 'high'"),
    ];
    let job = async |table: &str, id: &str| {
        let columns = if table == "pairs" { json!(["a", "b", "title"]) } else { json!(["title"]) };
        let more = json!({ "name": table, "source_table_name": table, "document_id_column": id, "selected_columns": columns,
                           "collection_name": format!("{table}_{}", uuid::Uuid::new_v4().simple()) });
        syncing.job(more).await
    };
    let mut jobs = vec![];
    for (table, id, ..) in &tables {
        jobs.push(job(table, id).await);
    }
    let all_equal = async |jobs: &[serde_json::Value]| {
        for run in futures::future::join_all(jobs.iter().map(|job| syncing.run(job))).await {
            assert_eq!((&run["status"], &run["failed_count"]), (&json!("success"), &json!(0)), "{run:#}");
        }
        for (job, (table, _, id, beside, _)) in jobs.iter().zip(&tables) {
            let beside = if beside.is_empty() { String::new() } else { format!(", {beside}") };
            syncing.equals(job, &format!("select {id} as id, title{beside} from {table}")).await;
        }
    };
    all_equal(&jobs).await;
    for (table, .., change) in &tables {
        if change.is_empty() {
            continue;
        }
        syncing
            .sql(&format!(
                "update {table} set title = title || '!' where {change}; delete from {table} where title like '%7'"
            ))
            .await;
    }
    syncing.sql("update base set title = 'x' where id % 3 = 0; delete from base where id % 5 = 0; refresh materialized view kept").await;
    all_equal(&jobs).await;
    for run in futures::future::join_all(jobs.iter().map(|job| syncing.run(job))).await {
        assert_eq!(Syncing::counts(&run), (0, 0, 0), "{run:#}");
    }
}

#[tokio::test]
async fn rows_without_a_key_are_counted_and_cost_the_others_nothing() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create table base (a int, b text, title text); insert into base select n, n::text, n::text from generate_series(1, 2000) as n;
             create view books as select a as id, title from base; create view pairs as select a, b, title from base",
        )
        .await;
    let books = syncing.job(json!({})).await;
    let pairs = json!({ "name": "pairs", "source_table_name": "pairs", "document_id_column": "a,b", "selected_columns": ["title"],
                        "collection_name": format!("pairs_{}", uuid::Uuid::new_v4().simple()) });
    let pairs = syncing.job(pairs).await;
    let both = async |failed: [i64; 2]| {
        for (job, failed) in [&books, &pairs].into_iter().zip(failed) {
            let run = syncing.run(job).await;
            assert_eq!((&run["status"], &run["failed_count"]), (&json!("success"), &json!(failed)), "{run:#}");
        }
        syncing.equals(&books, "select id::text, title from books where id is not null").await;
        syncing
            .equals(&pairs, "select a || ':' || b as id, title from pairs where a is not null and b is not null")
            .await;
    };
    both([0, 0]).await;
    syncing.sql("insert into base values (null, 'x', 'no key'), (null, null, 'none'), (700, null, 'half'), (1500, null, 'half')").await;
    syncing.sql("delete from base where title = '700'; delete from base where title = '1500'").await;
    both([2, 4]).await;
    both([2, 4]).await;
    syncing.sql("delete from base where a > 300 or a is null").await;
    both([0, 0]).await;
}

#[tokio::test]
async fn a_table_may_shrink_to_nothing_and_grow_anywhere() {
    let syncing = Syncing::start().await;
    books(&syncing, 0).await;
    let job = syncing.job(json!({})).await;
    for (change, imported, deleted) in [
        ("select", 0, 0),
        ("insert into books values (7, 'one', 1)", 1, 0),
        ("delete from books", 0, 1),
        ("insert into books select n * 100000, 'Title', n from generate_series(1, 3000) as n", 3000, 0),
        ("insert into books select 50000000 + n, 'Middle', n from generate_series(1, 30000) as n", 30_000, 0),
        ("delete from books where id % 100000 <> 0 and id % 3 = 0 or id % 700000 = 0", 0, 10_000 + 428),
        ("update books set id = id + 1000000000", 22_572, 22_572),
        ("delete from books where id % 10 <> 0", 0, 20_572 - 572 - 1800),
        ("truncate books", 0, 0),
    ] {
        syncing.sql(change).await;
        let run = syncing.run(&job).await;
        let (was_imported, was_deleted, failed) = Syncing::counts(&run);
        assert_eq!((was_imported, failed), (imported, 0), "{change}");
        if !change.contains("% 10 ") && change != "truncate books" {
            // A row at 50,000,000 or so may be both.
            assert!((was_deleted - deleted).abs() <= 1, "{change}: {was_deleted}");
        }
        syncing.equals(&job, BOOKS).await;
        assert_eq!(Syncing::counts(&syncing.run(&job).await), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_table_may_be_given_another_unique_key() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create table books (id bigint not null, title text not null, unique (id));
             insert into books select n, 'Title ' || (5000 - n) from generate_series(1, 4000) as n",
        )
        .await;
    let job = syncing.job(json!({ "document_id_column": "id,title", "selected_columns": ["title"] })).await;
    let select = "select id || ':' || title as id, title from books";
    syncing.run(&job).await;
    syncing.equals(&job, select).await;
    for change in [
        "alter table books drop constraint books_id_key; create unique index on books (title, id)",
        "delete from books where id % 7 = 0; create unique index on books (title); update books set title = title || 'x' where id % 3 = 0",
    ] {
        syncing.sql(change).await;
        assert_eq!(syncing.run(&job).await["status"], "success", "{change}");
        syncing.equals(&job, select).await;
    }
}

#[tokio::test]
async fn a_cursor_column_spares_reading_and_misses_nothing_that_touches_it() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create table books (id bigint primary key, title text not null, changed timestamptz);
             insert into books select n, 'Title ' || n, now() - interval '1 day' from generate_series(1, 5000) as n;
             update books set changed = null where id = 17",
        )
        .await;
    let select = "select id::text, title, floor(extract(epoch from changed))::int8 as changed from books";
    let job = syncing.job(json!({ "cursor_column": "changed" })).await;
    let mut open = syncing.source.begin().await.expect("a transaction");
    let late = "update books set title = 'late', changed = now() where id in (100, 4000)";
    sqlx::query(late).execute(&mut *open).await.expect("an update");
    // It is still open while the first two runs are made, and older than they are.
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (5000, 0, 0));
    syncing.sql("update books set title = 'touched', changed = now() where id = 5").await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (1, 0, 0));
    open.commit().await.expect("a commit");
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (2, 0, 0));
    syncing.equals(&job, select).await;
    syncing
        .sql(
            "delete from books where id in (6, 4999); update books set title = 'null', changed = null where id = 8;
             insert into books values (-1, 'old', '2001-01-01'), (2500000, 'old', '2001-01-01'); update books set title = 'x' where id = 17",
        )
        .await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (4, 2, 0));
    syncing.equals(&job, select).await;
    // What does not touch the cursor is left alone, and nothing else is.
    syncing.sql("update books set title = 'unseen' where id = 9; update books set changed = now() where id = 10").await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (1, 0, 0));
    assert_eq!(syncing.held(&job["collection_name"]).await["9"]["title"], "Title 9");
}

#[tokio::test]
async fn writers_are_never_held_up_and_once_they_rest_one_run_makes_all_equal() {
    let syncing = Syncing::start().await;
    books(&syncing, 8_000).await;
    let job = syncing.job(json!({ "batch_size": 250, "batch_delay_ms": 10 })).await;
    let ended = std::sync::atomic::AtomicBool::new(false);
    let runs = async {
        for _ in 0..6 {
            assert_eq!(syncing.run(&job).await["status"], "success");
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let write = async |seed: u64| {
        let mut random = StdRng::seed_from_u64(seed);
        let mut written = 0;
        let mut conn = syncing.source.acquire().await.expect("a connection");
        sqlx::query("set lock_timeout = '1s'").execute(&mut *conn).await.expect("set");
        while !ended.load(std::sync::atomic::Ordering::Relaxed) {
            // Each writer has rows of its own: nobody waits but for a sync.
            let id = 2 * random.random_range(0..6_000_i64) + seed as i64;
            let statement = match random.random_range(0..10) {
                0..4 => {
                    "insert into books values ($1, 'inserted ' || random(), 1, 1, now()) on conflict (id) do update set title = excluded.title"
                }
                4..7 => "update books set title = 'updated ' || random(), pages = pages + 1 where id between $1 and $1",
                7 => {
                    "update books set id = id + 20000 where id = $1 and not exists (select from books where id = $1 + 20000)"
                }
                _ => "delete from books where id = $1",
            };
            sqlx::query(statement).bind(id).execute(&mut *conn).await.expect("no wait");
            written += 1;
        }
        written
    };
    let ((), one, other) = futures::join!(runs, write(0), write(1));
    assert!(one > 100 && other > 100, "{one}, {other}");
    assert_eq!(syncing.run(&job).await["status"], "success");
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn a_run_reads_each_row_once_and_not_once_for_every_range() {
    const ROWS: i64 = 30_000;
    let syncing = Syncing::start().await;
    books(&syncing, ROWS as usize).await;
    syncing.sql("analyze books").await;
    let read = async || {
        // What a session has read is counted when it ends, or when it is asked to.
        let read = "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relname = 'books'";
        sqlx::query_scalar::<_, i64>(read).fetch_one(&syncing.source).await.expect("a count")
    };
    let before = read().await;
    let job = syncing.job(json!({})).await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (ROWS, 0, 0));
    let rows = eventually(Duration::from_secs(20), || async {
        let rows = read().await - before;
        if rows >= 2 * ROWS { Ok(rows) } else { Err(rows) }
    })
    .await;
    assert!(rows < 3 * ROWS, "once to count them and once to read them, not {rows}");
}
