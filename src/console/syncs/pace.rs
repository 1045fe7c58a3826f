//! A run that is under way: how far it is, how fast, and how long it will take. The pace is told by a script, as the time goes on while
//! nothing else changes.

use maud::{Markup, html};

use super::view::Run;
use crate::console::parts;

pub(super) fn under_way(run: &Run) -> Markup {
    let is_moving = run.status == "running" && run.source_row_count > 0;
    let since = run.started_at.filter(|_| is_moving).map(|at| at.timestamp_millis() + run.paused_ms);
    html! {
        (parts::progress(run.progress_pct, "Progress of the run"))
        p {
            (parts::count(run.source_row_count))
            @if let Some(expected) = run.expected_row_count { " of " (parts::count(expected)) }
            " rows"
            @if let Some(since) = since {
                span data-pace=(run.source_row_count) data-since=(since) data-percent=(format!("{:.2}", run.progress_pct)) {}
            }
        }
        @if let Some(reason) = &run.paused_reason {
            p .fault { (parts::cut(reason, 400)) @if let Some(at) = run.resume_at { " Goes on by itself: " (parts::time(at)) } }
        }
    }
}
