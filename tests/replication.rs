//! What the stream of a table's changes tells, and what it does not.

mod breaking;
mod doors;
mod preparing;
mod source;

use std::time::Duration;

use sqlx::PgConnection;
use tidewell::replication::{Options, held_back};

use self::source::{PATIENCE, Source, key, keys, through, until};
use crate::support::eventually;

#[tokio::test]
async fn every_change_of_a_row_tells_its_key() {
    let mut source = Source::simple().await;
    source.run("insert into things select n, 'old' from generate_series(1, 5) as n").await;
    let mut stream = source.follow().await;
    source.run("insert into things values (6, 'new')").await;
    source.run("update things set name = 'newer' where id = 1").await;
    source.run("update things set id = 20 where id = 2").await;
    source.run("delete from things where id = 3").await;
    source.run("begin; update things set name = 'never' where id = 4; rollback").await;
    source.run("begin; savepoint a; delete from things where id = 5; rollback to a; commit").await;
    source.run("insert into things values (99, null)").await;
    let seen = through(&mut stream, key(["99"])).await;
    assert_eq!(seen.keys, keys(["6", "1", "2", "20", "3", "99"]));
    assert!(!seen.batches.iter().any(|batch| batch.truncated || batch.schema_changed));
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn a_transaction_tells_when_it_was_committed_and_what_of_it_is_of_the_table() {
    let mut source = Source::simple().await;
    source.run("create table others (id bigint primary key)").await;
    let mut stream = source.follow().await;
    source
        .run("begin; insert into others values (1); insert into things values (2), (3); delete from others; commit")
        .await;
    let seen = through(&mut stream, key(["3"])).await;
    assert_eq!(seen.keys, keys(["2", "3"]));
    let told = seen.batches.last().and_then(|batch| batch.committed_at).expect("a time");
    let near: bool = sqlx::query_scalar("select $1 between now() - interval '1 minute' and now()")
        .bind(told)
        .fetch_one(&mut source.admin)
        .await
        .expect("an answer");
    assert!(near, "{told}");
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn emptying_and_altering_the_table_are_told() {
    let mut source = Source::simple().await;
    let mut stream = source.follow().await;
    source.run("insert into things values (1)").await;
    let seen = through(&mut stream, key(["1"])).await;
    assert!(!seen.batches.iter().any(|batch| batch.truncated || batch.schema_changed));
    source.run("truncate things").await;
    let seen = until(&mut stream, |seen| seen.batches.iter().any(|batch| batch.truncated)).await;
    assert!(seen.keys.is_empty());
    source.run("alter table things add column more text").await;
    source.run("insert into things values (2)").await;
    let seen = through(&mut stream, key(["2"])).await;
    assert!(seen.batches.iter().any(|batch| batch.schema_changed));
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn values_too_large_for_their_page_are_in_nobodys_way() {
    // The key itself is stored out of line, as is what is not touched.
    let table = "create table things (id text primary key, body text, touched int);
        alter table things alter column id set storage external, alter column body set storage external;
        insert into things values (repeat('k', 2500), repeat('b', 100000), 0)";
    for identity in ["default", "full"] {
        let mut source = Source::with(table, &["id"]).await;
        source.run(&format!("alter table things replica identity {identity}")).await;
        let mut stream = source.follow().await;
        source.run("update things set touched = 1").await;
        let large = key([&"k".repeat(2500)]);
        let seen = through(&mut stream, large.clone()).await;
        assert_eq!(seen.keys, [large].into(), "{identity}");
        stream.close().await;
        source.end().await;
    }
}

#[tokio::test]
async fn keys_of_several_columns_hold_whatever_text_there_is() {
    let table = r#"create table things (a text, "B ""c""" int, d timestamptz, x text, primary key (a, d, "B ""c"""))"#;
    let mut source = Source::with(table, &["d", "a", r#"B "c""#]).await;
    let mut stream = source.follow().await;
    let texts = ["", "it's \"quoted\"", "a,b\\c\nd\t", "{1,null}", "ünï 🌊", "null"];
    for text in texts {
        sqlx::query("insert into things values ($1, 7, '2026-01-02 03:04:05.6+03')")
            .bind(text)
            .execute(&mut source.admin)
            .await
            .expect("a row");
    }
    source.run("update things set a = 'last' where a = 'null'").await;
    let at = "2026-01-02 00:04:05.6+00";
    let seen = through(&mut stream, key([at, "last", "7"])).await;
    let expected = texts.into_iter().chain(["last"]).map(|text| key([at, text, "7"])).collect();
    assert_eq!(seen.keys, expected);
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn a_partitioned_table_is_one_table() {
    let table = "create table things (id int primary key, name text) partition by range (id);
        create table low partition of things for values from (0) to (10);
        create table high (name text, gone int, id int not null);
        alter table high drop column gone;
        alter table high add primary key (id);
        alter table things attach partition high for values from (10) to (100)";
    let mut source = Source::with(table, &["id"]).await;
    let mut stream = source.follow().await;
    source.run("insert into things values (1), (2), (50)").await;
    // From one partition into another, and into one that is new.
    source.run("update things set id = 51 where id = 2").await;
    source.run("create table higher partition of things for values from (100) to (1000)").await;
    source.run("insert into things values (500)").await;
    source.run("delete from things where id = 50").await;
    source.run("insert into things values (3)").await;
    let seen = through(&mut stream, key(["3"])).await;
    assert_eq!(seen.keys, keys(["1", "2", "50", "51", "500", "3"]));
    source.run("truncate things").await;
    until(&mut stream, |seen| seen.batches.iter().any(|batch| batch.truncated)).await;
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn a_large_transaction_comes_in_parts_of_which_only_the_last_can_be_confirmed() {
    let mut source = Source::simple().await;
    source.prepare_anew().await;
    source.run("insert into things values (0)").await;
    source.run("insert into things select n from generate_series(1, 10000) as n").await;
    let mut stream = source.open_by(&Options { max_keys: 1_000, ..Options::default() }).await;
    let seen = until(&mut stream, |seen| {
        seen.keys.len() > 10_000 && seen.batches.last().is_some_and(|batch| batch.position.is_some())
    })
    .await;
    assert_eq!(seen.keys.len(), 10_001);
    assert!(seen.batches.iter().all(|batch| batch.keys.len() <= 1_000));
    let positions: Vec<_> = seen.batches.iter().filter_map(|batch| batch.position).collect();
    assert!(positions.is_sorted());
    // That of the first transaction may be told early; of the second nothing until its end.
    let parts = seen.batches.iter().filter(|batch| batch.position.is_none()).count();
    assert!(parts >= 8, "{parts}");
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn small_transactions_that_wait_come_together() {
    let mut source = Source::simple().await;
    source.prepare_anew().await;
    for n in 0..300 {
        source.run(&format!("insert into things values ({n})")).await;
    }
    let mut stream = source.open_by(&Options { linger: Duration::from_secs(2), ..Options::default() }).await;
    let seen = through(&mut stream, key(["299"])).await;
    let with_keys = seen.batches.iter().filter(|batch| !batch.keys.is_empty()).count();
    assert!(with_keys <= 3, "{with_keys}");
    assert_eq!(seen.keys.len(), 300);
    stream.close().await;
    source.end().await;
}

/// What a slot holds back, in megabytes, once the source has looked at what it may remove.
async fn megabytes_held_back(admin: &mut PgConnection, name: &str) -> i64 {
    sqlx::query("checkpoint").execute(&mut *admin).await.expect("a checkpoint");
    held_back(admin, name).await.expect("an answer").expect("a slot").bytes >> 20
}

#[tokio::test]
async fn what_is_held_back_for_the_stream_grows_and_goes_even_if_only_other_tables_change() {
    let mut source = Source::simple().await;
    source.run("create table others (filler text)").await;
    let mut stream = source.follow().await;
    let name = source.target.name.clone();
    source.run("insert into others select repeat('x', 1000) from generate_series(1, 40000)").await;
    assert!(megabytes_held_back(&mut source.admin, &name).await >= 30);
    assert!(held_back(&mut source.admin, &name).await.expect("an answer").expect("a slot").active);

    // Positions come of themselves; unconfirmed, they change nothing.
    let seen = until(&mut stream, |seen| seen.position.as_u64() > 0).await;
    assert!(seen.keys.is_empty());
    assert!(megabytes_held_back(&mut source.admin, &name).await >= 30);
    let admin = tokio::sync::Mutex::new(source.admin);
    let confirming = async {
        loop {
            if let Some(batch) = stream.next().await.expect("a batch")
                && let Some(position) = batch.position
            {
                stream.confirm(position);
            }
        }
    };
    let shrinking = eventually(PATIENCE, || async {
        let held = megabytes_held_back(&mut *admin.lock().await, &name).await;
        if held < 15 { Ok(()) } else { Err(held) }
    });
    tokio::select! {
        () = confirming => {}
        () = shrinking => {}
    }
    source.admin = admin.into_inner();
    stream.close().await;
    source.end().await;
    assert_eq!(held_back(&mut Source::simple().await.admin, &name).await.expect("an answer"), None);
}
