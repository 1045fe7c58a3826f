//! What decides whether the tables stay small: vacuum, and what keeps it from its work.

use sqlx::PgPool;
use tidewell::db::checkup::{self, Server, Table};

use super::finding::{Finding, judged, listed};
use crate::cli::output::age;

/// The server stops writing at two thousand million.
const OLD_TRANSACTIONS: i64 = 1_000_000_000;
/// Of a table with more dead rows than this, and than live ones, vacuum is behind.
const DEAD_ROWS: i64 = 500_000;

pub(super) async fn check(pool: &PgPool) -> Vec<Finding> {
    let server = checkup::server(pool).await;
    let tables = checkup::tables(pool).await;
    let mut findings = Vec::new();
    if let (Ok(server), Ok(tables)) = (&server, &tables) {
        findings.push(autovacuum(server, tables));
        findings.push(transactions(server));
    }
    findings.push(judged("dead_rows", tables.as_ref(), |tables| dead_rows(tables)));
    findings.push(judged("disk", tables.as_ref(), |tables| disk(tables)));
    findings.push(judged("long_transactions", checkup::long_transaction(pool).await, |long| match long {
        None => Finding::ok("long_transactions", "none"),
        Some(long) => Finding::warning(
            "long_transactions",
            format!("{:?} (pid {}) has had one open for {}", long.application, long.pid, age(long.seconds)),
            format!("end it (`select pg_terminate_backend({})`): until then no vacuum removes dead rows", long.pid),
        ),
    }));
    findings
}

fn autovacuum(server: &Server, tables: &[Table]) -> Finding {
    const CHECK: &str = "autovacuum";
    let left_out: Vec<String> =
        tables.iter().filter(|table| table.is_left_out).map(|table| table.name.clone()).collect();
    match (server.autovacuum, left_out.as_slice()) {
        (true, []) => Finding::ok(CHECK, "it is on for every table"),
        (true, _) => Finding::problem(
            CHECK,
            format!("it is off for {}", listed(&left_out)),
            "run `alter table … reset (autovacuum_enabled)` for each",
        ),
        (false, _) => Finding::problem(CHECK, "it is off", "switch it on: the outbox turns over all the time"),
    }
}

fn transactions(server: &Server) -> Finding {
    let age = server.transaction_age;
    match age < OLD_TRANSACTIONS {
        true => Finding::ok("transaction_ids", format!("the oldest is {age} transactions old")),
        false => Finding::problem(
            "transaction_ids",
            format!("the oldest is {age} transactions old: at two thousand million the server stops writing"),
            "find what keeps vacuum from freezing (long or prepared transactions, slots), then run `vacuum freeze`",
        ),
    }
}

fn dead_rows(tables: &[Table]) -> Finding {
    let behind = tables.iter().filter(|table| table.dead_rows > DEAD_ROWS.max(table.live_rows));
    let behind: Vec<String> = behind.map(|table| format!("{} ({} dead rows)", table.name, table.dead_rows)).collect();
    match behind.as_slice() {
        [] => Finding::ok("dead_rows", "vacuum keeps up"),
        _ => Finding::warning(
            "dead_rows",
            format!("vacuum is behind: {}", listed(&behind)),
            "look for long transactions and inactive slots, give autovacuum more workers or a higher cost limit",
        ),
    }
}

fn disk(tables: &[Table]) -> Finding {
    const TOLD: usize = 3;
    let size = |bytes: i64| format!("{:.1} MB", bytes as f64 / 1e6);
    let total: i64 = tables.iter().map(|table| table.bytes).sum();
    let largest: Vec<String> =
        tables.iter().take(TOLD).map(|table| format!("{} {}", table.name, size(table.bytes))).collect();
    Finding::ok("disk", format!("{} in all; the largest: {}", size(total), largest.join(", ")))
}
