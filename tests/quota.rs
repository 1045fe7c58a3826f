//! What an organization may use of its plan, and what it pays beyond.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::ingest::permits::{Denied, Permits};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::stack::{Setting, Stack, Tenant};

const BATCH: &str = "/v1/indexes/books/documents:batch";

fn books(ids: impl Iterator<Item = usize>) -> Value {
    json!({ "documents": ids.map(|id| json!({ "id": id.to_string(), "title": "Book" })).collect::<Vec<_>>() })
}

/// A front end and an organization on a plan of its own.
async fn on_plan(stack: &Stack, plan: Value) -> Tenant {
    let tenant = stack.tenant("acme").await;
    stack.operator().put("/v1/plans/own", &plan).await.expect(200);
    stack.operator().patch("/v1/organizations/acme", &json!({ "plan": "own" })).await.expect(200);
    tenant
}

async fn usage(stack: &Stack) -> Value {
    stack.operator().get("/v1/organizations/acme/usage").await.expect(200)
}

#[tokio::test]
async fn what_was_used_without_a_cap_counts_when_a_cap_comes() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("acme").await;
    // At one time, so that they are counted in several slots.
    join_all((0..12).map(|n| {
        let client = tenant.client.clone();
        async move { client.post(BATCH, &books(n * 10..n * 10 + 10)).await.expect(202) }
    }))
    .await;
    stack.operator().put("/v1/plans/own", &json!({ "monthlyUnits": 130 })).await.expect(200);
    stack.operator().patch("/v1/organizations/acme", &json!({ "plan": "own" })).await.expect(200);
    let refused = tenant.client.post(BATCH, &books(0..11)).await;
    refused.problem(429, "quota_exceeded");
    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(130), &json!(120)));
    assert!(refused.body["resetsAt"].is_string());
    let last = tenant.client.post(BATCH, &books(0..10)).await;
    assert!(last.header("x-quota-warning").is_some());
    last.expect(202);
    // The plan itself changes under the organization, there and back.
    for units in [json!(null), json!(140)] {
        stack.operator().put("/v1/plans/own", &json!({ "monthlyUnits": units })).await.expect(200);
    }
    tenant.client.post(BATCH, &books(0..11)).await.problem(429, "quota_exceeded");
    tenant.client.post(BATCH, &books(0..10)).await.expect(202);
    assert_eq!(usage(&stack).await["used"], 140);
}

#[tokio::test]
async fn a_plan_caps_documents_and_at_the_cap_they_can_still_be_changed() {
    let stack = Stack::start().await;
    let tenant = on_plan(&stack, json!({ "maxDocuments": 20 })).await;
    let job = tenant.client.post(BATCH, &books(0..20)).await.expect(202);
    tenant.client.ended(&job).await;
    let refused = tenant.client.post(BATCH, &books(20..21)).await;
    refused.problem(429, "quota_exceeded");
    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(20), &json!(20)));
    let job = tenant.client.post(BATCH, &books(0..20)).await.expect(202);
    tenant.client.ended(&job).await;
    let job = tenant.client.delete("/v1/indexes/books/documents/7").await.expect(202);
    tenant.client.ended(&job).await;
    assert_eq!(usage(&stack).await["documents"], json!({ "used": 19, "limit": 20 }));
    tenant.client.post(BATCH, &books(20..22)).await.problem(429, "quota_exceeded");
    tenant.client.post(BATCH, &books(20..21)).await.expect(202);
    assert_eq!(usage(&stack).await["used"], 42, "what was refused costs nothing");
}

#[tokio::test]
async fn requests_that_race_never_pass_the_cap_of_documents() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = on_plan(&stack, json!({ "maxDocuments": 100 })).await;
    let answers = join_all((0..16).map(|n| {
        let client = tenant.client.clone();
        async move { client.post(BATCH, &books(n * 9..n * 9 + 9)).await.status.as_u16() }
    }))
    .await;
    assert_eq!(answers.iter().filter(|status| **status == 202).count(), 11, "{answers:?}");
}

#[tokio::test]
async fn a_plan_caps_indexes_and_keys() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    on_plan(&stack, json!({ "maxIndexes": 2, "maxKeys": 2 })).await;
    let operator = stack.operator();
    let index = |slug: &str| json!({ "slug": slug, "fields": [{ "name": "title", "type": "string" }] });
    let indexes = "/v1/organizations/acme/indexes";
    operator.post(indexes, &index("second")).await.expect(201);
    let refused = operator.post(indexes, &index("third")).await;
    refused.problem(429, "quota_exceeded");
    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(2), &json!(2)));
    let (keys, key) = ("/v1/organizations/acme/keys", json!({ "name": "k", "kind": "search" }));
    let second = operator.post(keys, &key).await.expect(201);
    operator.post(keys, &key).await.problem(429, "quota_exceeded");
    operator.delete(&format!("{keys}/{}", second["id"].as_str().expect("an id"))).await.expect(200);
    operator.post(keys, &key).await.expect(201);
}

