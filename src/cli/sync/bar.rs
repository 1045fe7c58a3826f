//! The bar of one run.

use indicatif::ProgressBar;
use tidewell::db::sync::run::{Run, Status, Trigger};

use crate::cli::{
    bar,
    output::{age, short},
};

pub(super) use crate::cli::bar::new;

/// Longest reason for a pause that fits beside a bar.
const REASON: usize = 60;

/// Shows where a run is.
pub(super) fn show(progress: &ProgressBar, run: &Run) {
    bar::show(progress, run.progress_pct / 100.0, told(run));
}

/// How far, how fast, how long it will take, and what is done.
fn told(run: &Run) -> String {
    let mut parts = vec![format!("{:.0}%", run.progress_pct)];
    if run.source_row_count > 0 {
        parts.push(match run.expected_row_count {
            Some(expected) => format!("{} of {expected} rows", run.source_row_count),
            None => format!("{} rows", run.source_row_count),
        });
    }
    let worked = (run.elapsed_ms.unwrap_or_default() - run.paused_ms) as f64 / 1000.0;
    if run.status == Status::Running && run.source_row_count > 0 && worked > 0.0 {
        parts.push(format!("{:.0} rows/s", run.source_row_count as f64 / worked));
    }
    if let Some(eta) = run.eta_seconds() {
        parts.push(format!("{} left", age(eta)));
    }
    parts.push(stage(run));
    parts.join(", ")
}

/// What is done at the moment.
pub(super) fn stage(run: &Run) -> String {
    let stage = match run.status {
        Status::Queued => "waiting for a worker",
        Status::Paused => {
            let reason = run.paused_reason.as_deref().unwrap_or("something is away");
            return format!("paused: {}", short(reason, REASON));
        }
        Status::Success | Status::Failed | Status::Cancelled => "ended",
        Status::Running if run.cancel_requested_at.is_some() => "stopping",
        Status::Running if run.trigger_source == Trigger::Rollback => "putting the collection before back",
        Status::Running if run.source_row_count == 0 => "beginning",
        Status::Running if run.progress_pct >= 99.9 => "finishing",
        Status::Running if run.rebuild => "building a new collection",
        Status::Running => "comparing and writing",
    };
    stage.to_owned()
}
