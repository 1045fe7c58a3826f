//! `tidewell status`: how things stand, at a glance.

use tidewell::db::{
    self,
    status::{
        COUNTED_TO, CheckStatus, HEALTHS, IndexStatus, ReindexStatus, Status, SyncStatus, WorkerStatus,
        oldest_unsynced_seconds,
    },
};

use super::{
    Session,
    output::{age, maybe, nothing, table, word},
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
    if !status.reindexes.is_empty() {
        parts.push(reindexes(&status.reindexes));
    }
    if !status.syncs.is_empty() {
        parts.push(syncs(&status.syncs));
    }
    if status.doubted_flights > 0 {
        let count = status.doubted_flights;
        parts.push(format!("{count} requests to Typesense are in doubt: their documents are being read back"));
    }
    let troubles = status.workers.iter().filter_map(|worker| worker.embedding_trouble.as_deref());
    parts.extend(troubles.map(|trouble| format!("documents go without vectors: {trouble}")));
    if status.embedding_debts > 0 {
        let count = count(status.embedding_debts);
        parts.push(format!("{count} documents were written without a vector, and get it once their model is back"));
    }
    let waiting: i64 = status.indexes.iter().map(|index| index.backlog).sum();
    if waiting + status.reindexes.len() as i64 > 0 && !status.workers.iter().any(|worker| worker.alive) {
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
            drift(&index.check),
        ]
    });
    let numbers =
        ["backlog", "oldest", "lanes at work", "retries due", "retries later", "filter deletes", "dead letters"];
    let [backlog, oldest, lanes, due, later, filters, dead] = numbers;
    table(["index", backlog, oldest, lanes, due, later, filters, dead, "drift"], &numbers, rows)
}

/// How the collection compared with what was written, and how long ago.
fn drift(check: &CheckStatus) -> String {
    let counts = [(check.missing, "missing"), (check.extra, "extra"), (check.stale, "stale")];
    let told: Vec<_> = counts
        .iter()
        .filter_map(|(count, kind)| count.filter(|count| *count > 0).map(|count| format!("{count} {kind}")))
        .collect();
    let found = match (check.age_seconds, told.is_empty()) {
        (None, _) => nothing(),
        (Some(seconds), true) => format!("none, {} ago", age(seconds)),
        (Some(seconds), false) => format!("{}, {} ago", told.join(", "), age(seconds)),
    };
    if check.error.is_some() { format!("{found} (the last check failed: `tidewell index show`)") } else { found }
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

fn reindexes(reindexes: &[ReindexStatus]) -> String {
    let rows = reindexes.iter().map(|reindex| {
        [
            format!("{}/{}", reindex.organization, reindex.index),
            reindex.version.to_string(),
            word(reindex.kind),
            word(reindex.phase),
            format!("{:.0}%", reindex.progress * 100.0),
            reindex.refused.to_string(),
            maybe(reindex.error.as_ref()),
        ]
    });
    let numbers = ["version", "done", "refused"];
    let [version, done, refused] = numbers;
    table(["reindex", version, "kind", "phase", done, refused, "waits for"], &numbers, rows)
}

/// One line: how many jobs there are of each health, and how long the one that has waited longest has been without a good run.
fn syncs(syncs: &[SyncStatus]) -> String {
    let of = |health: &str| syncs.iter().filter(|sync| sync.health == health).count();
    let counts = HEALTHS.iter().map(|health| (of(health), health.replace('_', " ")));
    let told: Vec<_> =
        counts.filter(|(count, _)| *count > 0).map(|(count, health)| format!("{count} {health}")).collect();
    let oldest =
        oldest_unsynced_seconds(syncs).map(|seconds| format!(", the oldest without a good run for {}", age(seconds)));
    let (all, told, oldest) = (syncs.len(), told.join(", "), oldest.unwrap_or_default());
    format!("sync jobs: {all} ({told}){oldest}: see `tidewell sync status`")
}

/// A count that stops somewhere.
fn count(number: i64) -> String {
    if number >= COUNTED_TO { format!("{COUNTED_TO}+") } else { number.to_string() }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn work_that_nobody_does_is_pointed_out() {
        let index = IndexStatus {
            id: Uuid::nil(),
            organization: "acme".to_owned(),
            index: "products".to_owned(),
            version: 1,
            documents: 5,
            backlog: 7,
            oldest_enqueued_at: None,
            oldest_age_seconds: Some(90.0),
            retries_due: 0,
            retries_waiting: COUNTED_TO,
            filter_deletes: 0,
            dead_letters: 2,
            lanes_leased: 0,
            check: CheckStatus {
                age_seconds: Some(3700.0),
                missing: Some(4),
                extra: Some(0),
                ..CheckStatus::default()
            },
        };
        let shown = text(&Status {
            indexes: vec![index],
            workers: vec![],
            syncs: vec![],
            reindexes: vec![],
            versions: vec![],
            embedding_debts: 3,
            doubted_flights: 1,
        });
        for expected in [
            "acme/products",
            "1m 30s",
            "10000+",
            "1 requests",
            "3 documents",
            "`tidewell work`",
            "4 missing, 1h 1m ago",
        ] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
    }

    #[test]
    fn sync_jobs_are_summed_up_in_one_line() {
        let sync = |health: &str, enabled, unsynced_seconds| SyncStatus {
            id: uuid::Uuid::nil(),
            name: String::new(),
            enabled,
            health: health.to_owned(),
            is_stale: false,
            last_synced_at: None,
            age_seconds: None,
            unsynced_seconds,
            failed_rows: None,
            run_progress_pct: None,
            live_lag_bytes: None,
            live_lag_ms: None,
            dead_letters: 0,
        };
        let off = sync("disabled", false, 9e9);
        assert_eq!(syncs(std::slice::from_ref(&off)), "sync jobs: 1 (1 disabled): see `tidewell sync status`");
        let told = syncs(&[sync("never_synced", true, 90.0), sync("fresh", true, 5.0), sync("fresh", true, 8.0), off]);
        let expected = "sync jobs: 4 (2 fresh, 1 never synced, 1 disabled), the oldest without a good run for 1m 30s: \
                        see `tidewell sync status`";
        assert_eq!(told, expected);
    }
}
