//! What the database counts, in Prometheus' text format. Rendered as read, not kept in the recorder: a series ends with its index or job.

use std::fmt::Write;

use crate::db::status::{HEALTHS, IndexStatus, Status, SyncStatus, WorkerStatus, oldest_unsynced_seconds};

/// A gauge's name, what it tells, and its value for one index.
type IndexGauge = (&'static str, &'static str, fn(&IndexStatus) -> f64);

pub(super) fn render(text: &mut String, status: &Status) {
    let of_indexes: [IndexGauge; 7] = [
        ("tidewell_backlog_rows", "Rows accepted and not settled.", |index| index.backlog as f64),
        (
            "tidewell_oldest_unprojected_age_seconds",
            "How long the oldest write has waited to be projected; 0 where none waits.",
            |index| index.oldest_age_seconds.unwrap_or(0.0),
        ),
        ("tidewell_retries_due_rows", "Failed rows whose next try is due.", |index| index.retries_due as f64),
        ("tidewell_retries_waiting_rows", "Failed rows whose next try lies ahead.", |index| {
            index.retries_waiting as f64
        }),
        ("tidewell_filter_deletes_waiting", "Deletes by filter not resolved.", |index| index.filter_deletes as f64),
        ("tidewell_dead_letters", "Writes that failed for good, counted to 10,000.", |index| index.dead_letters as f64),
        ("tidewell_lanes_leased", "Lanes that a worker holds.", |index| index.lanes_leased as f64),
    ];
    for (name, help, of) in of_indexes {
        gauge(text, name, help, status.indexes.iter().map(|index| (labels(index), of(index))));
    }
    render_checks(text, &status.indexes);
    render_workers(text, &status.workers);
    let doubted = status.doubted_flights as f64;
    gauge(text, "tidewell_doubted_flights", "Requests to Typesense whose end is not known.", [(vec![], doubted)]);
    render_versions(text, status);
    render_syncs(text, &status.syncs);
}

/// A gauge's name, what it tells, and its value for one worker.
type WorkerGauge = (&'static str, &'static str, fn(&WorkerStatus) -> f64);

fn render_workers(text: &mut String, workers: &[WorkerStatus]) {
    let of_workers: [WorkerGauge; 2] = [
        ("tidewell_breaker_open", "Whether a worker's breaker is open: 0 closed, 0.5 half open, 1 open.", |worker| {
            match worker.breaker.as_str() {
                "closed" => 0.0,
                "half_open" => 0.5,
                _ => 1.0,
            }
        }),
        (
            "tidewell_embedding_trouble",
            "Whether documents that a worker writes go without vectors, though they should have some.",
            |worker| f64::from(worker.embedding_trouble.is_some()),
        ),
    ];
    for (name, help, of) in of_workers {
        let values = workers
            .iter()
            .filter(|worker| worker.alive)
            .map(|worker| (vec![("worker", worker.name.as_str()), ("backend", worker.backend.as_str())], of(worker)));
        gauge(text, name, help, values);
    }
    let alive = workers.iter().filter(|worker| worker.alive).count();
    gauge(text, "tidewell_workers_alive", "Workers that reported lately.", [(vec![], alive as f64)]);
}

fn render_versions(text: &mut String, status: &Status) {
    let progress = status.reindexes.iter().map(|reindex| {
        (vec![("organization", reindex.organization.as_str()), ("index", reindex.index.as_str())], reindex.progress)
    });
    gauge(
        text,
        "tidewell_reindex_progress",
        "How far a reindex or a rollback is that has not ended: 0 to 1.",
        progress,
    );
    let numbers: Vec<String> = status.versions.iter().map(|version| version.version.to_string()).collect();
    let changes = status.versions.iter().zip(&numbers).map(|(version, number)| {
        let labels = vec![
            ("organization", version.organization.as_str()),
            ("index", version.index.as_str()),
            ("version", number.as_str()),
        ];
        (labels, version.changes as f64)
    });
    let help = "Documents that a version which is not live is behind, counted to 10,000.";
    gauge(text, "tidewell_version_changes", help, changes);
    let help = "Documents without a vector because their model was away, counted to 10,000.";
    gauge(text, "tidewell_embedding_debts", help, [(vec![], status.embedding_debts as f64)]);
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
    gauge(
        text,
        "tidewell_index_drift_documents",
        "Documents that a collection has not as they were written, as of the last check.",
        drifted,
    );
    let ages = indexes.iter().filter_map(|index| Some((labels(index), index.check.age_seconds?)));
    gauge(
        text,
        "tidewell_index_check_age_seconds",
        "How long ago a collection was compared with what was written.",
        ages,
    );
    let failed = indexes.iter().map(|index| (labels(index), f64::from(index.check.error.is_some())));
    gauge(text, "tidewell_index_check_failed", "Whether the last comparison could not be made.", failed);
}

