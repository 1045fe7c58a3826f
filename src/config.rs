//! Every setting, read once: defaults, then `tidewell.toml`, then the environment, each over the one before.
//!
//! In the environment a setting is called `TIDEWELL_` and its name in capitals, those inherited from Athena by their own names.
//! Exactly these variables are looked at, for others of the prefix may be anybody's (Kubernetes makes a `TIDEWELL_PORT` for a
//! service named `tidewell`). In the file an unknown name is a mistake, and said to be one. An empty text means "not set".

mod check;
mod load;

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use load::{Error, home_folder};

/// The settings, checked. `tidewell.toml.example` says what each means.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The operator key.
    #[serde(with = "load::optional_text")]
    pub athena_key_12: Option<String>,
    /// Signs in to the console to look, and change nothing.
    #[serde(with = "load::optional_text")]
    pub viewer_key: Option<String>,
    /// The master secret.
    #[serde(with = "load::optional_text")]
    pub secret: Option<String>,
    /// The master secret before this one, while what it has encrypted is being encrypted anew.
    #[serde(with = "load::optional_text")]
    pub previous_secret: Option<String>,
    pub athena_typesense_allow_http: bool,
    pub private_addresses: bool,
    #[serde(with = "load::networks")]
    pub allowed_addresses: Vec<IpNet>,
    pub athena_typesense_sync_worker_enabled: bool,
    pub athena_typesense_sync_worker_poll_ms: u32,
    #[serde(with = "load::optional_text")]
    pub database_url: Option<String>,
    #[serde(with = "load::optional_text")]
    pub typesense_url: Option<String>,
    #[serde(with = "load::optional_text")]
    pub typesense_api_key: Option<String>,
    #[serde(deserialize_with = "load::address")]
    pub listen: SocketAddr,
    /// Where `work` answers probes and scrapers.
    #[serde(with = "load::optional_address")]
    pub work_listen: Option<SocketAddr>,
    /// Where the embedded servers and the local model are installed.
    #[serde(with = "load::optional_text")]
    pub cache: Option<PathBuf>,
    pub database_connections: u32,
    pub shutdown_delay_seconds: u32,
    pub body_mb_in_flight: u32,
    pub connections: u32,
    pub requests_at_once: u32,
    pub head_seconds: u32,
    pub idle_seconds: u32,
    pub stall_seconds: u32,
    pub backlog_limit: u32,
    pub import_lines: u32,
    pub import_kb: u32,
    pub import_concurrency: u32,
    pub import_timeout_seconds: u32,
    pub lease_seconds: u32,
    pub doubt_seconds: u32,
    pub retry_base_ms: u32,
    pub retry_cap_seconds: u32,
    pub poll_ms: u32,
    pub verify_hours: u32,
    pub jobs_kept_hours: u32,
    pub tombstones_kept_hours: u32,
    pub versions_kept_hours: u32,
    pub acts_kept_days: u32,
    pub sync_runs_at_once: u32,
    pub sync_imports_at_once: u32,
    pub sync_runs_kept_days: u32,
    pub live_wal_limit_mb: u32,
    /// A folder that holds the local model's files.
    #[serde(with = "load::optional_text")]
    pub local_model: Option<PathBuf>,
    pub openai_base_url: String,
    #[serde(with = "load::optional_text")]
    pub openai_api_key: Option<String>,
    pub openai_batch: u32,
    /// 0: as many as the model gives by itself.
    pub openai_dimensions: u32,
    pub openai_timeout_seconds: u32,
    pub embeddings_kept: u32,
    /// A filter in the syntax of `tracing`.
    pub log: String,
    pub log_format: LogFormat,
    /// Where spans go, by OTLP over HTTP.
    #[serde(with = "load::optional_text")]
    pub otlp_endpoint: Option<String>,
    /// Of 100 requests whose callers bring no trace, how many are traced.
    pub otlp_sample_percent: u32,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person.
    Text,
    /// For a query: one object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            athena_key_12: None,
            viewer_key: None,
            secret: None,
            previous_secret: None,
            athena_typesense_allow_http: false,
            private_addresses: true,
            allowed_addresses: Vec::new(),
            athena_typesense_sync_worker_enabled: true,
            athena_typesense_sync_worker_poll_ms: 5000,
            database_url: None,
            typesense_url: None,
            typesense_api_key: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8700)),
            work_listen: None,
            cache: None,
            database_connections: 16,
            shutdown_delay_seconds: 0,
            body_mb_in_flight: 64,
            connections: 900,
            requests_at_once: 500,
            head_seconds: 10,
            idle_seconds: 75,
            stall_seconds: 20,
            backlog_limit: 1_000_000,
            import_lines: 1000,
            import_kb: 2048,
            import_concurrency: 8,
            import_timeout_seconds: 10,
            lease_seconds: 30,
            doubt_seconds: 60,
            retry_base_ms: 1000,
            retry_cap_seconds: 300,
            poll_ms: 1000,
            verify_hours: 24,
            jobs_kept_hours: 72,
            tombstones_kept_hours: 24,
            versions_kept_hours: 72,
            acts_kept_days: 90,
            sync_runs_at_once: 8,
            sync_imports_at_once: 4,
            sync_runs_kept_days: 30,
            live_wal_limit_mb: 1024,
            local_model: None,
            openai_base_url: "https://api.openai.com/v1".to_owned(),
            openai_api_key: None,
            openai_batch: 32,
            openai_dimensions: 0,
            openai_timeout_seconds: 30,
            embeddings_kept: 1_000_000,
            log: "info,sqlx=warn,apalis=warn,apalis_core=warn".to_owned(),
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            otlp_sample_percent: 100,
        }
    }
}

/// A setting as both places call it, for messages: `listen (TIDEWELL_LISTEN)`.
fn called(name: &str) -> String {
    format!("{name} ({})", load::variable(name))
}

#[cfg(test)]
mod tests;
