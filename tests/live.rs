//! Tables followed live: changes reach the collection as they are committed, and none is missed.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{eventually, stack::Setting, syncing::Syncing};

const BOOKS: &str = "select id::text, title, price::float8 as price from books";

async fn books(syncing: &Syncing, rows: usize) {
    syncing
        .sql(&format!(
            "create table books (id bigint primary key, title text not null, price numeric not null);
             insert into books select n, 'Title ' || n, n * 0.25 from generate_series(1, {rows}) as n"
        ))
        .await;
}

async fn status(syncing: &Syncing, job: &Value) -> Value {
    let all = syncing.stack.operator().get("/typesense/sync-job-status").await.expect(200);
    let items = all["data"]["items"].as_array().expect("items");
    items.iter().find(|item| item["id"] == job["id"]).expect("the job").clone()
}

/// Waits until the job follows its table.
async fn follows(syncing: &Syncing, job: &Value) {
    eventually(Duration::from_secs(30), || async {
        let status = status(syncing, job).await;
        let is_followed = status["live_lag_ms"].is_number() && status["live_error"].is_null();
        match is_followed && status["active_run_id"].is_null() {
            true => Ok(()),
            false => Err(status),
        }
    })
    .await;
}

async fn title(syncing: &Syncing, job: &Value, id: &str) -> Option<String> {
    Some(syncing.held(&job["collection_name"]).await.get(id)?["title"].as_str()?.to_owned())
}

/// Waits until the collection holds what the table does.
async fn settles(syncing: &Syncing, job: &Value) {
    eventually(Duration::from_secs(30), || async {
        let (held, rows) = (syncing.held(&job["collection_name"]).await, syncing.rows(BOOKS).await);
        let is_same = held.len() == rows.len()
            && rows.iter().all(|(id, row)| held.get(id).is_some_and(|held| held["title"] == row["title"]));
        if is_same { Ok(()) } else { Err((held.len(), rows.len())) }
    })
    .await;
    syncing.equals(job, BOOKS).await;
}

/// Waits until the source has so many slots.
async fn has_slots(syncing: &Syncing, wanted: i64) {
    let slots = "select count(*) from pg_replication_slots where database = current_database()";
    eventually(Duration::from_secs(30), || async {
        let there: i64 = sqlx::query_scalar(slots).fetch_one(&syncing.source).await.expect("a count");
        if there == wanted { Ok(()) } else { Err(format!("{there} slots, not {wanted}")) }
    })
    .await;
}

#[tokio::test]
async fn changes_reach_the_collection_within_a_second() {
    let syncing = Syncing::start().await;
    books(&syncing, 500).await;
    let job = syncing.job(json!({ "mode": "live" })).await;
    follows(&syncing, &job).await;
    syncing.equals(&job, BOOKS).await;
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let (changed, gone) = (1000 + round, 1 + round);
        let begun = std::time::Instant::now();
        syncing
            .sql(&format!(
                "begin; insert into books values ({changed}, 'New', 1); update books set title = 'Changed' where id = 100;
                 update books set title = 'Round {round}' where id = {changed}; delete from books where id = {gone};
                 update books set id = id + 5000 where id = {gone} + 200; commit"
            ))
            .await;
        eventually(Duration::from_secs(5), || async {
            let held = syncing.held(&job["collection_name"]).await;
            let moved = (201 + round).to_string();
            match held.get(&changed.to_string()).is_some_and(|held| held["title"] == format!("Round {round}"))
                && !held.contains_key(&gone.to_string())
                && !held.contains_key(&moved)
            {
                true => Ok(()),
                false => Err("not yet"),
            }
        })
        .await;
        slowest = slowest.max(begun.elapsed());
    }
    settles(&syncing, &job).await;
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let status = status(&syncing, &job).await;
    assert_eq!((&status["sync_health"], &status["mode"]), (&json!("fresh"), &json!("live")));
}

#[tokio::test]
async fn the_comparison_is_joined_to_the_stream_without_a_gap() {
    let syncing = Syncing::start().await;
    books(&syncing, 20_000).await;
    let writing = {
        let source = syncing.source.clone();
        tokio::spawn(async move {
            for round in 0..150_i64 {
                for statement in [
                    "update books set title = 'Round ' || $1 where id % 997 = $1 % 997",
                    "insert into books select 100000 + $1 * 10 + n, 'New', n from generate_series(1, 5) as n",
                    "delete from books where id % 1009 = $1 % 1009",
                ] {
                    sqlx::query(statement).bind(round).execute(&source).await.expect("a change");
                }
            }
        })
    };
    let job = syncing.job(json!({ "mode": "live", "batch_size": 100 })).await;
    writing.await.expect("writers");
    follows(&syncing, &job).await;
    settles(&syncing, &job).await;
}

