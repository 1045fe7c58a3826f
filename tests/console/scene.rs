//! A Tidewell in the middle of a working day: tenants who write, tables in sync, and what went wrong.

use serde_json::{Value, json};

use super::VIEWER_KEY;
use crate::support::{
    client::Client,
    stack::{Setting, Tenant},
    syncing::Syncing,
};

pub(super) struct Scene {
    pub(super) syncing: Syncing,
    /// The pages that there are, each with what it is called.
    pub(super) pages: Vec<(&'static str, String)>,
}

impl Scene {
    pub(super) async fn open() -> Self {
        let syncing = Syncing::of(Setting::fresh().await.with("TIDEWELL_VIEWER_KEY", VIEWER_KEY)).await;
        let operator = syncing.stack.operator();
        let (index, job) = bookshop(operator).await;
        lighthouse(operator).await;
        let (sync, run) = tables(&syncing).await;
        an_hour(&syncing.stack.setting).await;
        let letters = operator.get("/v1/dead-letters?limit=1").await.expect(200);
        let letter = text(&letters["items"][0]["id"]);
        let backend = text(&syncing.profile_id);
        let pages = [
            ("overview", "/console".to_owned()),
            ("dead-letters", "/console/dead-letters".to_owned()),
            ("dead-letter", format!("/console/dead-letters/{letter}")),
            ("jobs", "/console/jobs".to_owned()),
            ("job", format!("/console/jobs/{job}")),
            ("search", format!("/console/search?in=index:{index}&q=sea")),
            ("indexes", "/console/indexes".to_owned()),
            ("index", format!("/console/indexes/{index}")),
            ("index-new", "/console/indexes/new".to_owned()),
            ("index-reindex", format!("/console/indexes/{index}/reindex")),
            ("organizations", "/console/organizations".to_owned()),
            ("organization", "/console/organizations/bookshop".to_owned()),
            ("key-new", "/console/organizations/bookshop/keys/new".to_owned()),
            ("plans", "/console/plans".to_owned()),
            ("syncs", "/console/syncs".to_owned()),
            ("sync", format!("/console/syncs/{sync}")),
            ("sync-run", format!("/console/syncs/{sync}/runs/{run}")),
            ("sync-edit", format!("/console/syncs/{sync}/edit")),
            ("sync-new", "/console/syncs/new".to_owned()),
            ("sync-new-table", "/console/syncs/new?client=shop".to_owned()),
            ("sync-new-columns", "/console/syncs/new?client=shop&schema=public&table=orders".to_owned()),
            ("clients", "/console/clients".to_owned()),
            ("client", "/console/clients/shop".to_owned()),
            ("table", "/console/clients/shop/tables/public/orders".to_owned()),
            ("backends", "/console/backends".to_owned()),
            ("backend", format!("/console/backends/{backend}")),
            ("gateway-keys", "/console/gateway-keys".to_owned()),
        ];
        Self { pages: pages.to_vec(), syncing }
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A tenant some of whose documents are refused, for two reasons. Gives its index, and the last of its jobs.
async fn bookshop(operator: &Client) -> (String, String) {
    let shop = Tenant::make(operator, "bookshop", json!({ "slug": "books" })).await;
    let title = |n: usize| ["The Sea, The Sea", "Under the Net", "The Bell", "A Severed Head"][n % 4];
    let document =
        |n: usize| json!({ "id": format!("book-{n}"), "title": title(n), "genre": "novel", "year": 1950 + n });
    let good: Vec<Value> = (0..60).map(document).collect();
    let path = "/v1/indexes/books/documents:batch";
    let job = shop.client.post(path, &json!({ "documents": good })).await.expect(202);
    shop.client.ended(&job).await;
    let faulty = json!({ "documents": [
        { "id": "book-61", "title": "The Philosopher's Pupil", "year": "1983?" },
        { "id": "book-62", "title": "The Green Knight", "year": "1993?" },
        { "id": "book-63", "title": ["Jackson's", "Dilemma"], "year": 1995 },
        { "id": "book-64", "title": "The Black Prince", "year": 1973 },
    ] });
    let job = shop.client.post(path, &faulty).await.expect(202);
    shop.client.ended(&job).await;
    let reindex = format!("/v1/indexes/{}:reindex", text(&shop.index["id"]));
    operator.ended(&operator.post(&reindex, &json!({ "rebuild": true })).await.expect(202)).await;
    (text(&shop.index["id"]), text(&job["jobId"]))
}

/// A tenant with nothing to complain of.
async fn lighthouse(operator: &Client) {
    let keeper = Tenant::make(operator, "lighthouse", json!({ "slug": "logs" })).await;
    let log =
        |n: usize| json!({ "id": n.to_string(), "title": format!("Night {n}: wind from the west, the lamp was lit") });
    let logs: Vec<Value> = (0..200).map(log).collect();
    let job = keeper.client.post("/v1/indexes/logs/documents:batch", &json!({ "documents": logs })).await.expect(202);
    keeper.client.ended(&job).await;
    operator.post("/v1/gateway-keys", &json!({ "name": "athena" })).await.expect(201);
}

/// Three tables: one in sync, one with a row that Typesense refuses, one that nobody has synced yet. Gives a job and its run.
async fn tables(syncing: &Syncing) -> (String, String) {
    syncing
        .sql(
            "create table orders (id int primary key, customer text, total numeric, placed_at timestamptz default now());
             insert into orders (id, customer, total) select n, 'customer ' || n % 90, n * 1.25 from generate_series(1, 3000) as n;
             create table returns (id int primary key, reason text);
             create table stock (id int primary key, shelf text);
             insert into stock select n, 'shelf ' || n from generate_series(1, 40) as n",
        )
        .await;
    let of = |table: &str| json!({ "name": table, "source_table_name": table, "sync_interval_minutes": 15 });
    let orders = syncing.job(of("orders")).await;
    let run = syncing.run(&orders).await;
    let stock = syncing.job(of("stock")).await;
    syncing.run(&stock).await;
    // A table that has lost a column fails its next run.
    syncing.sql("alter table stock rename column id to number").await;
    let failed = syncing.begin(&stock).await;
    syncing.ended(&stock, &failed).await;
    let mut returns = of("returns");
    returns["auto_sync_enabled"] = json!(false);
    syncing.job(returns).await;
    (text(&orders["id"]), text(&run["id"]))
}

/// As if all of this had gone on for an hour, with a lull in it.
async fn an_hour(setting: &Setting) {
    let pool = setting.pool().await;
    sqlx::query("delete from tidewell.activity").execute(&pool).await.expect("no activity");
    sqlx::query(
        "with minutes as (
             select n, (400 + 300 * sin(n / 7.0) + n * 37 % 90)::bigint as passed from generate_series(0, 60) as n
         )
         insert into tidewell.activity (minute, accepted, projected, synced, died)
         select date_trunc('minute', now()) - make_interval(mins => 60 - n), sum(passed * 60) over (order by n),
                sum(passed * 58) over (order by n), sum(case when n % 15 = 3 then 3000 else 0 end) over (order by n),
                case when n in (22, 23, 47) then n % 7 else 0 end
         from minutes
         -- A worker may note a minute at any moment.
         on conflict (minute) do update
         set accepted = excluded.accepted, projected = excluded.projected, synced = excluded.synced, died = excluded.died",
    )
    .execute(&pool)
    .await
    .expect("an hour");
}
