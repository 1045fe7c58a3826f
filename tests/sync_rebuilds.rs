//! Collections built anew beside the one that is searched: whoever searches sees the old one or the new one, never nothing and never half.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    eventually,
    proxy::{Fault, Proxy},
    stack::Setting,
    syncing::Syncing,
};

const BOOKS: &str = "select id::text, title, price from books";

async fn books(syncing: &Syncing, rows: usize) {
    syncing
        .sql(&format!(
            "create table books (id bigint primary key, title text not null, price int not null);
             insert into books select n, 'Title ' || n, n from generate_series(1, {rows}) as n"
        ))
        .await;
}

impl Syncing {
    /// How many documents a search through the alias finds, and how many of them have this title.
    async fn found(&self, job: &Value, title: &str) -> (i64, i64) {
        let name = job["collection_name"].as_str().expect("a name");
        let count = async |query: &str| {
            let path = format!("/collections/{name}/documents/search?{query}");
            self.typesense(Method::GET, &path, "").await.expect(200)["found"].as_i64().expect("a count")
        };
        (count("q=*").await, count(&format!("q={title}&query_by=title&num_typos=0&prefix=false")).await)
    }

    /// Searches until a run has ended that leaves a hundred rows fewer, all of this title: each search finds the old collection or the new one.
    async fn finds_old_or_new(&self, job: &Value, run: &str, title: &str, rows: i64) {
        let mut seen = (false, false);
        loop {
            let is_over = !self.look(job, run).await["finished_at"].is_null();
            match self.found(job, title).await {
                (all, new) if (all, new) == (rows, rows) => seen.1 = true,
                (all, 0) if all == rows + 100 => seen.0 = true,
                // The two looks may have fallen on both sides of the swap.
                (all, new) if all == rows + 100 && new == rows => {}
                found => panic!("{found:?} of {rows}"),
            }
            if is_over {
                break;
            }
        }
        assert_eq!(seen, (true, true));
    }

    /// The collections of a job that are in Typesense.
    async fn versions(&self, job: &Value) -> Vec<String> {
        let all = self.typesense(Method::GET, "/collections", "").await.expect(200);
        let prefix = format!("{}_v", job["collection_name"].as_str().expect("a name"));
        let names = all.as_array().expect("collections").iter().filter_map(|found| found["name"].as_str());
        let mut versions: Vec<String> = names.filter_map(|name| Some(name.strip_prefix(&prefix)?.to_owned())).collect();
        versions.sort();
        versions
    }
}

#[tokio::test]
async fn searches_see_the_old_or_the_new_collection_while_one_is_built() {
    let syncing = Syncing::start().await;
    books(&syncing, 3_000).await;
    let full = json!({ "sync_strategy": "full", "batch_size": 250, "batch_delay_ms": 50 });
    let job = syncing.job(full).await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (3_000, 0, 0));
    for (n, word) in ["second", "third"].into_iter().enumerate() {
        syncing.sql(&format!("update books set title = '{word}'; delete from books where id <= 100 * ({n} + 1)")).await;
        let rows = 2_900 - 100 * n as i64;
        let run = syncing.begin(&job).await;
        syncing.finds_old_or_new(&job, &run, word, rows).await;
        let ended = syncing.look(&job, &run).await;
        assert_eq!((Syncing::counts(&ended), &ended["rebuild"]), ((rows, 0, 0), &json!(true)));
        syncing.equals(&job, BOOKS).await;
    }
    assert_eq!(syncing.versions(&job).await, ["2", "3"], "the one before is kept, those before are not");
    // Back to the one before; it stays so.
    let back = syncing.call(Method::POST, &job, "/rollback?wait=true").await.expect(200);
    assert_eq!((&back["data"]["status"], &back["data"]["trigger_source"]), (&json!("success"), &json!("rollback")));
    assert_eq!(syncing.found(&job, "second").await, (2_900, 2_900));
    assert_eq!(syncing.again(&job).await["auto_sync_enabled"], false);
    // Forth again, and on from there.
    syncing.call(Method::POST, &job, "/rollback?wait=true").await.expect(200);
    assert_eq!(syncing.found(&job, "third").await, (2_800, 2_800));
    syncing.run(&job).await;
    syncing.equals(&job, BOOKS).await;
    assert_eq!(syncing.versions(&job).await, ["3", "4"]);
}