#[tokio::test]
async fn a_plan_that_makes_no_sense_is_refused() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    for (name, body, field) in [
        ("own", json!({ "monthlyUnits": 0 }), "monthlyUnits"),
        ("own", json!({ "maxKeys": -1 }), "maxKeys"),
        ("own", json!({ "overageMinorPerThousand": -5 }), "overageMinorPerThousand"),
        ("No%20Plan", json!({}), "name"),
        ("own", json!({ "monthlyUnits": i64::MAX }), "monthlyUnits"),
    ] {
        let refused = stack.operator().put(&format!("/v1/plans/{name}"), &body).await;
        refused.problem(422, "validation_failed");
        assert_eq!(refused.body["errors"][0]["field"], field);
    }
}

/// Front ends as far as units for searches go.
struct Meter {
    stack: Stack,
    pool: PgPool,
    organization: Uuid,
}

impl Meter {
    async fn on_plan(plan: Value, changes: Value) -> Self {
        let stack = Stack::without_worker(Setting::fresh().await).await;
        let tenant = on_plan(&stack, plan).await;
        stack.operator().patch("/v1/organizations/acme", &changes).await.expect(200);
        let pool = stack.setting.pool().await;
        let organization = tenant.organization["id"].as_str().expect("an id").parse().expect("a UUID");
        Self { stack, pool, organization }
    }

    fn front_end(&self) -> Permits {
        Permits::new(self.pool.clone())
    }

    /// Searches until one is refused; how many were not.
    async fn search_until_refused(&self, front_end: &Permits) -> i64 {
        let mut spent = 0;
        loop {
            match front_end.take(self.organization, 1).await {
                Ok(permit) => _ = permit.spend(1),
                Err(Denied::Quota(_)) => return spent,
                Err(Denied::Database(error)) => panic!("{error}"),
            }
            spent += 1;
        }
    }

    async fn used(&self) -> i64 {
        usage(&self.stack).await["used"].as_i64().expect("a number")
    }

    /// What the month's row says, with all that is held.
    async fn charged(&self) -> i64 {
        sqlx::query_scalar("select coalesce(sum(used), 0)::bigint from tidewell.usage")
            .fetch_one(&self.pool)
            .await
            .expect("the usage")
    }

    /// Free, set aside, and both as the ledger has them.
    async fn wallet(&self) -> (i64, i64) {
        let (free, reserved, free_by_ledger, reserved_by_ledger): (i64, i64, i64, i64) = sqlx::query_as(
            "select wallet_minor, wallet_reserved_minor,
                    (select coalesce(sum(amount_minor), 0) from tidewell.wallet_entries)::bigint,
                    (select coalesce(sum(reserved_minor), 0) from tidewell.wallet_entries)::bigint
             from tidewell.organizations",
        )
        .fetch_one(&self.pool)
        .await
        .expect("the wallet");
        assert_eq!((free, reserved), (free_by_ledger, reserved_by_ledger), "the ledger tells the same");
        (free, reserved)
    }

    async fn stop(front_end: &Permits) {
        let stopped = CancellationToken::new();
        stopped.cancel();
        front_end.keep(stopped).await;
    }
}

#[tokio::test]
async fn a_lone_front_end_spends_its_plan_to_the_last_search() {
    let meter = Meter::on_plan(json!({ "monthlyUnits": 500 }), json!({})).await;
    let front_end = meter.front_end();
    assert_eq!(meter.search_until_refused(&front_end).await, 500);
    Meter::stop(&front_end).await;
    assert_eq!((meter.used().await, meter.charged().await), (500, 500));
}

#[tokio::test]
async fn front_ends_that_race_never_pass_the_plan_and_what_they_stop_with_is_what_they_spent() {
    let meter = Meter::on_plan(json!({ "monthlyUnits": 2000 }), json!({})).await;
    let front_ends: Vec<Permits> = (0..3).map(|_| meter.front_end()).collect();
    let searches = front_ends.iter().flat_map(|front_end| (0..4).map(|_| meter.search_until_refused(front_end)));
    let spent: i64 = join_all(searches).await.iter().sum();
    assert!(spent <= 2000, "{spent}");
    for front_end in &front_ends {
        Meter::stop(front_end).await;
    }
    assert_eq!((meter.used().await, meter.charged().await), (spent, spent));
}

