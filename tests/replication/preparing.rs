//! What is asked of a source before its changes can be followed, and how it is told.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tidewell::replication::{Error, Options, Prepared, Stream, drop_publication, drop_slot, prepare};

use super::source::{Source, end_of, key, keys, through};

/// What must be done at the source, as the error says it.
async fn to_do(source: &mut Source) -> String {
    match source.prepare().await {
        Err(error @ Error::Setup(_)) => {
            assert!(!error.is_transient());
            error.to_string()
        }
        other => panic!("prepared: {other:?}"),
    }
}

#[tokio::test]
async fn preparing_again_changes_nothing() {
    let mut source = Source::simple().await;
    source.prepare_anew().await;
    source.run("insert into things values (1)").await;
    assert_eq!(source.prepare().await.expect("prepared"), Prepared::Continues);
    let mut stream = source.open().await;
    through(&mut stream, key(["1"])).await;
    // While it is read, too.
    assert_eq!(source.prepare().await.expect("prepared"), Prepared::Continues);
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn a_slot_that_is_being_made_is_waited_for() {
    let mut source = Source::simple().await;
    let mut open = PgConnection::connect(&source.url).await.expect("a connection");
    sqlx::raw_sql("begin; select pg_current_xact_id()").execute(&mut open).await.expect("a transaction");
    let (url, target) = (source.url.clone(), source.target.clone());
    let making = tokio::spawn(async move {
        let mut maker = PgConnection::connect(&url).await.expect("a connection");
        prepare(&mut maker, &target).await
    });
    const BEGUN: &str =
        "select exists (select from pg_replication_slots where slot_name = $1 and restart_lsn is not null)";
    let begun = async {
        while !sqlx::query_scalar::<_, bool>(BEGUN)
            .bind(&source.target.name)
            .fetch_one(&mut source.admin)
            .await
            .expect("a look")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), begun).await.expect("the slot is begun");
    // What is committed now is in no comparison that comes later, and the slot will not tell it.
    assert!(matches!(source.prepare().await, Err(Error::Waiting)));
    open.close().await.expect("an end");
    assert_eq!(making.await.expect("no panic").expect("prepared"), Prepared::Anew { lost: None });
    assert_eq!(source.prepare().await.expect("prepared"), Prepared::Continues);
    source.end().await;
}

