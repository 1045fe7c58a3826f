//! Table syncs on a bad day: killed workers, backends that are away, requests that land late. The collection becomes equal to the table
//! by itself, and nothing is lost or held open meanwhile.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    eventually,
    proxy::{Fault, Held, Proxy},
    servers::own_servers,
    stack::Setting,
    syncing::Syncing,
};

/// The table's rows as documents.
const BOOKS: &str = "select id::text, title, price from books";

/// A table of so many books.
async fn books(syncing: &Syncing, rows: usize) {
    syncing
        .sql(&format!(
            "create table books (id bigint primary key, title text not null, price int);
             insert into books select n, 'Title ' || n, n from generate_series(1, {rows}) as n"
        ))
        .await;
}

/// With one worker, whose backend is behind a proxy.
async fn behind_a_proxy() -> (Syncing, Proxy) {
    behind_a_proxy_of(Setting::fresh().await).await
}

async fn behind_a_proxy_of(setting: Setting) -> (Syncing, Proxy) {
    let proxy = Proxy::before(&setting.typesense_url).await;
    let mut syncing = Syncing::without_worker(setting, &proxy.url).await;
    syncing.stack.worker = Some(syncing.stack.setting.work());
    (syncing, proxy)
}

impl Syncing {
    fn kill_worker(&mut self) {
        self.stack.worker.take().expect("a worker").kill();
    }

    fn start_worker(&mut self) {
        self.stack.worker = Some(self.stack.setting.work());
    }

    async fn title(&self, job: &Value, id: &str) -> Option<String> {
        let name = job["collection_name"].as_str().expect("a name");
        let found = self.typesense(Method::GET, &format!("/collections/{name}/documents/{id}"), "").await;
        found.body["title"].as_str().map(str::to_owned)
    }

    /// Waits until the books 3, 4 and 5 have these titles, or are not there.
    async fn titles_become(&self, job: &Value, expected: [Option<&str>; 3], within: Duration) {
        eventually(within, || async {
            let titles = [self.title(job, "3").await, self.title(job, "4").await, self.title(job, "5").await];
            if titles.each_ref().map(Option::as_deref) == expected { Ok(()) } else { Err(titles) }
        })
        .await;
    }
}

/// The next import that carries this text; others go through.
async fn held_with(proxy: &mut Proxy, text: &str) -> Held {
    loop {
        let held = proxy.held.recv().await.expect("an import");
        if held.body.contains(text) {
            return held;
        }
        held.let_go().await;
    }
}

