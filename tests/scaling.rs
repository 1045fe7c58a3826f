//! What `ops/` has other programs ask of the control database.

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::support::stack::{Setting, Stack};

const SCALING: &str = include_str!("../ops/kubernetes/backlog/scaling.yaml");

#[tokio::test]
async fn the_query_that_scales_workers_counts_what_waits() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let query = SCALING.lines().find_map(|line| line.trim().strip_prefix("query: \"")?.strip_suffix('"'));
    let query = format!("select ({})::float8", query.expect("a query"));
    let pool = stack.setting.pool().await;
    let waiting =
        async || sqlx::query_scalar::<_, f64>(AssertSqlSafe(query.clone())).fetch_one(&pool).await.expect("a count");
    assert_eq!(waiting().await, 0.0, "also where there is no index yet");
    let tenant = stack.tenant("scaled").await;
    let documents: Vec<_> = (0..7).map(|id| json!({ "id": id.to_string(), "title": "Dune" })).collect();
    tenant.client.post("/v1/indexes/books/documents:batch", &json!({ "documents": documents })).await.expect(202);
    assert_eq!(waiting().await, 7.0);
}
