//! `tidewell status`: how things stand, at a glance.

use tidewell::db::{
    self,
    status::{COUNTED_TO, IndexStatus, Status, WorkerStatus},
};

use super::{
    Session,
    output::{age, nothing, table},
};

pub(super) async fn run(session: &Session) -> anyhow::Result<()> {
    let status = db::status::read(&session.database().await?).await?;
    session.show(&status, || text(&status))
}

fn text(status: &Status) -> String {
    let none = |what: &str| format!("no {what} yet");
    let mut parts = vec![
        if status.indexes.is_empty() { none("indexes") } else { indexes(&status.indexes) },
        if status.workers.is_empty() { none("workers") } else { workers(&status.workers) },
    ];
    if status.doubted_flights > 0 {
        let count = status.doubted_flights;
        parts.push(format!("{count} requests to Typesense are in doubt: their documents are being read back"));
    }
    let waiting: i64 = status.indexes.iter().map(|index| index.backlog).sum();
    if waiting > 0 && !status.workers.iter().any(|worker| worker.alive) {
        parts.push("nobody is at work: start `tidewell work`".to_owned());
    }
    parts.join("\n\n")
}

fn indexes(indexes: &[IndexStatus]) -> String {
    let rows = indexes.iter().map(|index| {
        [
            format!("{}/{}", index.organization, index.index),
            index.backlog.to_string(),
            index.oldest_age_seconds.map_or_else(nothing, age),
            index.lanes_leased.to_string(),
            count(index.retries_due),
            count(index.retries_waiting),
            index.filter_deletes.to_string(),
            count(index.dead_letters),
        ]
    });
    let numbers =
        ["backlog", "oldest", "lanes at work", "retries due", "retries later", "filter deletes", "dead letters"];
    let [backlog, oldest, lanes, due, later, filters, dead] = numbers;
    table(["index", backlog, oldest, lanes, due, later, filters, dead], &numbers, rows)
}

fn workers(workers: &[WorkerStatus]) -> String {
    let rows = workers.iter().map(|worker| {
        [
            worker.name.clone(),
            if worker.alive { "alive" } else { "silent" }.to_owned(),
            format!("{} ago", age(worker.last_seen_seconds_ago)),
            match &worker.breaker_reason {
                Some(reason) => format!("{} ({reason})", worker.breaker),
                None => worker.breaker.clone(),
            },
            worker.concurrency.to_string(),
            worker.backend.clone(),
        ]
    });
    table(["worker", "state", "seen", "breaker", "imports", "backend"], &["imports"], rows)
}

/// A count that stops somewhere.
fn count(number: i64) -> String {
    if number >= COUNTED_TO { format!("{COUNTED_TO}+") } else { number.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_nobody_does_is_pointed_out() {
        let index = IndexStatus {
            organization: "acme".to_owned(),
            index: "products".to_owned(),
            backlog: 7,
            oldest_enqueued_at: None,
            oldest_age_seconds: Some(90.0),
            retries_due: 0,
            retries_waiting: COUNTED_TO,
            filter_deletes: 0,
            dead_letters: 2,
            lanes_leased: 0,
        };
        let shown = text(&Status { indexes: vec![index], workers: Vec::new(), doubted_flights: 1 });
        for expected in ["acme/products", "1m 30s", "10000+", "1 requests", "`tidewell work`"] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
    }
}