#[tokio::test]
async fn a_full_run_builds_anew_what_is_searched_and_the_next_run_does_not() {
    let syncing = Syncing::start().await;
    books(&syncing, 3_000).await;
    let job = syncing.job(json!({ "batch_size": 250, "batch_delay_ms": 50 })).await;
    // The first run makes the collection, full or not.
    let first = syncing.call(Method::POST, &job, "/run?full=true&wait=true").await.expect(200);
    assert_eq!((Syncing::counts(&first["data"]), &first["data"]["rebuild"]), ((3_000, 0, 0), &json!(false)));
    syncing.sql("update books set title = 'second'; delete from books where id <= 100").await;
    let queued = syncing.call(Method::POST, &job, "/run?full=true").await.expect(202);
    let run = queued["data"]["run_id"].as_str().expect("a run");
    let refused = syncing.call(Method::POST, &job, "/run?full=true").await.expect(409);
    assert_eq!(refused["error"], "already_running");
    syncing.finds_old_or_new(&job, run, "second", 2_900).await;
    let ended = syncing.look(&job, run).await;
    assert_eq!((Syncing::counts(&ended), &ended["rebuild"]), ((2_900, 0, 0), &json!(true)));
    syncing.equals(&job, BOOKS).await;
    assert_eq!(syncing.versions(&job).await, ["1", "2"]);
    let next = syncing.run(&job).await;
    assert_eq!((Syncing::counts(&next), &next["rebuild"]), ((0, 0, 0), &json!(false)));
    // What Typesense has lost on the way, a full run gives back.
    let id = "/documents?filter_by=price:>2000";
    syncing
        .typesense(Method::DELETE, &format!("/collections/{}{id}", syncing.behind(&job).await), "")
        .await
        .expect(200);
    syncing.call(Method::POST, &job, "/run?full=true&wait=true").await.expect(200);
    syncing.equals(&job, BOOKS).await;
    assert_eq!(syncing.versions(&job).await, ["2", "3"], "the one before is kept, those before are not");
}

#[tokio::test]
async fn what_can_not_be_built_anew_is_refused() {
    let syncing = Syncing::start().await;
    books(&syncing, 100).await;
    let refused = async |job: &Value, why: &str| {
        let answer = syncing.call(Method::POST, job, "/run?full=true").await.expect(409);
        assert!(answer["message"].as_str().is_some_and(|said| said.contains(why)), "{answer:#}");
    };
    // A collection that the job did not make: before the job knows of it, the run fails; once it does, none is queued.
    let shared = syncing.job(json!({})).await;
    let name = shared["collection_name"].as_str().expect("a name");
    let collection = json!({ "name": name, "fields": [{ "name": ".*", "type": "auto" }] });
    syncing.typesense(Method::POST, "/collections", &collection.to_string()).await.expect(201);
    let failed = syncing.call(Method::POST, &shared, "/run?full=true&wait=true").await.expect(200)["data"].clone();
    assert_eq!(failed["status"], "failed");
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("collection_name")), "{failed:#}");
    assert_eq!(syncing.held(&shared["collection_name"]).await.len(), 0);
    assert_eq!(Syncing::counts(&syncing.run(&shared).await), (100, 0, 0));
    refused(&shared, "did not make").await;
    assert_eq!(syncing.runs(&shared).await.len(), 2);

    let live = syncing.job(json!({ "name": "live", "mode": "live", "enabled": false })).await;
    refused(&live, "mode scheduled").await;
    let disabled = syncing.job(json!({ "name": "off", "enabled": false })).await;
    refused(&disabled, "disabled").await;
    let nowhere = json!({ "id": uuid::Uuid::new_v4() });
    syncing.call(Method::POST, &nowhere, "/run?full=true").await.expect(404);
    syncing.call(Method::POST, &disabled, "/run?full=perhaps").await.expect(400);
    let tenant = syncing.stack.tenant("nosy").await;
    let path = format!("/typesense/sync-jobs/{}/run?full=true", shared["id"].as_str().expect("an id"));
    tenant.client.post(&path, &json!({})).await.expect(403);
}

