//! What the settings must be, beyond their types.

use std::ops::RangeInclusive;

use reqwest::Url;
use tracing_subscriber::EnvFilter;

use super::{Config, Error, called};
use crate::domain::backend::{self, PlainHttp};

/// A body may have 32 MB, and must fit.
const BODIES: RangeInclusive<u32> = 32..=1_048_576;

/// As many hold 128 bits even where they are hexadecimal.
const SECRET_CHARS: usize = 32;

impl Config {
    pub(super) fn check(&self) -> Result<(), Error> {
        let faults: Vec<String> =
            [self.ranges(), self.relations(), self.secrecy(), self.urls(), self.log_filter()].concat();
        if faults.is_empty() { Ok(()) } else { Err(Error(faults.join("; "))) }
    }

    fn ranges(&self) -> Vec<String> {
        [
            ("database_connections", self.database_connections, 2..=10_000),
            ("shutdown_delay_seconds", self.shutdown_delay_seconds, 0..=600),
            ("body_mb_in_flight", self.body_mb_in_flight, BODIES),
            ("backlog_limit", self.backlog_limit, 1..=u32::MAX),
            ("connections", self.connections, 1..=1_000_000),
            ("requests_at_once", self.requests_at_once, 1..=1_000_000),
            ("head_seconds", self.head_seconds, 1..=600),
            ("idle_seconds", self.idle_seconds, 1..=86_400),
            ("stall_seconds", self.stall_seconds, 1..=600),
            ("import_lines", self.import_lines, 1..=100_000),
            ("import_kb", self.import_kb, 1..=1_048_576),
            ("import_concurrency", self.import_concurrency, 1..=1000),
            ("import_timeout_seconds", self.import_timeout_seconds, 1..=600),
            ("lease_seconds", self.lease_seconds, 3..=3600),
            ("doubt_seconds", self.doubt_seconds, 1..=86_400),
            ("retry_base_ms", self.retry_base_ms, 1..=3_600_000),
            ("retry_cap_seconds", self.retry_cap_seconds, 1..=86_400),
            ("poll_ms", self.poll_ms, 10..=60_000),
            ("verify_hours", self.verify_hours, 0..=87_600),
            ("jobs_kept_hours", self.jobs_kept_hours, 1..=87_600),
            ("tombstones_kept_hours", self.tombstones_kept_hours, 1..=87_600),
            ("versions_kept_hours", self.versions_kept_hours, 0..=87_600),
            ("acts_kept_days", self.acts_kept_days, 1..=36_500),
            ("athena_typesense_sync_worker_poll_ms", self.athena_typesense_sync_worker_poll_ms, 10..=3_600_000),
            ("sync_runs_at_once", self.sync_runs_at_once, 1..=1000),
            ("sync_imports_at_once", self.sync_imports_at_once, 1..=100),
            ("sync_runs_kept_days", self.sync_runs_kept_days, 1..=36_500),
            ("live_wal_limit_mb", self.live_wal_limit_mb, 1..=1_048_576),
            ("openai_batch", self.openai_batch, 1..=2048),
            ("openai_dimensions", self.openai_dimensions, 0..=4096),
            ("openai_timeout_seconds", self.openai_timeout_seconds, 1..=600),
            ("otlp_sample_percent", self.otlp_sample_percent, 0..=100),
            ("embeddings_kept", self.embeddings_kept, 0..=1_000_000_000),
        ]
        .into_iter()
        .filter(|(_, value, allowed)| !allowed.contains(value))
        .map(|(name, value, allowed)| {
            format!("{} is {value}, and must be {} to {}", called(name), allowed.start(), allowed.end())
        })
        .collect()
    }

    fn relations(&self) -> Vec<String> {
        let mut faults = Vec::new();
        // A worker that waits for a full time-out, twice in a row, must still hold its lane.
        if u64::from(self.lease_seconds) <= 2 * u64::from(self.import_timeout_seconds) {
            let (lease, timeout) = (called("lease_seconds"), called("import_timeout_seconds"));
            faults.push(format!(
                "{lease} is {}, and must be more than twice {timeout}, which is {}",
                self.lease_seconds, self.import_timeout_seconds
            ));
        }
        if u64::from(self.retry_base_ms) > 1000 * u64::from(self.retry_cap_seconds) {
            let (base, cap) = (called("retry_base_ms"), called("retry_cap_seconds"));
            faults.push(format!(
                "{base} is {}, and must not be more than {cap}, which is {}",
                self.retry_base_ms, self.retry_cap_seconds
            ));
        }
        if self.typesense_url.is_some() && self.typesense_api_key.is_none() {
            faults.push(format!("{} is set, so {} must be too", called("typesense_url"), called("typesense_api_key")));
        }
        faults
    }

    /// Neither the secret nor a key is shown.
    fn secrecy(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(key) = &self.openai_api_key
            && let Some(fault) = backend::key_fault(key)
        {
            faults.push(format!("{} {fault}", called("openai_api_key")));
        }
        let chars = self.secret.as_ref().map_or(SECRET_CHARS, |secret| secret.chars().count());
        if chars < SECRET_CHARS {
            let name = called("secret");
            faults.push(format!(
                "{name} has {chars} characters, and must be {SECRET_CHARS} or more that nobody can guess, such as those of `openssl rand -hex 32`"
            ));
        }
        faults
    }

    /// No URL is shown: each may hold a password.
    fn urls(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(url) = &self.database_url
            && !["postgres", "postgresql"].contains(&Url::parse(url).as_ref().map_or("", Url::scheme))
        {
            faults.push(format!("{} must be like postgres://user:password@host:5432/database", called("database_url")));
        }
        let plain_http =
            if self.athena_typesense_allow_http { PlainHttp::Everywhere } else { PlainHttp::OnThisMachine };
        if let Some(text) = &self.typesense_url
            && let Err((position, fault)) = backend::listed_nodes(text, plain_http)
        {
            let one_of = if text.contains(',') { format!("address {} of ", position + 1) } else { String::new() };
            faults.push(format!("{one_of}{} {fault}", called("typesense_url")));
        }
        if let Err(fault) = backend::service_url(&self.openai_base_url, plain_http) {
            faults.push(format!("{} {fault}", called("openai_base_url")));
        }
        if let Some(text) = &self.otlp_endpoint
            && !Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.path() == "/")
        {
            let name = called("otlp_endpoint");
            faults.push(format!("{name} must be like http://127.0.0.1:4318, without a path"));
        }
        faults
    }

    fn log_filter(&self) -> Vec<String> {
        match EnvFilter::builder().parse(&self.log) {
            Ok(_) => Vec::new(),
            Err(error) => vec![format!(
                "{} is {:?}, and must be a filter such as info or warn,tidewell=debug ({error})",
                called("log"),
                self.log
            )],
        }
    }
}