#[tokio::test]
async fn a_document_that_no_answer_told_of_goes_when_its_row_goes() {
    let (syncing, proxy) = behind_a_proxy().await;
    books(&syncing, 100).await;
    let job = syncing.job(json!({})).await;
    assert_eq!(syncing.run(&job).await["status"], "success");
    syncing.sql("insert into books values (101, 'Nobody knows', 0)").await;
    proxy.set(Fault::NoLines);
    assert_eq!(syncing.run(&job).await["failed_count"], 1);
    assert_eq!(syncing.letters(&job).await, [("101".to_owned(), "the answer had no line for it".to_owned())]);
    assert_eq!(syncing.title(&job, "101").await.as_deref(), Some("Nobody knows"), "it was written all the same");
    proxy.set(Fault::None);
    syncing.sql("delete from books where id = 101").await;
    assert_eq!(syncing.run(&job).await["deleted_count"], 1);
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn a_killed_worker_is_followed_by_others_that_go_on_behind_the_last_range() {
    let setting = Setting::fresh().await.with("TIDEWELL_LEASE_SECONDS", 3).with("TIDEWELL_IMPORT_TIMEOUT_SECONDS", 1);
    let mut syncing = Syncing::of(setting).await;
    books(&syncing, 24_000).await;
    let job = syncing.job(json!({ "batch_size": 250, "batch_delay_ms": 150 })).await;
    let run = syncing.begin(&job).await;
    let mut read = 0;
    for (kill, at) in [2_000, 6_000, 10_000].into_iter().enumerate() {
        let before = syncing.read(&job, &run, at.max(read + 1)).await;
        assert!(before >= read, "it went on from where it stood: {before} after {read}");
        syncing.kill_worker();
        read = syncing.look(&job, &run).await["source_row_count"].as_i64().expect("a count");
        // Behind, about to be written, and in front.
        syncing
            .sql(&format!(
                "update books set title = 'changed {kill}' where id % 500 = {kill};
                 delete from books where id % 700 = {kill};
                 insert into books select 30000 + {kill} * 100 + n, 'new', n from generate_series(1, 50) as n;
                 insert into books values (-{kill} - 1, 'before all', 0)"
            ))
            .await;
        syncing.start_worker();
    }
    let ended = syncing.until(&job, &run, |run| {
        let now = run["source_row_count"].as_i64().expect("a count");
        assert!(now >= read, "not from the beginning: {now} after {read}");
        !run["finished_at"].is_null()
    });
    assert_eq!(ended.await["status"], "success");
    assert_eq!(syncing.title(&job, "20000").await.as_deref(), Some("changed 0"), "in front, changed early");
    assert_eq!(syncing.title(&job, "20001").await.as_deref(), Some("changed 1"));
    assert_eq!(syncing.title(&job, "30250").await.as_deref(), Some("new"));
    assert_eq!(syncing.runs(&job).await.iter().filter(|run| run["trigger_source"] == "api").count(), 1);
    eventually(Duration::from_secs(30), || async {
        match syncing.call(Method::POST, &job, "/run?wait=true").await.status.as_u16() {
            200 => Ok(()),
            status => Err(status),
        }
    })
    .await;
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn a_backend_that_is_away_pauses_a_run_and_spends_nothing() {
    let (syncing, proxy) = behind_a_proxy().await;
    books(&syncing, 1_000).await;
    let job = syncing.job(json!({})).await;
    for (n, fault) in [Fault::Unavailable, Fault::Away, Fault::CutAnswer].into_iter().enumerate() {
        syncing.sql(&format!("update books set title = title || ' {n}'; delete from books where id = {n} + 1")).await;
        proxy.set(fault);
        let run = syncing.begin(&job).await;
        let paused = syncing.until(&job, &run, |run| run["status"] == "paused").await;
        assert!(paused["paused_reason"].as_str().is_some_and(|reason| reason.len() > 10), "{fault:?}: {paused:#}");
        syncing.source_rests().await;
        proxy.set(Fault::None);
        let ended = syncing.ended(&job, &run).await;
        assert_eq!((&ended["status"], &ended["failed_count"]), (&json!("success"), &json!(0)), "{fault:?}: {ended:#}");
        assert!(ended["paused_ms"].as_i64() > Some(0), "{ended:#}");
        assert_eq!(syncing.letters(&job).await, [], "{fault:?}");
        syncing.equals(&job, BOOKS).await;
    }
    assert!(syncing.runs(&job).await.iter().all(|run| run["status"] != "failed"));
}

#[tokio::test]
async fn a_backend_that_is_found_elsewhere_while_a_run_waits_keeps_what_it_holds() {
    let (syncing, proxy) = behind_a_proxy().await;
    books(&syncing, 4_000).await;
    let spec = syncing.spec(json!({}));
    let name = &spec["collection_name"];
    let fields = json!([{ "name": "title", "type": "string" }, { "name": "price", "type": "int32", "optional": true }]);
    let collection = json!({ "name": name, "fields": fields });
    syncing.typesense(Method::POST, "/collections", &collection.to_string()).await.expect(201);
    let documents = format!("/collections/{}/documents", name.as_str().expect("a name"));
    syncing.typesense(Method::POST, &documents, r#"{ "id": "theirs", "title": "Others wrote it" }"#).await.expect(201);
    let job = syncing.job(json!({ "collection_name": name, "batch_size": 250, "batch_delay_ms": 300 })).await;
    assert_eq!(syncing.run(&job).await["status"], "success");
    syncing.sql("update books set title = title || ' anew'").await;
    let run = syncing.begin(&job).await;
    syncing.read(&job, &run, 500).await;
    proxy.set(Fault::Away);
    syncing.until(&job, &run, |run| run["status"] == "paused").await;
    let path = format!("/typesense/backends/{}", syncing.profile_id.as_str().expect("a backend"));
    let moved = json!({ "base_url": syncing.stack.setting.typesense_url });
    syncing.stack.operator().patch(&path, &moved).await.expect(200);
    assert_eq!(syncing.ended(&job, &run).await["status"], "success");
    let mut held = syncing.held(name).await;
    assert!(held.remove("theirs").is_some(), "what others wrote");
    assert_eq!(held, syncing.rows(BOOKS).await);
}

#[tokio::test]
async fn a_backend_that_is_stopped_and_started_again_finds_the_run_going_on() {
    let mut servers = own_servers().await;
    let setting = Setting {
        database_url: servers.fresh_database().await,
        typesense_url: servers.typesense_url(),
        typesense_api_key: servers.typesense_api_key(),
        more: vec![],
    };
    let syncing = Syncing::of(setting).await;
    books(&syncing, 8_000).await;
    let job = syncing.job(json!({ "batch_size": 250, "batch_delay_ms": 200 })).await;
    let run = syncing.begin(&job).await;
    let read = syncing.read(&job, &run, 500).await;
    servers.stop_typesense().await;
    let paused = syncing.until(&job, &run, |run| run["status"] == "paused").await;
    assert!(paused["source_row_count"].as_i64() >= Some(read), "{paused:#}");
    syncing.source_rests().await;
    servers.start_typesense().await;
    let ended = syncing.ended(&job, &run).await;
    assert_eq!(Syncing::counts(&ended), (8_000, 0, 0));
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn nothing_is_held_open_in_the_source_while_imports_hang() {
    let (syncing, mut proxy) = behind_a_proxy().await;
    books(&syncing, 300).await;
    // Rows so wide that a range ends amid what the source answers.
    syncing.sql("update books set title = repeat(md5(id::text), 6000)").await;
    let job = syncing.job(json!({})).await;
    proxy.set(Fault::Hold);
    let run = syncing.begin(&job).await;
    let held = proxy.held.recv().await.expect("an import");
    syncing.source_rests().await;
    proxy.set(Fault::None);
    held.let_go().await;
    while let Ok(held) = proxy.held.try_recv() {
        held.let_go().await;
    }
    assert_eq!(syncing.ended(&job, &run).await["status"], "success");
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn what_a_dead_worker_had_under_way_and_lands_late_is_repaired() {
    let (mut syncing, mut proxy) = behind_a_proxy().await;
    syncing.set_timeout(7000).await;
    books(&syncing, 10).await;
    let job = syncing.job(json!({})).await;
    syncing.run(&job).await;
    proxy.set(Fault::Hold);
    syncing.sql("update books set title = 'stale' where id in (3, 4, 5)").await;
    let run = syncing.begin(&job).await;
    let held = held_with(&mut proxy, "stale").await;
    syncing.kill_worker();
    proxy.set(Fault::None);
    syncing.sql("update books set title = 'newer' where id = 3; delete from books where id = 4").await;
    syncing.sql("update books set title = 'Title 5' where id = 5").await;
    syncing.start_worker();
    assert_eq!(syncing.ended(&job, &run).await["status"], "success");
    syncing.equals(&job, BOOKS).await;
    held.let_go().await;
    assert_eq!(syncing.title(&job, "3").await.as_deref(), Some("stale"), "it has landed");
    // The job has no schedule.
    syncing.titles_become(&job, [Some("newer"), None, Some("Title 5")], Duration::from_secs(30)).await;
    syncing.equals(&job, BOOKS).await;
    let repaired = |runs: &[Value]| runs[0]["trigger_source"] == "repair" && runs[0]["status"] == "success";
    let repairs = eventually(Duration::from_secs(20), || async {
        let runs = syncing.runs(&job).await;
        let pool = syncing.stack.setting.pool().await;
        let left: i64 =
            sqlx::query_scalar("select count(*) from tidewell.sync_overlay").fetch_one(&pool).await.expect("a count");
        if repaired(&runs) && left == 0 { Ok(runs.len()) } else { Err((left, runs)) }
    })
    .await;
    assert!(repairs <= 4, "as few repairs as it takes: {repairs}");
}

#[tokio::test]
async fn what_was_given_up_and_sent_again_and_lands_late_is_repaired() {
    // So that it lands in time, however slow the machine is.
    let (syncing, mut proxy) = behind_a_proxy_of(Setting::fresh().await.with("TIDEWELL_DOUBT_SECONDS", 15)).await;
    syncing.set_timeout(1000).await;
    books(&syncing, 10).await;
    let job = syncing.job(json!({})).await;
    syncing.run(&job).await;
    proxy.set(Fault::Hold);
    syncing.sql("update books set title = 'stale' where id in (3, 4, 5)").await;
    let run = syncing.begin(&job).await;
    let held = held_with(&mut proxy, "stale").await;
    proxy.set(Fault::None);
    assert_eq!(syncing.ended(&job, &run).await["status"], "success", "one that was sent again was answered");
    syncing.equals(&job, BOOKS).await;
    syncing.sql("update books set title = 'newer' where id = 3; delete from books where id = 4").await;
    assert_eq!(syncing.run(&job).await["status"], "success");
    syncing.equals(&job, BOOKS).await;
    held.let_go().await;
    assert_eq!(syncing.title(&job, "3").await.as_deref(), Some("stale"), "it has landed");
    syncing.titles_become(&job, [Some("newer"), None, Some("stale")], Duration::from_secs(60)).await;
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn what_is_in_doubt_of_a_job_that_builds_anew_is_repaired_in_the_collection_that_is_there() {
    let (syncing, mut proxy) = behind_a_proxy().await;
    syncing.set_timeout(1000).await;
    books(&syncing, 10).await;
    let job = syncing.job(json!({ "sync_strategy": "full" })).await;
    proxy.set(Fault::Hold);
    let run = syncing.begin(&job).await;
    let _held = held_with(&mut proxy, "Title").await;
    proxy.set(Fault::None);
    assert_eq!(syncing.ended(&job, &run).await["status"], "success");
    let collection = syncing.behind(&job).await;
    let repaired = eventually(Duration::from_secs(30), || async {
        let last = syncing.runs(&job).await.swap_remove(0);
        if last["trigger_source"] == "repair" && !last["finished_at"].is_null() { Ok(last) } else { Err(last) }
    })
    .await;
    assert_eq!(Syncing::counts(&repaired), (10, 0, 0));
    assert_eq!(syncing.behind(&job).await, collection);
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn a_cancelled_run_ends_within_a_second_though_imports_hang_and_the_next_one_makes_it_good() {
    let (syncing, mut proxy) = behind_a_proxy().await;
    books(&syncing, 3_000).await;
    let job = syncing.job(json!({})).await;
    syncing.run(&job).await;
    proxy.set(Fault::Hold);
    syncing.sql("update books set title = 'stale' where id > 1000").await;
    let run = syncing.begin(&job).await;
    let held = held_with(&mut proxy, "stale").await;
    let began = Instant::now();
    let answer = syncing.call(Method::POST, &job, "/cancel").await.expect(200);
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(answer["data"]["status"], "cancelled");
    assert_eq!(syncing.again(&job).await["last_sync_status"], "cancelled");
    assert_eq!(syncing.look(&job, &run).await["status"], "cancelled");
    // As they were: what was cancelled may still come.
    syncing.sql("update books set title = 'Title ' || id where id > 1000").await;
    proxy.set(Fault::None);
    syncing.call(Method::POST, &job, "/cancel").await.expect(409);
    assert_eq!(syncing.run(&job).await["status"], "success");
    held.let_go().await;
    while let Ok(held) = proxy.held.try_recv() {
        held.let_go().await;
    }
    eventually(Duration::from_secs(40), || async {
        let stale =
            syncing.held(&job["collection_name"]).await.values().filter(|held| held["title"] == "stale").count();
        if stale == 0 { Ok(()) } else { Err(stale) }
    })
    .await;
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn a_waiting_run_is_cancelled_at_once() {
    let (syncing, proxy) = behind_a_proxy().await;
    books(&syncing, 10).await;
    let job = syncing.job(json!({})).await;
    proxy.set(Fault::Away);
    let run = syncing.begin(&job).await;
    syncing.until(&job, &run, |run| run["status"] == "paused").await;
    let answer = syncing.call(Method::POST, &job, "/cancel").await.expect(200);
    assert_eq!(answer["data"]["status"], "cancelled");
    proxy.set(Fault::None);
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (10, 0, 0));
}

#[tokio::test]
async fn a_row_that_came_back_after_a_cancelled_run_is_there_after_the_next() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create table books (id bigint primary key, title text not null, price int);
             insert into books select n * 1000, 'Title ' || n, n from generate_series(1, 3000) as n",
        )
        .await;
    let job = syncing.job(json!({})).await;
    syncing.run(&job).await;
    // One range grows so much that it is read in pieces; a row of its beginning is gone.
    syncing
        .sql(
            "delete from books where id in (600000, 601000);
             insert into books select 610000 + 1000 * m + n, 'New', n from generate_series(0, 19) as m, generate_series(1, 900) as n",
        )
        .await;
    syncing.change(&job, json!({ "batch_size": 250, "batch_delay_ms": 300 })).await.expect(200);
    let run = syncing.begin(&job).await;
    let read = syncing.read(&job, &run, 1_000).await;
    assert!(read < 15_000, "{read}");
    syncing.call(Method::POST, &job, "/cancel").await.expect(200);
    syncing.sql("insert into books values (600000, 'Title 600', 600), (601000, 'back', 601)").await;
    syncing.change(&job, json!({ "batch_delay_ms": 0 })).await.expect(200);
    syncing.run(&job).await;
    syncing.equals(&job, BOOKS).await;
    syncing.run(&job).await;
    syncing.equals(&job, BOOKS).await;
}

#[tokio::test]
async fn a_job_has_one_run_at_a_time_and_many_jobs_run_side_by_side() {
    let syncing = Syncing::start().await;
    books(&syncing, 3_000).await;
    let job = syncing.job(json!({ "batch_size": 250, "batch_delay_ms": 100 })).await;
    let asked = futures::future::join_all((0..12).map(|_| syncing.call(Method::POST, &job, "/run"))).await;
    let (begun, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(|answer| answer.status == 202);
    assert_eq!(begun.len(), 1);
    for answer in refused {
        assert_eq!(
            (answer.status.as_u16(), &answer.body["error"]),
            (409, &json!("already_running")),
            "{:#}",
            answer.body
        );
    }
    let mut jobs = vec![];
    for n in 0..8 {
        jobs.push(syncing.job(json!({ "name": format!("job {n}") })).await);
    }
    let runs = futures::future::join_all(jobs.iter().map(|job| syncing.run(job))).await;
    for (job, run) in jobs.iter().zip(&runs) {
        assert_eq!(Syncing::counts(run), (3_000, 0, 0));
        syncing.equals(job, BOOKS).await;
    }
    assert_eq!(
        Syncing::counts(&syncing.ended(&job, begun[0].body["data"]["run_id"].as_str().expect("a run")).await),
        (3_000, 0, 0)
    );
}

#[tokio::test]
async fn several_workers_make_one_run_of_a_tick_however_late_and_none_of_a_disabled_job() {
    let syncing = Syncing::start().await;
    let more = [syncing.stack.setting.work(), syncing.stack.setting.work()];
    books(&syncing, 20).await;
    let pool = syncing.stack.setting.pool().await;
    let late = async |name: &str| {
        let late = "update public.typesense_sync_jobs set next_sync_at = now() - interval '5 hours' where name = $1";
        sqlx::query(late).bind(name).execute(&pool).await.expect("late");
    };
    let off = syncing.job(json!({ "name": "off", "sync_interval_minutes": 1, "enabled": false })).await;
    late("off").await;
    let hourly = syncing.job(json!({ "name": "hourly", "sync_interval_minutes": 60 })).await;
    let daily = syncing.job(json!({ "name": "daily", "cron": "30 4 * * *", "timezone": "Asia/Kathmandu" })).await;
    let ran = async |job: &Value, times: usize| {
        eventually(Duration::from_secs(20), || async {
            let (runs, job) = (syncing.runs(job).await, syncing.again(job).await);
            let due = "select next_sync_at <= now() from public.typesense_sync_jobs where name = $1";
            let due = sqlx::query_scalar(due).bind(job["name"].as_str());
            let is_due: bool = due.fetch_one(&pool).await.expect("a job");
            match runs.len() == times && runs.iter().all(|run| run["status"] == "success") && !is_due {
                true => Ok((runs, job)),
                false => Err((times, runs, job)),
            }
        })
        .await
    };
    assert!(daily["next_sync_at"].as_str().is_some_and(|at| at.contains("T22:45:00")), "{daily:#}");
    for times in 1..=4 {
        late("hourly").await;
        late("daily").await;
        let (runs, again) = ran(&hourly, times).await;
        assert!(runs.iter().all(|run| run["trigger_source"] == "schedule"));
        assert_eq!(again["last_sync_status"], "success");
        let (_, again) = ran(&daily, times).await;
        assert!(again["next_sync_at"].as_str().is_some_and(|at| at.contains("T22:45:00")), "{again:#}");
    }
    assert_eq!(syncing.runs(&off).await.len(), 0);
    let refused = syncing.call(Method::POST, &off, "/run").await.expect(409);
    assert!(refused["message"].as_str().is_some_and(|message| message.contains("enable")), "{refused:#}");
    drop(more);
}

#[tokio::test]
async fn a_worker_that_does_not_schedule_does_what_is_asked_for() {
    let setting = Setting::fresh().await.with("ATHENA_TYPESENSE_SYNC_WORKER_ENABLED", false);
    let syncing = Syncing::of(setting).await;
    books(&syncing, 20).await;
    let due = syncing.job(json!({ "name": "due", "sync_interval_minutes": 1 })).await;
    let asked = syncing.job(json!({ "name": "asked" })).await;
    // For longer than others take to look twice.
    let until = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < until {
        assert_eq!(syncing.run(&asked).await["status"], "success");
    }
    assert_eq!(syncing.runs(&due).await.len(), 0);
    assert_eq!(Syncing::counts(&syncing.run(&due).await), (20, 0, 0));
}

#[tokio::test]
async fn a_job_that_is_deleted_while_it_runs_is_gone_and_can_be_made_again() {
    let syncing = Syncing::start().await;
    books(&syncing, 12_000).await;
    let collection = format!("again_{}", uuid::Uuid::new_v4().simple());
    let collection = json!({ "collection_name": collection, "batch_size": 50, "batch_delay_ms": 20 });
    for rows in [1, 500, 3_000] {
        let job = syncing.job(collection.clone()).await;
        syncing.sql("update books set title = title || '.'").await;
        let run = syncing.begin(&job).await;
        syncing.read(&job, &run, rows).await;
        syncing.call(Method::DELETE, &job, "").await.expect(200);
        syncing.call(Method::GET, &job, "").await.expect(404);
    }
    let job = syncing.job(collection).await;
    eventually(Duration::from_secs(20), || async {
        let run = syncing.run(&job).await;
        if run["status"] == "success" { Ok(()) } else { Err(run) }
    })
    .await;
    syncing.equals(&job, BOOKS).await;
    let pool = syncing.stack.setting.pool().await;
    let left: i64 =
        sqlx::query_scalar("select count(*) from tidewell.sync_states").fetch_one(&pool).await.expect("a count");
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_job_and_its_client_may_change_while_it_runs() {
    let syncing = Syncing::start().await;
    books(&syncing, 6_000).await;
    let job = syncing.job(json!({ "batch_size": 250, "batch_delay_ms": 200 })).await;
    let run = syncing.begin(&job).await;
    syncing.read(&job, &run, 500).await;
    syncing.change(&job, json!({ "selected_columns": ["id", "title"], "batch_delay_ms": 0 })).await.expect(200);
    syncing.stack.operator().delete("/v1/clients/shop").await.expect(409);
    let backend = format!("/typesense/backends/{}", syncing.profile_id.as_str().expect("a backend"));
    syncing.stack.operator().delete(&backend).await.expect(409);
    let other = crate::support::servers::servers().await.fresh_database().await;
    syncing.stack.operator().patch("/v1/clients/shop", &json!({ "url": other })).await.expect(200);
    assert_eq!(Syncing::counts(&syncing.ended(&job, &run).await), (6_000, 0, 0));
    let failed = syncing.run(&job).await;
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("no table public.books")), "{failed:#}");
    syncing.equals(&job, BOOKS).await;
    syncing.stack.operator().patch("/v1/clients/shop", &json!({ "url": syncing.source_url })).await.expect(200);
    assert_eq!(Syncing::counts(&syncing.run(&job).await), (6_000, 0, 0));
    syncing.equals(&job, "select id::text, title from books").await;
}

#[tokio::test]
async fn wide_rows_stay_within_memory() {
    let syncing = Syncing::start().await;
    syncing
        .sql(
            "create table books (id bigint primary key, title text not null, price int);
             insert into books select n, repeat(md5(n::text), 32000), n from generate_series(1, 200) as n",
        )
        .await;
    let job = syncing.job(json!({ "batch_size": 10_000 })).await;
    let run = syncing.begin(&job).await;
    let pid = syncing.stack.worker.as_ref().expect("a worker").pid();
    let most = async {
        let mut most = 0;
        loop {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
            most = most.max(line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number"));
            let run = syncing.look(&job, &run).await;
            if !run["finished_at"].is_null() {
                assert_eq!(Syncing::counts(&run), (200, 0, 0));
                return most;
            }
        }
    };
    let most = tokio::time::timeout(Duration::from_secs(300), most).await.expect("an end");
    assert!(most < 250 << 10, "{most} kB");
    assert_eq!(syncing.held(&job["collection_name"]).await.len(), 200);
}