#[tokio::test]
async fn what_a_job_asks_of_its_collection_may_change_and_the_old_one_is_searched_until_the_new_one_is_complete() {
    let syncing = Syncing::start().await;
    books(&syncing, 1_000).await;
    let job = syncing.job(json!({})).await;
    syncing.call(Method::POST, &job, "/rollback").await.expect(409);
    syncing.run(&job).await;
    let first = syncing.behind(&job).await;
    for (changes, select) in [
        (json!({ "facet_by_fields": ["title"] }), BOOKS),
        (
            json!({ "field_config": { "price": { "type": "string" } } }),
            "select id::text, title, price::text from books",
        ),
        (
            json!({ "field_config": {}, "selected_columns": ["id", "price"], "facet_by_fields": [] }),
            "select id::text, price from books",
        ),
        (json!({ "selected_columns": [], "default_sort_field": "price" }), BOOKS),
        (
            json!({ "document_id_column": "id,title", "selected_columns": ["title", "price"] }),
            "select id || ':' || title as id, title, price from books",
        ),
    ] {
        let before = syncing.behind(&job).await;
        syncing.change(&job, changes.clone()).await.expect(200);
        let run = syncing.run(&job).await;
        assert_eq!((Syncing::counts(&run), &run["rebuild"]), ((1_000, 0, 0), &json!(true)), "{changes}");
        assert_ne!(syncing.behind(&job).await, before);
        if changes.get("document_id_column").is_none() {
            syncing.equals(&job, select).await;
        } else {
            assert_eq!(
                syncing.held(&job["collection_name"]).await.keys().next().map(String::as_str),
                Some("1000:Title 1000")
            );
        }
        assert_eq!(Syncing::counts(&syncing.run(&job).await), (0, 0, 0), "and once only: {changes}");
    }
    assert_ne!(syncing.behind(&job).await, first);
    assert_eq!(syncing.versions(&job).await.len(), 2);
}

#[tokio::test]
async fn a_column_that_is_dropped_fails_the_run_with_what_to_change_and_loses_nothing() {
    let syncing = Syncing::start().await;
    books(&syncing, 100).await;
    let job = syncing.job(json!({ "selected_columns": ["id", "title", "price"] })).await;
    syncing.run(&job).await;
    let before = syncing.held(&job["collection_name"]).await;
    syncing.sql("alter table books drop column price").await;
    let failed = syncing.run(&job).await;
    assert_eq!(failed["status"], "failed");
    let error = failed["error"].as_str().expect("an error");
    assert!(error.contains("selected_columns") && error.contains("it has id, title"), "{error}");
    assert_eq!(syncing.held(&job["collection_name"]).await, before);
    assert_eq!(syncing.again(&job).await["last_sync_error"], json!(error));
    syncing.change(&job, json!({ "selected_columns": ["id", "title"] })).await.expect(200);
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (100, 0, 0));
    syncing.equals(&job, "select id::text, title from books").await;
}