#[tokio::test]
async fn a_search_that_failed_costs_nothing_and_a_multi_search_one_for_each() {
    let meter = Meter::on_plan(json!({ "monthlyUnits": 100 }), json!({})).await;
    let front_end = meter.front_end();
    for n in 0..300 {
        let permit = front_end.take(meter.organization, 20).await.expect("room");
        if n == 0 {
            // Five of the twenty failed.
            assert_eq!(permit.spend(15).limit, Some(100));
        }
    }
    assert!(front_end.take(meter.organization, 86).await.is_err());
    front_end.take(meter.organization, 85).await.expect("the rest").spend(85);
    Meter::stop(&front_end).await;
    assert_eq!((meter.used().await, meter.charged().await), (100, 100));
}

#[tokio::test]
async fn a_front_end_that_is_killed_loses_at_most_what_it_held_and_charges_nothing_twice() {
    let meter = Meter::on_plan(json!({ "monthlyUnits": 10000 }), json!({})).await;
    let front_end = Arc::new(meter.front_end());
    let stop = CancellationToken::new();
    let books = tokio::spawn({
        let (front_end, stop) = (front_end.clone(), stop.clone());
        async move { front_end.keep(stop).await }
    });
    for _ in 0..37 {
        front_end.take(meter.organization, 1).await.expect("room").spend(1);
    }
    crate::support::eventually(Duration::from_secs(60), || async {
        match meter.used().await {
            37 => Ok(()),
            used => Err(used),
        }
    })
    .await;
    books.abort();
    let held: i64 = sqlx::query_scalar("select sum(units - spent)::bigint from tidewell.reservations")
        .fetch_one(&meter.pool)
        .await
        .expect("one reservation");
    sqlx::query("update tidewell.reservations set renewed_at = now() - interval '1 hour'")
        .execute(&meter.pool)
        .await
        .expect("an hour goes by");
    assert_eq!(tidewell::db::quota::reservation::end_abandoned(&meter.pool).await.expect("ended"), 1);
    assert_eq!((meter.used().await, meter.charged().await), (37 + held, 37 + held));
    // If it was only out of touch, its end changes nothing.
    Meter::stop(&front_end).await;
    assert_eq!(meter.charged().await, 37 + held);
}

#[tokio::test]
async fn searches_beyond_the_plan_are_paid_by_the_thousand_and_never_beyond_the_wallet() {
    let plan = json!({ "monthlyUnits": 100, "overageMinorPerThousand": 30 });
    let meter = Meter::on_plan(plan, json!({ "overageEnabled": true })).await;
    let top_up = json!({ "amountMinor": 70 });
    meter.stack.operator().post("/v1/organizations/acme/wallet:topUp", &top_up).await.expect(200);
    let front_ends: Vec<Permits> = (0..3).map(|_| meter.front_end()).collect();
    let spent: i64 =
        join_all(front_ends.iter().map(|front_end| meter.search_until_refused(front_end))).await.iter().sum();
    assert!(spent <= 2100, "{spent}");
    for front_end in &front_ends {
        Meter::stop(front_end).await;
    }
    assert_eq!(meter.charged().await, spent);
    assert_eq!(meter.wallet().await, (10, 0), "70 pay for two thousands");
    // What is left of the last thousand is paid for.
    let rest = meter.front_end();
    assert_eq!(meter.search_until_refused(&rest).await, 2100 - spent);
    Meter::stop(&rest).await;
    assert_eq!(meter.wallet().await, (10, 0));
}

#[tokio::test]
async fn writes_and_searches_that_race_for_the_last_units_are_taken_or_refused_and_nothing_else() {
    let meter = Meter::on_plan(json!({ "monthlyUnits": 300 }), json!({})).await;
    let key = crate::support::stack::key(meter.stack.operator(), "acme", &["ingest"]).await;
    let writer = meter.stack.operator().bearer(&key);
    let front_ends: Vec<Permits> = (0..3).map(|_| meter.front_end()).collect();
    let searches = join_all(front_ends.iter().map(|front_end| meter.search_until_refused(front_end)));
    let writes = join_all((0..150).map(|n| {
        let writer = writer.clone();
        async move { writer.post(BATCH, &books(2 * n..2 * n + 2)).await.status.as_u16() }
    }));
    let (spent, statuses) = tokio::join!(searches, writes);
    assert!(statuses.iter().all(|status| [202, 429].contains(status)), "{statuses:?}");
    for front_end in &front_ends {
        Meter::stop(front_end).await;
    }
    let taken = 2 * statuses.iter().filter(|status| **status == 202).count() as i64 + spent.iter().sum::<i64>();
    assert!(taken <= 300, "{taken}");
    assert_eq!((meter.used().await, meter.charged().await), (taken, taken));
}

