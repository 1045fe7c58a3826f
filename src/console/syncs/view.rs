//! Jobs and runs as the API tells of them.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::embedding::Embedding;

/// A job with its settings.
#[derive(Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) source_client_name: String,
    pub(super) source_schema_name: String,
    pub(super) source_table_name: String,
    pub(super) typesense_profile_id: String,
    pub(super) collection_name: String,
    pub(super) document_id_column: String,
    pub(super) selected_columns: Vec<String>,
    pub(super) query_by_fields: Vec<String>,
    pub(super) facet_by_fields: Vec<String>,
    pub(super) sort_by_fields: Vec<String>,
    pub(super) field_config: Map<String, Value>,
    pub(super) default_sort_field: Option<String>,
    pub(super) embedding: Option<Embedding>,
    pub(super) sync_strategy: String,
    pub(super) mode: String,
    pub(super) cursor_column: Option<String>,
    pub(super) batch_size: i64,
    pub(super) batch_delay_ms: i64,
    pub(super) sync_interval_minutes: Option<i64>,
    pub(super) cron: Option<String>,
    pub(super) timezone: String,
    pub(super) stale_after_minutes: i64,
    pub(super) failed_share_limit: f64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl Job {
    /// The table, as the API's routes of clients name it.
    pub(super) fn table(&self) -> (&str, &str, &str) {
        (&self.source_client_name, &self.source_schema_name, &self.source_table_name)
    }
}

/// How fresh a job is.
#[derive(Deserialize)]
pub(super) struct Status {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) source_client_name: String,
    pub(super) source_schema_name: String,
    pub(super) source_table_name: String,
    pub(super) typesense_profile_id: String,
    pub(super) profile_name: String,
    pub(super) collection_name: String,
    pub(super) mode: String,
    pub(super) enabled: bool,
    pub(super) auto_sync_enabled: bool,
    pub(super) last_synced_at: Option<DateTime<Utc>>,
    pub(super) next_sync_at: Option<DateTime<Utc>>,
    pub(super) last_sync_error: Option<String>,
    pub(super) last_source_row_count: Option<i64>,
    pub(super) last_failed_count: Option<i64>,
    pub(super) is_stale: bool,
    pub(super) sync_health: String,
    pub(super) active_run_id: Option<String>,
    pub(super) active_run_status: Option<String>,
    pub(super) active_run_progress_pct: Option<f64>,
    pub(super) live_lag_bytes: Option<i64>,
    pub(super) live_error: Option<String>,
}

/// A run.
#[derive(Deserialize)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) trigger_source: String,
    pub(super) rebuild: bool,
    pub(super) imported_count: i64,
    pub(super) deleted_count: i64,
    pub(super) failed_count: i64,
    pub(super) unchanged_count: i64,
    pub(super) source_row_count: i64,
    pub(super) expected_row_count: Option<i64>,
    pub(super) progress_pct: f64,
    pub(super) error: Option<String>,
    pub(super) paused_reason: Option<String>,
    pub(super) resume_at: Option<DateTime<Utc>>,
    pub(super) cancel_requested_at: Option<DateTime<Utc>>,
    pub(super) read_ms: i64,
    pub(super) import_ms: i64,
    pub(super) reconcile_ms: i64,
    pub(super) paused_ms: i64,
    pub(super) queued_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
}

impl Run {
    /// How long it took, once it has ended.
    pub(super) fn seconds(&self) -> Option<f64> {
        Some((self.finished_at? - self.started_at?).as_seconds_f64())
    }

    /// What it does at the moment, if it has not ended.
    pub(super) fn stage(&self) -> Option<&'static str> {
        Some(match &*self.status {
            "queued" => "waiting for a worker",
            "paused" => "waiting for what is away",
            "running" if self.cancel_requested_at.is_some() => "stopping",
            "running" if self.trigger_source == "rollback" => "putting the collection before back",
            "running" if self.source_row_count == 0 => "beginning",
            "running" if self.progress_pct >= 99.9 => "finishing",
            "running" if self.rebuild => "building a new collection",
            "running" => "comparing and writing",
            _ => return None,
        })
    }
}
