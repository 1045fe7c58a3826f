//! The runs of a job: how each went, and where its time was spent.

use maud::{Markup, html};

use super::view::Run;
use crate::console::{
    api::{List, with_query},
    parts::{self, Tone},
};

pub(super) fn history(here: &str, history: &List<Run>) -> Markup {
    let next = history.next_cursor.as_deref().map(|cursor| with_query(here, &[("cursor", Some(cursor))]));
    html! {
        h2 { "Runs" }
        @if history.items.is_empty() { (parts::empty("It has not run yet.")) }
        @else {
            (lengths(&history.items))
            div .scroll tabindex="0" role="region" aria-label="Runs" {
                table {
                    thead {
                        tr {
                            th { "Begun" } th { "State" } th { "Why" } th .number { "Took" } th .number { "Rows" } th .number { "Written" }
                            th .number { "Deleted" } th .number { "Unchanged" } th .number { "Refused" }
                            th .number { "Read" } th .number { "Import" } th .number { "Reconcile" } th .number { "Paused" }
                        }
                    }
                    tbody { @for run in &history.items { (row(here, run)) } }
                }
            }
            (parts::next(next.as_deref()))
        }
    }
}

/// How long the runs took that have ended, the oldest first.
fn lengths(runs: &[Run]) -> Markup {
    let seconds: Vec<f64> = runs.iter().rev().filter_map(Run::seconds).collect();
    let most = seconds.iter().copied().fold(0.0, f64::max);
    html! {
        @if seconds.len() > 2 {
            div .lengths {
                span .soft { "How long they took, up to " (parts::duration(most)) }
                (parts::sparkline(&seconds, Tone::Quiet, &format!("How long the last {} runs took, the latest last", seconds.len())))
            }
        }
    }
}

fn row(here: &str, run: &Run) -> Markup {
    let counts = [run.source_row_count, run.imported_count, run.deleted_count, run.unchanged_count, run.failed_count];
    let stages = [run.read_ms, run.import_ms, run.reconcile_ms, run.paused_ms];
    html! {
        tr data-key=(run.id) {
            th scope="row" { a href={ (here) "/runs/" (run.id) } { (parts::time(run.started_at.unwrap_or(run.queued_at))) } }
            td {
                (parts::state(&run.status))
                @if let Some(error) = run.error.as_ref().filter(|_| run.status != "cancelled") { p .fault { (parts::cut(error, 120)) } }
            }
            td { (run.trigger_source) @if run.rebuild { ", built anew" } }
            td .number { @match run.seconds() { Some(seconds) => (parts::duration(seconds)), None => (parts::dash()) } }
            @for count in counts { td .number { (parts::count(count)) } }
            @for millis in stages { td .number { @if millis > 0 { (parts::duration(millis as f64 / 1000.0)) } @else { (parts::dash()) } } }
        }
    }
}
