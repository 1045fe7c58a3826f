//! Every metric, with its unit and its meaning. `ops/metrics.md` is this list as a page.

/// What a metric is, and where its buckets end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram(&'static [f64]),
}

/// A label, and the values that it may have; none where they can't be listed here.
pub type Label = (&'static str, &'static [&'static str]);

/// One metric. Its unit is the end of its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [Label],
    pub help: &'static str,
}

/// Metrics that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub title: &'static str,
    pub metrics: &'static [Metric],
}

const COUNTER: Kind = Kind::Counter;
const GAUGE: Kind = Kind::Gauge;
/// Of a request, a statement, an import.
const QUICK: Kind =
    Kind::Histogram(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
/// From a write to its being found. 5 s is the bound that the alerts judge by.
const FRESH: Kind =
    Kind::Histogram(&[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0]);
/// Of what goes over whole tables.
const LONG: Kind = Kind::Histogram(&[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0]);

macro_rules! catalogue {
    ($(#[$about:meta])* $groups:ident: $($title:literal { $($name:ident = $kind:ident $text:literal [$($label:literal $(: $($value:literal)|+)?),*] $help:literal;)* })*) => {
        $($(
            pub const $name: Metric =
                Metric { name: $text, kind: $kind, labels: &[$(($label, &[$($($value),+)?])),*], help: $help };
        )*)*
        $(#[$about])*
        pub const $groups: &[Group] = &[$(Group { title: $title, metrics: &[$($name),*] }),*];
    };
}

catalogue! {
    /// What a process counts by itself.
    RECORDED:
    "HTTP, of `serve`" {
        HTTP_REQUESTS = COUNTER "tidewell_http_requests_total" ["method", "route", "status"]
            "Requests answered.";
        HTTP_DURATION = QUICK "tidewell_http_request_duration_seconds" ["method", "route"]
            "From a request's head to the head of its answer.";
        HTTP_IN_FLIGHT = GAUGE "tidewell_http_requests_in_flight" []
            "Requests that are being answered.";
        BODY_BYTES = GAUGE "tidewell_http_body_bytes_in_flight" []
            "Bytes of writes' bodies that are held.";
        BODY_BYTES_LIMIT = GAUGE "tidewell_http_body_bytes_limit" []
            "Bytes of writes' bodies that may be held before writes are refused.";
        REFUSED_REQUESTS = COUNTER "tidewell_refused_requests_total"
            ["reason": "rate_limit" | "quota" | "plan_cap" | "backlog" | "body_bytes" | "key_in_progress" | "key_mismatch"]
            "Requests refused by a limit, or by their idempotency key.";
    }
    "Accepting, of `serve`" {
        ACCEPTED = COUNTER "tidewell_accepted_documents_total" ["operation": "upsert" | "delete" | "delete_by_filter"]
            "Writes of documents made durable; a delete by filter is one.";
        REJECTED = COUNTER "tidewell_rejected_documents_total"
            ["code": "missing_id" | "invalid_id" | "invalid_json" | "invalid_document" | "reserved_field" | "document_too_large" | "document_too_deep"]
            "Documents that the door did not take.";
        REPLAYS = COUNTER "tidewell_idempotent_replays_total" []
            "Requests answered as before, by their idempotency key.";
        ACCEPT_DURATION = QUICK "tidewell_accept_duration_seconds" []
            "The accepting transaction, its commit included.";
        BACKLOG_LIMIT = GAUGE "tidewell_backlog_limit_rows" []
            "Rows that may wait in one index before its writes are refused.";
        QUOTA_UNITS = COUNTER "tidewell_quota_units_total" ["kind": "write" | "search"]
            "Units that organizations were charged.";
    }
    "Searching, of `serve`" {
        SEARCH_DURATION = QUICK "tidewell_search_duration_seconds" []
            "The searches of one request together, from their permits to their answers.";
        SEARCHES = COUNTER "tidewell_searches_total" ["mode": "keyword" | "vector" | "hybrid", "outcome": "found" | "refused" | "failed"]
            "Searches run.";
        SEARCH_ENGINE_DURATION = QUICK "tidewell_search_engine_duration_seconds" ["backend"]
            "One call to Typesense that searches: what it takes of the above.";
        SEARCH_CACHE_LOOKUPS = COUNTER "tidewell_search_cache_lookups_total" ["outcome": "hit" | "miss"]
            "Looks for a kept answer, of indexes that allow it.";
    }
    "Projecting, of `work`" {
        FRESHNESS = FRESH "tidewell_freshness_seconds" []
            "From a write's acceptance to its being in Typesense, of each document that was projected.";
        LANE_TURNS = COUNTER "tidewell_lane_turns_total" ["outcome": "empty" | "more" | "held" | "paused" | "lost"]
            "Turns at lanes: left empty, interrupted with more to do, held by another, paused by a backend or model in trouble, lost to another by the fence.";
        LANE_READ_DURATION = QUICK "tidewell_lane_read_duration_seconds" []
            "Reading the next batch of a lane.";
        IMPORT_DURATION = QUICK "tidewell_import_duration_seconds" ["backend", "outcome": "answered" | "failed"]
            "One import into Typesense, of lanes, syncs and reindexes; its count is that of the requests.";
        IMPORT_BYTES = COUNTER "tidewell_import_bytes_total" ["backend"]
            "Bytes sent by imports.";
        IMPORT_LINES = COUNTER "tidewell_import_lines_total" ["backend", "outcome": "imported" | "refused" | "unanswered"]
            "Documents sent by imports that were answered.";
        IMPORTS_IN_FLIGHT = GAUGE "tidewell_imports_in_flight" []
            "Imports of lanes under way.";
        IMPORT_CONCURRENCY = GAUGE "tidewell_import_concurrency_limit" []
            "Imports of lanes that may be under way, as found by climbing; 0 while the breaker is open.";
        SETTLE_DURATION = QUICK "tidewell_settle_duration_seconds" []
            "Writing down what became of a batch, and what the next one is about to send.";
        SETTLED_ROWS = COUNTER "tidewell_settled_rows_total" ["outcome": "projected" | "superseded" | "retried" | "dead"]
            "Rows of the outbox, by what was written down of them.";
        FAILED_ROWS = COUNTER "tidewell_failed_rows_total" ["code", "fate": "retried" | "dead"]
            "Rows that failed, by the code of their error: tried again, or made dead letters.";
        BREAKER_TRANSITIONS = COUNTER "tidewell_breaker_transitions_total" ["to": "open" | "half_open" | "closed"]
            "Changes of the breaker before the backend.";
        FLIGHTS_READ_BACK = COUNTER "tidewell_flights_read_back_total" ["outcome": "clean" | "stale" | "unreadable"]
            "Looks at lost requests to Typesense: nothing was amiss, documents were stale, or it could not be read.";
        REPAIRED_DOCUMENTS = COUNTER "tidewell_repaired_documents_total" []
            "Documents projected again because a lost request had landed late.";
        SWEEP_DURATION = QUICK "tidewell_sweep_duration_seconds" []
            "One scan for work that nobody attends.";
        SWEPT_LANES = COUNTER "tidewell_swept_lanes_total" []
            "Lanes with work that a scan found unattended.";
        INDEX_CHECKS = COUNTER "tidewell_index_checks_total" ["outcome": "clean" | "drifted" | "failed"]
            "Comparisons of an index with its collection.";
        REINDEXES = COUNTER "tidewell_reindexes_total" ["outcome": "succeeded" | "failed" | "cancelled"]
            "Reindexes and rollbacks that ended.";
        REINDEX_SWAP_DURATION = QUICK "tidewell_reindex_swap_duration_seconds" []
            "For how long a swap of versions held an index's lanes: projecting pauses, writes and searches go on.";
        PRUNE_DURATION = LONG "tidewell_prune_duration_seconds" []
            "One removal of what is finished and old.";
        PRUNED_ROWS = COUNTER "tidewell_pruned_rows_total" []
            "Rows removed because they were finished and old.";
    }
    "Table syncs, of `work`" {
        SYNC_RUN_DURATION = LONG "tidewell_sync_run_duration_seconds" ["status": "success" | "failed" | "cancelled"]
            "Runs from their start to their end, pauses included; its count is that of the runs.";
        SYNC_PAUSES = COUNTER "tidewell_sync_pauses_total" []
            "Runs that had to wait for a source, a backend or a model.";
        SYNC_ROWS = COUNTER "tidewell_sync_rows_total" ["outcome": "read" | "unchanged" | "written" | "deleted" | "refused"]
            "Rows of runs and of live jobs.";
        LIVE_STANDSTILLS = COUNTER "tidewell_sync_live_standstills_total" []
            "Times that a live job could not follow its table.";
    }
    "Embeddings" {
        EMBEDDED_TEXTS = COUNTER "tidewell_embedded_texts_total" ["model"]
            "Texts that a model has made vectors of.";
        EMBEDDING_REFUSED = COUNTER "tidewell_embedding_refused_texts_total" ["model"]
            "Texts that a model did not take.";
        EMBEDDING_HITS = COUNTER "tidewell_embedding_cache_hits_total" ["model"]
            "Texts whose vectors were known.";
        EMBEDDING_DURATION = QUICK "tidewell_embedding_duration_seconds" ["model"]
            "How long a model took for the texts of one call.";
    }
    "The process" {
        BUILD_INFO = GAUGE "tidewell_build_info" ["version"]
            "Always 1; the version is the label.";
        CONNECTIONS = GAUGE "tidewell_database_connections" ["of": "serve" | "work", "state": "used" | "idle"]
            "Connections to the control database.";
        CONNECTIONS_LIMIT = GAUGE "tidewell_database_connections_limit" ["of": "serve" | "work"]
            "Connections that the process may open.";
        LOG_LINES_LOST = COUNTER "tidewell_log_lines_lost_total" []
            "Log lines of jobs that were not kept: too many at once, or the database was away.";
    }
}

catalogue! {
    /// What the database tells whoever asks; each `serve` tells the same.
    TOLD:
    "The whole, as the database has it, of every `serve`" {
        DATABASE_UP = GAUGE "tidewell_database_up" []
            "Whether the status could be read.";
        BACKLOG = GAUGE "tidewell_backlog_rows" ["organization", "index"]
            "Rows accepted and not settled.";
        OLDEST_AGE = GAUGE "tidewell_oldest_unprojected_age_seconds" ["organization", "index"]
            "How long the oldest write has waited to be projected; 0 where none waits.";
        RETRIES_DUE = GAUGE "tidewell_retries_due_rows" ["organization", "index"]
            "Failed rows whose next try is due.";
        RETRIES_WAITING = GAUGE "tidewell_retries_waiting_rows" ["organization", "index"]
            "Failed rows whose next try lies ahead.";
        FILTER_DELETES = GAUGE "tidewell_filter_deletes_waiting" ["organization", "index"]
            "Deletes by filter not resolved.";
        DEAD_LETTERS = GAUGE "tidewell_dead_letters" ["organization", "index"]
            "Writes that failed for good, counted to 10,000.";
        LANES_LEASED = GAUGE "tidewell_lanes_leased" ["organization", "index"]
            "Lanes that a worker holds.";
        DRIFT = GAUGE "tidewell_index_drift_documents" ["organization", "index", "kind": "missing" | "extra" | "stale"]
            "Documents that a collection has not as they were written, as of the last check.";
        CHECK_AGE = GAUGE "tidewell_index_check_age_seconds" ["organization", "index"]
            "How long ago a collection was compared with what was written.";
        CHECK_FAILED = GAUGE "tidewell_index_check_failed" ["organization", "index"]
            "Whether the last comparison could not be made.";
        BREAKER_OPEN = GAUGE "tidewell_breaker_open" ["worker", "backend"]
            "Whether a worker's breaker is open: 0 closed, 0.5 half open, 1 open.";
        EMBEDDING_TROUBLE = GAUGE "tidewell_embedding_trouble" ["worker", "backend"]
            "Whether documents that a worker writes go without vectors, though they should have some.";
        WORKERS_ALIVE = GAUGE "tidewell_workers_alive" []
            "Workers that reported lately.";
        DOUBTED_FLIGHTS = GAUGE "tidewell_doubted_flights" []
            "Requests to Typesense whose end is not known.";
        REINDEX_PROGRESS = GAUGE "tidewell_reindex_progress" ["organization", "index"]
            "How far a reindex or a rollback is that has not ended: 0 to 1.";
        VERSION_CHANGES = GAUGE "tidewell_version_changes" ["organization", "index", "version"]
            "Documents that a version which is not live is behind, counted to 10,000.";
        EMBEDDING_DEBTS = GAUGE "tidewell_embedding_debts" []
            "Documents without a vector because their model was away, counted to 10,000.";
        SYNC_AGE = GAUGE "tidewell_sync_age_seconds" ["sync_job"]
            "How old the collection's data is, as of the last good sync.";
        SYNC_STALE = GAUGE "tidewell_sync_stale" ["sync_job"]
            "Whether an enabled job's data is older than it may be.";
        SYNC_FAILED_ROWS = GAUGE "tidewell_sync_failed_rows" ["sync_job"]
            "Rows that the collection does not take, as of the last run.";
        SYNC_PROGRESS = GAUGE "tidewell_sync_run_progress_pct" ["sync_job"]
            "How far the run is that has not ended.";
        LIVE_LAG_BYTES = GAUGE "tidewell_sync_live_lag_bytes" ["sync_job"]
            "The source's log that a live job has not followed yet.";
        LIVE_LAG = GAUGE "tidewell_sync_live_lag_seconds" ["sync_job"]
            "How far a live job is behind its source.";
        SYNC_DEAD_LETTERS = GAUGE "tidewell_sync_dead_letters" ["sync_job"]
            "Refused rows that nobody has acted on, counted to 10,000.";
        SYNC_HEALTH = GAUGE "tidewell_sync_health"
            ["sync_job", "health": "fresh" | "overdue" | "failed" | "cancelled" | "never_synced" | "disabled"]
            "How a job stands: 1 for what it is, 0 for what it is not.";
        OLDEST_UNSYNCED_AGE = GAUGE "tidewell_sync_oldest_unsynced_age_seconds" []
            "How long the enabled job that has waited longest has been without a good sync; 0 where none is enabled.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Metric> {
        RECORDED.iter().chain(TOLD).flat_map(|group| group.metrics)
    }

    #[test]
    fn a_name_stands_once_and_says_what_it_counts() {
        let mut names: Vec<&str> = all().map(|metric| metric.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for metric in all() {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(!matches!(metric.kind, Kind::Histogram(_)) || metric.name.ends_with("_seconds"), "{}", metric.name);
        }
    }

    #[test]
    fn no_label_could_have_a_value_for_each_document_key_or_request() {
        const OPEN: [&str; 10] =
            ["method", "route", "status", "backend", "code", "model", "version", "organization", "index", "sync_job"];
        // A worker is there while it lives.
        for (label, values) in all().flat_map(|metric| metric.labels) {
            assert!(!values.is_empty() || OPEN.contains(label) || *label == "worker", "{label}");
        }
    }
}