#[tokio::test]
async fn a_killed_rebuild_goes_on_and_counts_what_was_written_though_rows_under_way_are_gone() {
    let setting = Setting::fresh().await;
    let mut proxy = Proxy::before(&setting.typesense_url).await;
    let mut syncing = Syncing::without_worker(setting, &proxy.url).await;
    let worker = syncing.stack.setting.work();
    books(&syncing, 3_000).await;
    let job = syncing.job(json!({ "sync_strategy": "full", "batch_size": 100 })).await;
    syncing.run(&job).await;
    proxy.set(Fault::Hold);
    let run = syncing.begin(&job).await;
    while syncing.look(&job, &run).await["source_row_count"].as_i64() < Some(500) {
        proxy.held.recv().await.expect("an import").let_go().await;
    }
    // Of the next range some land, and are not settled.
    let held = proxy.held.recv().await.expect("an import");
    let landed: Vec<Value> = held.body.lines().map(|line| serde_json::from_str(line).expect("a document")).collect();
    held.let_go().await;
    worker.kill();
    proxy.set(Fault::None);
    let gone: Vec<&str> = landed.iter().take(60).map(|document| document["id"].as_str().expect("an id")).collect();
    syncing.sql(&format!("delete from books where id in ({})", gone.join(", "))).await;
    syncing.sql("update books set title = 'x' where id % 3 = 0 and id > 500").await;
    syncing.stack.worker = Some(syncing.stack.setting.work());
    let ended = syncing.ended(&job, &run).await;
    assert_eq!(ended["status"], "success", "{ended:#}");
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn a_rebuild_that_was_cut_short_leaves_nothing_behind() {
    let syncing = Syncing::start().await;
    books(&syncing, 4_000).await;
    let job = syncing.job(json!({ "sync_strategy": "full" })).await;
    syncing.run(&job).await;
    let first = syncing.behind(&job).await;
    syncing.change(&job, json!({ "batch_size": 250, "batch_delay_ms": 500 })).await.expect(200);
    let run = syncing.begin(&job).await;
    syncing.read(&job, &run, 500).await;
    assert_eq!(syncing.versions(&job).await.len(), 2);
    syncing.call(Method::POST, &job, "/cancel").await.expect(200);
    let only_one_is_left = || {
        eventually(Duration::from_secs(10), || async {
            let versions = syncing.versions(&job).await;
            if versions.len() == 1 { Ok(()) } else { Err(versions) }
        })
    };
    only_one_is_left().await;
    assert_eq!(syncing.behind(&job).await, first);
    syncing.equals(&job, BOOKS).await;
    let pool = syncing.stack.setting.pool().await;
    let due = "select repair_at from tidewell.sync_states";
    let due: Option<DateTime<Utc>> = sqlx::query_scalar(due).fetch_one(&pool).await.expect("a state");
    assert_eq!(due, None, "it does not begin again by itself");
    // One that fails, too: more of it is refused than may be.
    let picky =
        json!({ "batch_delay_ms": 0, "field_config": { "price": { "name": "year" } }, "failed_share_limit": 0.1 });
    syncing.change(&job, picky).await.expect(200);
    syncing.sql("alter table books add column doc jsonb default '[1]'").await;
    let failed = syncing.run(&job).await;
    assert_eq!((&failed["status"], &failed["failed_count"]), (&json!("failed"), &json!(4_000)), "{failed:#}");
    only_one_is_left().await;
    assert_eq!(syncing.behind(&job).await, first);
    syncing.equals(&job, "select id::text, title, price from books").await;
    syncing.sql("update books set doc = '{}'").await;
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (4_000, 0, 0));
    assert_eq!(syncing.letters(&job).await, [], "what is well now has no letters");
    let name = job["collection_name"].as_str().expect("a name");
    assert_eq!(
        syncing.behind(&job).await,
        format!("{name}_v4"),
        "no number is used twice: a late delete could meet it"
    );
}

#[tokio::test]
async fn an_alias_that_was_lost_and_a_collection_that_was_deleted_are_made_again() {
    let syncing = Syncing::start().await;
    books(&syncing, 500).await;
    let job = syncing.job(json!({})).await;
    syncing.run(&job).await;
    let name = job["collection_name"].as_str().expect("a name");
    syncing.typesense(Method::DELETE, &format!("/aliases/{name}"), "").await.expect(200);
    syncing.run(&job).await;
    syncing.equals(&job, BOOKS).await;
    let collection = syncing.behind(&job).await;
    syncing.typesense(Method::DELETE, &format!("/collections/{collection}"), "").await.expect(200);
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (500, 0, 0));
    syncing.equals(&job, BOOKS).await;
}