#[tokio::test]
async fn what_was_dropped_or_altered_is_made_anew_and_told() {
    let mut source = Source::simple().await;
    source.prepare_anew().await;
    let name = source.target.name.clone();
    let lost = async |source: &mut Source| match source.prepare().await.expect("prepared") {
        Prepared::Anew { lost } => lost.expect("a reason"),
        Prepared::Continues => panic!("nothing was noticed"),
    };
    assert!(drop_slot(&mut source.admin, &name, false).await.expect("dropped"));
    assert!(!drop_slot(&mut source.admin, &name, false).await.expect("nothing to drop"));
    assert!(lost(&mut source).await.contains("the slot was dropped"));
    drop_publication(&mut source.admin, &name).await.expect("dropped");
    assert!(lost(&mut source).await.contains("publication"));
    source.run(&format!("alter publication {name} set (publish = 'insert')")).await;
    assert!(lost(&mut source).await.contains("publication"));
    source.run(&format!("alter publication {name} set table things where (id > 5)")).await;
    assert!(lost(&mut source).await.contains("publication"));
    source.run("drop table things; create table things (id bigint primary key, name text)").await;
    lost(&mut source).await;
    source.run("alter table things replica identity full").await;
    assert!(lost(&mut source).await.contains("publication"));
    let mut stream = source.open().await;
    source.run("insert into things values (1); update things set name = 'x'; delete from things").await;
    assert_eq!(through(&mut stream, key(["1"])).await.keys, keys(["1"]));
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn a_table_that_does_not_tell_its_rows_apart_is_refused_with_the_cure() {
    let table = r#"create table things (id int primary key, slug text, "Sku" text not null)"#;
    let mut source = Source::with(table, &["Sku"]).await;
    let told = to_do(&mut source).await;
    assert!(told.contains(r#"tell "id" and not "Sku""#) && told.contains("create unique index"), "{told}");
    // The cure works as it is told.
    source.run(r#"create unique index "things Sku" on things ("Sku")"#).await;
    let told = to_do(&mut source).await;
    let cure = r#"alter table public.things replica identity using index "things Sku""#;
    assert!(told.contains(cure), "{told}");
    source.run(cure).await;
    let mut stream = source.follow().await;
    source.run("insert into things values (1, 's', 'a'); update things set \"Sku\" = 'b'").await;
    assert_eq!(through(&mut stream, key(["b"])).await.keys, keys(["a", "b"]));
    stream.close().await;
    source.end().await;

    let mut source = Source::with("create table things (id int, slug text)", &["id"]).await;
    let told = to_do(&mut source).await;
    assert!(told.contains("don't tell which row"), "{told}");
    source.run("alter table things replica identity full").await;
    let mut stream = source.follow().await;
    source.run("insert into things values (null), (1); delete from things").await;
    let seen = through(&mut stream, key(["1"])).await;
    assert_eq!(seen.keys, [vec![None], key(["1"])].into());
    stream.close().await;
    source.end().await;
}

#[tokio::test]
async fn what_has_no_changes_to_follow_is_refused() {
    let cases = [
        ("select 1", "no table public.things"),
        ("create view things as select 1 as id", "not a table"),
        ("create unlogged table things (id int primary key)", "set logged"),
        ("create table things (key int primary key)", "no column id"),
        ("create table things (n int, id int generated always as (n * 2) stored primary key)", "no column id"),
        (
            "create table things (id int primary key) partition by range (id);
             create unlogged table part partition of things for values from (0) to (9)",
            "public.part",
        ),
        (
            "create table things (id int not null) partition by range (id);
             create table part partition of things for values from (0) to (9)",
            "public.part",
        ),
    ];
    for (sql, reason) in cases {
        let mut source = Source::with(sql, &["id"]).await;
        let told = to_do(&mut source).await;
        assert!(told.contains(reason), "{told}");
        source.end().await;
    }
}

#[tokio::test]
async fn a_role_is_told_what_it_lacks_and_needs_no_more_than_that() {
    let mut source = Source::simple().await;
    let role = format!("reader_{}", &source.target.name[9..25]);
    source.run(&format!("create role {role} login password 'p w'")).await;
    let url = format!("postgres://{role}:p%20w@{}", source.url.rsplit_once('@').expect("a host").1);
    let mut weak = PgConnection::connect(&url).await.expect("a connection");
    let target = source.target.clone();
    let first = prepare(&mut weak, &target).await.expect_err("a lack").to_string();
    let cure = format!("alter role {role} replication");
    assert!(first.contains(&cure), "{first}");
    source.run(&cure).await;
    let second = prepare(&mut weak, &target).await.expect_err("a lack").to_string();
    assert!(second.contains("permission denied"), "{second}");
    // Its owner does what was told; then it goes on, with what the owner made.
    source.run(second.split('`').nth(1).expect("a command")).await;
    assert!(matches!(prepare(&mut weak, &target).await.expect("prepared"), Prepared::Anew { .. }));
    let mut stream = Stream::open(&url, &target, &Options::default()).await.expect("a stream");
    source.run("insert into things values (1)").await;
    through(&mut stream, key(["1"])).await;
    stream.close().await;
    weak.close().await.expect("an end");
    source.run(&format!("drop role {role}")).await;
    source.end().await;
}

#[tokio::test]
async fn dropping_a_slot_can_end_its_reader() {
    let mut source = Source::simple().await;
    let mut stream = source.follow().await;
    let name = source.target.name.clone();
    let error = drop_slot(&mut source.admin, &name, false).await.expect_err("in use");
    assert!(matches!(error, Error::SlotInUse(_)), "{error}");
    assert!(drop_slot(&mut source.admin, &name, true).await.expect("dropped"));
    assert!(end_of(&mut stream).await.is_transient());
    let gone = Stream::open(&source.url, &source.target, &Options::default()).await.err().expect("a refusal");
    assert!(gone.is_transient(), "{gone}");
    source.end().await;
}

#[tokio::test]
async fn a_slot_of_that_name_for_something_else_is_left_alone() {
    let mut source = Source::simple().await;
    let name = source.target.name.clone();
    source.run(&format!("select pg_create_physical_replication_slot('{name}')")).await;
    let told = to_do(&mut source).await;
    assert!(told.contains(&format!("pg_drop_replication_slot('{name}')")), "{told}");
    source.end().await;
}