#[tokio::test]
async fn a_killed_follower_is_followed_by_another_that_misses_nothing() {
    let mut syncing = Syncing::start().await;
    books(&syncing, 2000).await;
    let job = syncing.job(json!({ "mode": "live" })).await;
    follows(&syncing, &job).await;
    for round in 0..2 {
        syncing.sql(&format!("update books set title = 'Before {round}' where id % 2 = 0")).await;
        syncing.stack.worker.take().expect("a worker").kill();
        syncing
            .sql(&format!(
                "update books set title = 'After {round}' where id % 3 = 0; delete from books where id % 50 = {round}"
            ))
            .await;
        syncing.stack.worker = Some(syncing.stack.setting.work());
        settles(&syncing, &job).await;
    }
}

#[tokio::test]
async fn a_truncated_table_is_compared_and_a_run_may_be_asked_for() {
    let syncing = Syncing::start().await;
    books(&syncing, 300).await;
    let job = syncing.job(json!({ "mode": "live" })).await;
    follows(&syncing, &job).await;
    syncing.sql("truncate books; insert into books values (7, 'Left', 1)").await;
    settles(&syncing, &job).await;
    follows(&syncing, &job).await;
    let run = syncing.run(&job).await;
    assert_eq!(Syncing::counts(&run), (0, 0, 0));
    syncing.sql("insert into books values (8, 'Still followed', 1)").await;
    settles(&syncing, &job).await;
    assert_eq!(title(&syncing, &job, "8").await.as_deref(), Some("Still followed"));
    let runs = syncing.call(Method::GET, &job, "/runs").await.expect(200);
    let triggers: Vec<&Value> =
        runs["data"]["items"].as_array().expect("runs").iter().map(|run| &run["trigger_source"]).collect();
    assert_eq!(triggers, ["api", "live", "live"], "a truncation is compared once");
}

#[tokio::test]
async fn a_table_that_can_not_be_followed_is_refused_with_what_to_do() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create table books (id bigint not null unique, title text, price numeric);
             create view shelf as select 1::bigint as id, 'x' as title",
        )
        .await;
    for (table, said) in [("books", "replica identity"), ("shelf", "only tables")] {
        let spec = syncing.spec(json!({ "mode": "live", "source_table_name": table }));
        let refused = syncing.stack.operator().post("/typesense/sync-jobs", &spec).await.expect(422);
        let fault = &refused["errors"][0];
        assert_eq!(fault["field"], "mode", "{refused:#}");
        assert!(fault["message"].as_str().is_some_and(|message| message.contains(said)), "{refused:#}");
    }
    syncing.sql("alter table books replica identity full").await;
    let job = syncing.job(json!({ "mode": "live" })).await;
    follows(&syncing, &job).await;
    syncing.call(Method::POST, &job, "/rollback").await.expect(409);
}

#[tokio::test]
async fn a_collection_that_somebody_deletes_is_made_again() {
    let syncing = Syncing::start().await;
    books(&syncing, 100).await;
    let job = syncing.job(json!({ "mode": "live" })).await;
    follows(&syncing, &job).await;
    let (url, key) = (&syncing.stack.setting.typesense_url, &syncing.stack.setting.typesense_api_key);
    let collection = format!("{url}/collections/{}_v1", job["collection_name"].as_str().expect("a name"));
    let delete = syncing.stack.operator().http.delete(collection).header("x-typesense-api-key", key);
    delete.send().await.expect("an answer").error_for_status().expect("a delete");
    syncing.sql("update books set title = 'After all' where id = 1").await;
    settles(&syncing, &job).await;
}

#[tokio::test]
async fn the_log_that_a_stopped_job_holds_back_is_bounded() {
    let syncing = Syncing::of(Setting::fresh().await.with("TIDEWELL_LIVE_WAL_LIMIT_MB", 1)).await;
    books(&syncing, 100).await;
    let job = syncing.job(json!({ "mode": "live" })).await;
    follows(&syncing, &job).await;
    let operator = syncing.stack.operator();
    let path = format!("/typesense/sync-jobs/{}", job["id"].as_str().expect("an id"));
    operator.patch(&path, &json!({ "enabled": false })).await.expect(200);
    syncing.sql("create table noise (text text); insert into noise select repeat(md5(n::text), 30) from generate_series(1, 5000) as n; update books set title = 'Missed' where id < 50").await;
    has_slots(&syncing, 0).await;
    operator.patch(&path, &json!({ "enabled": true })).await.expect(200);
    settles(&syncing, &job).await;
    has_slots(&syncing, 1).await;
    follows(&syncing, &job).await;
    syncing.call(Method::DELETE, &job, "").await.expect(200);
    has_slots(&syncing, 0).await;
}
