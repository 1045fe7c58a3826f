//! The tables below the figures: a few rows each, the worst first, and the way to all of them.

use maud::{Markup, html};

use super::Group;
use crate::{
    console::{
        api::with_query,
        parts::{self, Tone},
    },
    db::status::{HEALTHS, IndexStatus, Status, SyncStatus, WorkerStatus},
};

/// Rows that a table shows.
const ROWS: usize = 8;

pub(super) fn syncs(syncs: &[SyncStatus]) -> Markup {
    let number = |health: &str| syncs.iter().filter(|sync| sync.health == health).count();
    let mut worst: Vec<&SyncStatus> = syncs.iter().collect();
    let place = |sync: &SyncStatus| match sync.health.as_str() {
        "failed" => 0,
        "overdue" => 1,
        "cancelled" | "never_synced" => 2,
        "fresh" => 3,
        _ => 4,
    };
    worst.sort_by(|a, b| place(a).cmp(&place(b)).then(b.unsynced_seconds.total_cmp(&a.unsynced_seconds)));
    html! {
        h2 { "Sync jobs" }
        @if syncs.is_empty() {
            (parts::empty("No table is kept in sync yet."))
            p { a .button href="/console/syncs/new" { "Make a sync job" } }
        } @else {
            p {
                @for health in HEALTHS.into_iter().filter(|health| number(health) > 0) {
                    (parts::badge(Tone::of(health), &format!("{} {health}", number(health)))) " "
                }
            }
            div .scroll tabindex="0" role="region" aria-label="Sync jobs" {
                table {
                    thead { tr { th { "Job" } th { "Health" } th { "As of" } th { "Run" } th .number { "Refused rows" } } }
                    tbody {
                        @for sync in worst.iter().take(ROWS) {
                            tr data-key=(sync.id) {
                                th scope="row" { a href={ "/console/syncs/" (sync.id) } { (parts::cut(&sync.name, 60)) } }
                                td { (parts::state(&sync.health)) }
                                td { (parts::time_if(sync.last_synced_at)) }
                                td {
                                    @match sync.run_progress_pct {
                                        Some(percent) => (parts::progress(percent, "Progress of the run")),
                                        None => (parts::dash()),
                                    }
                                }
                                td .number { (parts::count(sync.failed_rows.unwrap_or_default())) }
                            }
                        }
                    }
                }
            }
            (all("/console/syncs", syncs.len()))
        }
    }
}

pub(super) fn indexes(status: &Status) -> Markup {
    let mut busiest: Vec<&IndexStatus> = status.indexes.iter().collect();
    busiest.sort_by_key(|index| (index.oldest_enqueued_at.is_none(), index.oldest_enqueued_at, -index.dead_letters));
    html! {
        h2 { "Indexes" }
        @if busiest.is_empty() {
            (parts::empty("There is no index yet."))
            p { a .button href="/console/organizations" { "Make an organization and its first index" } }
        } @else {
            div .scroll tabindex="0" role="region" aria-label="Indexes" {
                table {
                    thead { tr { th { "Index" } th .number { "Backlog" } th { "Oldest unprojected" } th .number { "Waiting for a retry" } th .number { "Dead letters" } th { "Reindex" } } }
                    tbody {
                        @for index in busiest.iter().take(ROWS) {
                            tr data-key=(index.id) {
                                th scope="row" {
                                    a href={ "/console/indexes/" (index.id) } { (parts::cut(&format!("{}/{}", index.organization, index.index), 60)) }
                                }
                                td .number { (parts::count(index.backlog)) }
                                td { (parts::time_if(index.oldest_enqueued_at)) }
                                td .number { (parts::counted(index.retries_due + index.retries_waiting)) }
                                td .number { (parts::counted(index.dead_letters)) }
                                td { (reindex(status, index)) }
                            }
                        }
                    }
                }
            }
            (all("/console/indexes", busiest.len()))
        }
    }
}

/// How far the reindex of an index is, where one is under way.
fn reindex(status: &Status, index: &IndexStatus) -> Markup {
    let is_its = |organization: &str, slug: &str| organization == index.organization && slug == index.index;
    match status.reindexes.iter().find(|reindex| is_its(&reindex.organization, &reindex.index)) {
        Some(reindex) => parts::progress(reindex.progress * 100.0, "Progress of the reindex"),
        None => parts::dash(),
    }
}

pub(super) fn dead_letters(groups: &[Group]) -> Markup {
    html! {
        @if !groups.is_empty() {
            h2 { "Dead letters by cause" }
            div .scroll tabindex="0" role="region" aria-label="Dead letters by cause" {
                table {
                    thead { tr { th { "Cause" } th { "Of" } th .number { "Letters" } th { "Last" } } }
                    tbody {
                        @for group in groups {
                            @let owner = group.sync_job.clone().unwrap_or_else(|| {
                                [&group.organization, &group.index].map(|name| name.as_deref().unwrap_or("–")).join("/")
                            });
                            @let path = with_query("/console/dead-letters", &[("signature", Some(&group.signature))]);
                            tr data-key={ (group.signature) (owner) } {
                                th scope="row" { a href=(path) { (group.code.replace('_', " ")) } " " span .soft { (parts::cut(&group.message, 100)) } }
                                td { (parts::cut(&owner, 60)) }
                                td .number { (parts::count(group.count)) }
                                td { (parts::time(group.newest_failed_at)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn workers(workers: &[WorkerStatus]) -> Markup {
    html! {
        h2 { "Workers" }
        @if workers.is_empty() { (parts::empty("No worker has reported yet: start `tidewell work`.")) }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Workers" {
                table {
                    thead { tr { th { "Worker" } th { "State" } th { "Backend" } th { "Breaker" } th .number { "Imports at once" } } }
                    tbody {
                        @for worker in workers {
                            tr data-key=(worker.name) {
                                th scope="row" { code { (worker.name) } }
                                td { @if worker.alive { (parts::badge(Tone::Good, "alive")) } @else { (parts::badge(Tone::Quiet, "gone")) } }
                                td { (worker.backend) }
                                td { (parts::state(&worker.breaker)) @if let Some(reason) = &worker.breaker_reason { " " (parts::cut(reason, 120)) } }
                                td .number { (worker.concurrency) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn all(path: &str, number: usize) -> Markup {
    html! { @if number > ROWS { p .next { a href=(path) { "All " (number) } } } }
}