/// A gauge's name, what it tells, and its value for one sync job, if it has one.
type SyncGauge = (&'static str, &'static str, fn(&SyncStatus) -> Option<f64>);

fn render_syncs(text: &mut String, syncs: &[SyncStatus]) {
    let of_jobs: [SyncGauge; 7] = [
        ("tidewell_sync_age_seconds", "How old the collection's data is, as of the last good sync.", |sync| {
            sync.age_seconds
        }),
        ("tidewell_sync_stale", "Whether an enabled job's data is older than it may be.", |sync| {
            Some(f64::from(sync.is_stale))
        }),
        ("tidewell_sync_failed_rows", "Rows that the collection does not take, as of the last run.", |sync| {
            sync.failed_rows.map(|rows| rows as f64)
        }),
        ("tidewell_sync_run_progress_pct", "How far the run is that has not ended.", |sync| sync.run_progress_pct),
        ("tidewell_sync_live_lag_bytes", "The source's log that a live job has not followed yet.", |sync| {
            sync.live_lag_bytes.map(|bytes| bytes as f64)
        }),
        ("tidewell_sync_live_lag_seconds", "How far a live job is behind its source.", |sync| {
            sync.live_lag_ms.map(|ms| ms as f64 / 1000.0)
        }),
        ("tidewell_sync_dead_letters", "Refused rows that nobody has acted on, counted to 10,000.", |sync| {
            Some(sync.dead_letters as f64)
        }),
    ];
    for (name, help, of) in of_jobs {
        let values = syncs.iter().filter_map(|sync| Some((vec![("job", sync.name.as_str())], of(sync)?)));
        gauge(text, name, help, values);
    }
    let healths = syncs.iter().flat_map(|sync| {
        let labels = |health| vec![("job", sync.name.as_str()), ("health", health)];
        HEALTHS.map(|health| (labels(health), f64::from(sync.health == health)))
    });
    gauge(text, "tidewell_sync_health", "How a job stands: 1 for what it is, 0 for what it is not.", healths);
    let oldest = oldest_unsynced_seconds(syncs).unwrap_or(0.0);
    gauge(
        text,
        "tidewell_sync_oldest_unsynced_age_seconds",
        "How long the enabled job that has waited longest has been without a good sync; 0 where none is enabled.",
        [(vec![], oldest)],
    );
}

/// Writes one metric.
pub(super) fn gauge<'a>(
    text: &mut String,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
) {
    // Writing into a string can't fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in values {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_written_as_prometheus_reads_it() {
        let mut text = String::new();
        gauge(&mut text, "tidewell_x_rows", "Rows.", [(vec![("index", "a\"\\\nb"), ("organization", "o")], 3.0)]);
        gauge(&mut text, "tidewell_y", "None.", []);
        gauge(&mut text, "tidewell_z", "One.", [(vec![], 0.5)]);
        let expected = "# HELP tidewell_x_rows Rows.\n# TYPE tidewell_x_rows gauge\n\
                        tidewell_x_rows{index=\"a\\\"\\\\\\nb\",organization=\"o\"} 3\n\
                        # HELP tidewell_y None.\n# TYPE tidewell_y gauge\n\
                        # HELP tidewell_z One.\n# TYPE tidewell_z gauge\ntidewell_z 0.5\n";
        assert_eq!(text, expected);
    }
}
