//! What is left of a stream that broke.

use tidewell::replication::{Error, Options, Prepared, Stream};

use super::source::{PATIENCE, Source, end_of, key, keys, through, until};
use crate::support::{eventually, servers::own_postgres};

/// Cuts off whoever reads from a slot, without its doing.
const CUT: &str = "select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null
    and database = current_database()";

#[tokio::test]
async fn after_a_break_everything_comes_again_that_was_not_confirmed() {
    let mut source = Source::simple().await;
    let mut stream = source.follow().await;
    source.run("insert into things values (1), (2)").await;
    let first = through(&mut stream, key(["2"])).await;
    source.run("insert into things values (3)").await;
    through(&mut stream, key(["3"])).await;
    stream.confirm(first.position);
    // Told at once, not at the end: this is what a killed worker leaves behind.
    let (position, name) = (first.position.to_string(), source.target.name.clone());
    let admin = tokio::sync::Mutex::new(&mut source.admin);
    eventually(PATIENCE, || async {
        let told = "select confirmed_flush_lsn >= $1::pg_lsn from pg_replication_slots where slot_name = $2";
        let told = sqlx::query_scalar(told).bind(&position).bind(&name).fetch_one(&mut **admin.lock().await).await;
        if told.expect("a slot") { Ok(()) } else { Err("not told yet") }
    })
    .await;
    source.run(CUT).await;
    let error = end_of(&mut stream).await;
    assert!(error.is_transient(), "{error}");
    source.run("insert into things values (4)").await;
    assert_eq!(source.prepare().await.expect("prepared"), Prepared::Continues);
    let mut stream = source.open().await;
    assert_eq!(through(&mut stream, key(["4"])).await.keys, keys(["3", "4"]));
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn a_transaction_that_was_seen_in_part_comes_again_whole() {
    let mut source = Source::simple().await;
    source.prepare_anew().await;
    source.run("insert into things select n from generate_series(1, 5000) as n").await;
    let options = Options { max_keys: 500, ..Options::default() };
    let mut stream = source.open_by(&options).await;
    let part = stream.next().await.expect("a batch").expect("a batch");
    assert_eq!(part.keys.len(), 500);
    drop(stream);
    // A dropped stream lets go in its own time.
    let mut stream = eventually(PATIENCE, || Stream::open(&source.url, &source.target, &options)).await;
    until(&mut stream, |seen| seen.keys.len() == 5000).await;
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn what_was_confirmed_before_closing_does_not_come_again() {
    let mut source = Source::simple().await;
    let mut stream = source.follow().await;
    for n in 1..=3 {
        source.run(&format!("insert into things values ({n})")).await;
        let seen = through(&mut stream, key([&n.to_string()])).await;
        assert_eq!(seen.keys, keys([&n.to_string()]));
        stream.confirm(seen.position);
        // What was never given away can't be confirmed.
        stream.confirm(tidewell::replication::Lsn(u64::MAX));
        stream.close().await;
        stream = source.open().await;
    }
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn a_slot_has_one_reader_and_another_may_try_again() {
    let mut source = Source::simple().await;
    let stream = source.follow().await;
    let error = Stream::open(&source.url, &source.target, &Options::default()).await.err().expect("a refusal");
    assert!(matches!(error, Error::SlotInUse(_)) && error.is_transient(), "{error}");
    stream.close().await;
    source.open().await.close().await;
    source.end().await;
}

#[tokio::test]
async fn a_source_that_crashes_goes_on_where_it_was_confirmed() {
    let mut servers = own_postgres().await;
    let table = "create table things (id bigint primary key, name text)";
    let mut source = Source::at(servers.fresh_database().await, table, &["id"]).await;
    let mut stream = source.follow().await;
    source.run("insert into things values (1)").await;
    let seen = through(&mut stream, key(["1"])).await;
    source.run("insert into things values (2)").await;
    through(&mut stream, key(["2"])).await;
    stream.confirm(seen.position);
    servers.restart_postgres().await;
    let error = end_of(&mut stream).await;
    assert!(error.is_transient(), "{error}");
    let mut source = source.again().await;
    source.run("insert into things values (3)").await;
    assert_eq!(source.prepare().await.expect("prepared"), Prepared::Continues);
    let mut stream = source.open().await;
    // The first may come again: a crash can cost the source its memory of the last confirmation.
    let seen = through(&mut stream, key(["3"])).await;
    assert!(seen.keys.is_superset(&keys(["2", "3"])), "{seen:?}");
    stream.close().await;
}

#[tokio::test]
async fn a_slot_that_the_source_gave_up_is_noticed_and_made_anew() {
    let servers = own_postgres().await;
    let table = "create table things (id bigint primary key, name text); create table others (filler text)";
    let mut source = Source::at(servers.fresh_database().await, table, &["id"]).await;
    source.run("alter system set max_slot_wal_keep_size = '1MB'").await;
    source.run("alter system set min_wal_size = '32MB'").await;
    source.run("alter system set max_wal_size = '48MB'").await;
    source.run("select pg_reload_conf()").await;
    source.prepare_anew().await;
    for _ in 0..4 {
        source.run("insert into others select repeat('x', 1000) from generate_series(1, 20000)").await;
        source.run("select pg_switch_wal()").await;
    }
    source.run("checkpoint").await;
    let error = Stream::open(&source.url, &source.target, &Options::default()).await.err().expect("a refusal");
    assert!(error.is_transient(), "{error}");
    let source = tokio::sync::Mutex::new(source);
    // The one that was refused may still be leaving.
    let prepared = eventually(PATIENCE, || async { source.lock().await.prepare().await }).await;
    let mut source = source.into_inner();
    assert!(matches!(&prepared, Prepared::Anew { lost: Some(why) } if why.contains("wal_removed")), "{prepared:?}");
    let mut stream = source.open().await;
    source.run("insert into things values (1)").await;
    through(&mut stream, key(["1"])).await;
    stream.close().await;
}
