//! What the database counts, in Prometheus' text format. Rendered as read, not kept in the recorder: a series ends with its index or job.

use crate::{
    db::status::{HEALTHS, IndexStatus, Status, SyncStatus, WorkerStatus, oldest_unsynced_seconds},
    metrics::{self, Metric, write_gauge},
};

/// A gauge, and its value for one index.
type IndexGauge = (Metric, fn(&IndexStatus) -> f64);

pub(super) fn render(text: &mut String, status: &Status) {
    let of_indexes: [IndexGauge; 7] = [
        (metrics::BACKLOG, |index| index.backlog as f64),
        (metrics::OLDEST_AGE, |index| index.oldest_age_seconds.unwrap_or(0.0)),
        (metrics::RETRIES_DUE, |index| index.retries_due as f64),
        (metrics::RETRIES_WAITING, |index| index.retries_waiting as f64),
        (metrics::FILTER_DELETES, |index| index.filter_deletes as f64),
        (metrics::DEAD_LETTERS, |index| index.dead_letters as f64),
        (metrics::LANES_LEASED, |index| index.lanes_leased as f64),
    ];
    for (metric, of) in of_indexes {
        write_gauge(text, &metric, status.indexes.iter().map(|index| (labels(index), of(index))));
    }
    render_checks(text, &status.indexes);
    render_workers(text, &status.workers);
    let doubted = status.doubted_flights as f64;
    write_gauge(text, &metrics::DOUBTED_FLIGHTS, [(vec![], doubted)]);
    render_versions(text, status);
    render_syncs(text, &status.syncs);
}

/// A gauge, and its value for one worker.
type WorkerGauge = (Metric, fn(&WorkerStatus) -> f64);

fn render_workers(text: &mut String, workers: &[WorkerStatus]) {
    let of_workers: [WorkerGauge; 2] = [
        (metrics::BREAKER_OPEN, |worker| match worker.breaker.as_str() {
            "closed" => 0.0,
            "half_open" => 0.5,
            _ => 1.0,
        }),
        (metrics::EMBEDDING_TROUBLE, |worker| f64::from(worker.embedding_trouble.is_some())),
    ];
    for (metric, of) in of_workers {
        let values = workers
            .iter()
            .filter(|worker| worker.alive)
            .map(|worker| (vec![("worker", worker.name.as_str()), ("backend", worker.backend.as_str())], of(worker)));
        write_gauge(text, &metric, values);
    }
    let alive = workers.iter().filter(|worker| worker.alive).count();
    write_gauge(text, &metrics::WORKERS_ALIVE, [(vec![], alive as f64)]);
}

fn render_versions(text: &mut String, status: &Status) {
    let progress = status.reindexes.iter().map(|reindex| {
        (vec![("organization", reindex.organization.as_str()), ("index", reindex.index.as_str())], reindex.progress)
    });
    write_gauge(text, &metrics::REINDEX_PROGRESS, progress);
    let numbers: Vec<String> = status.versions.iter().map(|version| version.version.to_string()).collect();
    let changes = status.versions.iter().zip(&numbers).map(|(version, number)| {
        let labels = vec![
            ("organization", version.organization.as_str()),
            ("index", version.index.as_str()),
            ("version", number.as_str()),
        ];
        (labels, version.changes as f64)
    });
    write_gauge(text, &metrics::VERSION_CHANGES, changes);
    write_gauge(text, &metrics::EMBEDDING_DEBTS, [(vec![], status.embedding_debts as f64)]);
}

fn labels(index: &IndexStatus) -> Vec<(&str, &str)> {
    vec![("organization", &index.organization), ("index", &index.index)]
}

fn render_checks(text: &mut String, indexes: &[IndexStatus]) {
    let drifted = indexes.iter().flat_map(|index| {
        let check = &index.check;
        let kinds = [("missing", check.missing), ("extra", check.extra), ("stale", check.stale)];
        let told =
            |(kind, count): (_, Option<i64>)| Some(([labels(index), vec![("kind", kind)]].concat(), count? as f64));
        kinds.into_iter().filter_map(told)
    });
    write_gauge(text, &metrics::DRIFT, drifted);
    let ages = indexes.iter().filter_map(|index| Some((labels(index), index.check.age_seconds?)));
    write_gauge(text, &metrics::CHECK_AGE, ages);
    let failed = indexes.iter().map(|index| (labels(index), f64::from(index.check.error.is_some())));
    write_gauge(text, &metrics::CHECK_FAILED, failed);
}

/// A gauge, and its value for one sync job, if it has one.
type SyncGauge = (Metric, fn(&SyncStatus) -> Option<f64>);

fn render_syncs(text: &mut String, syncs: &[SyncStatus]) {
    let of_jobs: [SyncGauge; 7] = [
        (metrics::SYNC_AGE, |sync| sync.age_seconds),
        (metrics::SYNC_STALE, |sync| Some(f64::from(sync.is_stale))),
        (metrics::SYNC_FAILED_ROWS, |sync| sync.failed_rows.map(|rows| rows as f64)),
        (metrics::SYNC_PROGRESS, |sync| sync.run_progress_pct),
        (metrics::LIVE_LAG_BYTES, |sync| sync.live_lag_bytes.map(|bytes| bytes as f64)),
        (metrics::LIVE_LAG, |sync| sync.live_lag_ms.map(|ms| ms as f64 / 1000.0)),
        (metrics::SYNC_DEAD_LETTERS, |sync| Some(sync.dead_letters as f64)),
    ];
    for (metric, of) in of_jobs {
        let values = syncs.iter().filter_map(|sync| Some((vec![("sync_job", sync.name.as_str())], of(sync)?)));
        write_gauge(text, &metric, values);
    }
    let healths = syncs.iter().flat_map(|sync| {
        let labels = |health| vec![("sync_job", sync.name.as_str()), ("health", health)];
        HEALTHS.map(|health| (labels(health), f64::from(sync.health == health)))
    });
    write_gauge(text, &metrics::SYNC_HEALTH, healths);
    let oldest = oldest_unsynced_seconds(syncs).unwrap_or(0.0);
    write_gauge(text, &metrics::OLDEST_UNSYNCED_AGE, [(vec![], oldest)]);
}