#[tokio::test]
async fn a_smaller_plan_does_not_charge_for_what_was_used_before_it() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("acme").await;
    tenant.client.post(BATCH, &books(0..500)).await.expect(202);
    stack.operator().post("/v1/organizations/acme/wallet:topUp", &json!({ "amountMinor": 100 })).await.expect(200);
    stack
        .operator()
        .put("/v1/plans/own", &json!({ "monthlyUnits": 100, "overageMinorPerThousand": 30 }))
        .await
        .expect(200);
    let change = json!({ "plan": "own", "overageEnabled": true });
    stack.operator().patch("/v1/organizations/acme", &change).await.expect(200);
    // 400 beyond the cap: the rest of that thousand is free, and the next one is paid for.
    tenant.client.post(BATCH, &books(0..600)).await.expect(202);
    assert_eq!(usage(&stack).await["walletMinor"], 100);
    tenant.client.post(BATCH, &books(0..1)).await.expect(202);
    assert_eq!(usage(&stack).await["walletMinor"], 70);
}

#[tokio::test]
async fn money_for_a_thousand_that_nobody_began_goes_back() {
    let plan = json!({ "monthlyUnits": 100, "overageMinorPerThousand": 30 });
    let meter = Meter::on_plan(plan, json!({ "overageEnabled": true })).await;
    let top_up = json!({ "amountMinor": 30 });
    meter.stack.operator().post("/v1/organizations/acme/wallet:topUp", &top_up).await.expect(200);
    let front_end = meter.front_end();
    for _ in 0..100 {
        front_end.take(meter.organization, 1).await.expect("room").spend(1);
    }
    drop(front_end.take(meter.organization, 1).await.expect("overage"));
    assert_eq!(meter.wallet().await, (0, 30));
    Meter::stop(&front_end).await;
    assert_eq!((meter.used().await, meter.wallet().await), (100, (30, 0)));
}

#[tokio::test]
async fn searches_are_units_by_whatever_route_and_those_that_fail_are_none() {
    let stack = Stack::start().await;
    let tenant = on_plan(&stack, json!({ "monthlyUnits": 20 })).await;
    let job = tenant.client.post(BATCH, &books(0..5)).await.expect(202);
    tenant.client.ended(&job).await;
    let search = "/v1/indexes/books/search";
    let several = |n: usize| json!({ "searches": vec![json!({ "index": "books", "q": "book" }); n] });
    tenant.client.post(search, &json!({ "q": "book" })).await.expect(200);
    tenant.client.post(search, &json!({ "q": "book", "facetBy": "nothing" })).await.problem(400, "invalid_request");
    tenant.client.post("/v1/multi-search", &several(3)).await.expect(200);
    let mut broken = several(3);
    broken["searches"][1]["facetBy"] = json!("nothing");
    tenant.client.post("/v1/multi-search", &broken).await.problem(400, "invalid_request");
    let native =
        json!({ "searches": [{ "collection": "books", "q": "book" }, { "collection": "books", "facet_by": "no" }] });
    tenant.client.post("/multi_search", &native).await.expect(200);
    // Ten so far, the five documents among them.
    tenant.client.post("/v1/multi-search", &several(12)).await.problem(429, "quota_exceeded");
    let warned = tenant.client.post("/v1/multi-search", &several(10)).await;
    assert_eq!(warned.header("x-quota-warning"), Some("20 of 20 units of this month are used"));
    warned.expect(200);
    let refused = tenant.client.post(search, &json!({ "q": "book" })).await;
    refused.problem(429, "quota_exceeded");
    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(20), &json!(20)));
    tenant.client.post(BATCH, &books(5..6)).await.problem(429, "quota_exceeded");
    crate::support::eventually(Duration::from_secs(60), || async {
        match usage(&stack).await["used"].as_i64() {
            Some(20) => Ok(()),
            used => Err(used),
        }
    })
    .await;
}

#[tokio::test]
async fn a_front_end_that_is_stopped_gives_back_what_it_did_not_spend() {
    let stack = Stack::start().await;
    let tenant = on_plan(&stack, json!({ "monthlyUnits": 1000 })).await;
    let job = tenant.client.post(BATCH, &books(0..5)).await.expect(202);
    tenant.client.ended(&job).await;
    for _ in 0..7 {
        tenant.client.post("/v1/indexes/books/search", &json!({ "q": "book" })).await.expect(200);
    }
    stack.front.process.stop();
    let pool = stack.setting.pool().await;
    let (used, held): (i64, i64) = sqlx::query_as(
        "select (select sum(used) from tidewell.usage)::bigint, (select count(*) from tidewell.reservations)",
    )
    .fetch_one(&pool)
    .await
    .expect("the usage");
    assert_eq!((used, held), (12, 0));
}
