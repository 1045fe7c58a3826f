//! All jobs, what is wrong first.

use std::cmp::Reverse;

use axum::extract::State;
use maud::{Markup, html};

use super::{HERE, path, view::Status};
use crate::console::{
    Console,
    api::{List, Refusal, with_query},
    clients::table_path,
    fields::Fields,
    forms::Field,
    page::{Page, Section},
    parts::{self, Tone},
    session::Session,
};

/// In the order of how soon somebody should look.
const HEALTHS: [&str; 6] = ["failed", "overdue", "cancelled", "never_synced", "fresh", "disabled"];
/// Jobs of one page.
const SHOWN: usize = 100;
/// More jobs than anybody has.
const MOST_PAGES: usize = 40;

pub(super) async fn show(session: Session, State(console): State<Console>, asked: Fields) -> Result<Page, Refusal> {
    let all = statuses(&console, &session).await?;
    let (health, searched) = (asked.text("health"), asked.text("q").to_lowercase());
    let is_wanted = |job: &&Status| {
        let words = [&job.name, &job.collection_name, &job.source_client_name, &job.source_table_name];
        (health.is_empty() || job.sync_health == health)
            && words.iter().any(|word| word.to_lowercase().contains(&searched))
    };
    let mut wanted: Vec<&Status> = all.iter().filter(is_wanted).collect();
    wanted.sort_by_key(|job| (rank(job), Reverse(job.last_failed_count > Some(0)), &job.name));
    let first = asked.number("from")?.and_then(|from| usize::try_from(from).ok()).unwrap_or(0);
    let rest = (wanted.len() > first.saturating_add(SHOWN)).then(|| (first + SHOWN).to_string());
    let next = rest.as_deref().map(|from| {
        with_query(HERE, &[("health", asked.given("health")), ("q", asked.given("q")), ("from", Some(from))])
    });
    let shown: Vec<_> = wanted.into_iter().skip(first).take(SHOWN).collect();
    let body = html! {
        @if session.may_act() {
            div .acts { a .button.primary href={ (HERE) "/new" } { "Sync a table" } }
        }
        @if all.is_empty() {
            (parts::empty("There are no sync jobs yet. A sync job keeps a collection of Typesense as a table of a client's database is."))
        } @else {
            (figures(&all))
            (filters(health, asked.text("q")))
            @if shown.is_empty() { (parts::empty("No job is so.")) } @else { (listed(&shown)) }
            (parts::next(next.as_deref()))
        }
    };
    Ok(Page::new(Section::Syncs, "Sync jobs", body))
}

/// How all jobs are: their order by health takes all of them.
async fn statuses(console: &Console, session: &Session) -> Result<Vec<Status>, Refusal> {
    let (mut all, mut cursor) = (vec![], None::<String>);
    for _ in 0..MOST_PAGES {
        let path = with_query("/typesense/sync-job-status", &[("limit", Some("250")), ("cursor", cursor.as_deref())]);
        let page: List<Status> = console.api.get(session, &path).await?;
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(all)
}

fn rank(job: &Status) -> usize {
    if job.live_error.is_some() && job.enabled {
        return 0;
    }
    HEALTHS.iter().position(|health| *health == job.sync_health).unwrap_or(0)
}

fn figures(all: &[Status]) -> Markup {
    let count = |health: &str| all.iter().filter(|job| job.sync_health == health).count();
    let running = all.iter().filter(|job| job.active_run_id.is_some()).count();
    html! {
        div .figures {
            @for health in HEALTHS {
                @let found = count(health);
                @if found > 0 {
                    (parts::figure(Tone::of(health), &html! { (found) }, &health.replace('_', " "), Some(&with_query(HERE, &[("health", Some(health))]))))
                }
            }
            (parts::figure(if running > 0 { Tone::Busy } else { Tone::Quiet }, &html! { (running) }, "running now", None))
        }
    }
}

fn filters(health: &str, searched: &str) -> Markup {
    let names = HEALTHS.map(|health| health.replace('_', " "));
    let choices: Vec<(&str, &str)> =
        std::iter::once(("", "all")).chain(HEALTHS.into_iter().zip(names.iter().map(String::as_str))).collect();
    html! {
        form .filters method="get" action=(HERE) {
            div .field {
                label for="q" { "Name, table or collection holds" }
                input id="q" type="search" name="q" value=(searched);
            }
            (Field::choice("health", "Health", &choices).value(health).required())
            button type="submit" { "Show" }
        }
    }
}

fn listed(jobs: &[&Status]) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Sync jobs" {
            table {
                thead {
                    tr {
                        th { "Job" } th { "Health" } th { "Table" } th { "Collection" } th { "Last synced" } th { "Next" }
                        th .number { "Rows" } th .number { "Refused" } th { "Run" }
                    }
                }
                tbody { @for job in jobs { (row(job)) } }
            }
        }
    }
}

fn row(job: &Status) -> Markup {
    let tells_why = !matches!(&*job.sync_health, "fresh" | "cancelled");
    let error = job.live_error.as_deref().or(job.last_sync_error.as_deref().filter(|_| tells_why));
    html! {
        tr data-key=(job.id) {
            th scope="row" {
                a href=(path(&job.id)) { (parts::cut(&job.name, 60)) }
                @if let Some(error) = error { p .fault { (parts::cut(error, 160)) } }
            }
            td {
                (parts::state(&job.sync_health))
                @if job.mode == "live" { " " (parts::badge(Tone::Quiet, "live")) }
                @if job.enabled && !job.auto_sync_enabled && job.mode != "live" { " " (parts::badge(Tone::Quiet, "schedule off")) }
            }
            td {
                (parts::cut(&job.source_client_name, 40)) " / "
                a href=(table_path(&job.source_client_name, &job.source_schema_name, &job.source_table_name)) {
                    (parts::cut(&job.source_table_name, 40))
                }
            }
            td { (parts::cut(&job.collection_name, 40)) }
            td { (parts::time_if(job.last_synced_at)) }
            td { @if job.enabled && job.auto_sync_enabled { (parts::time_if(job.next_sync_at)) } @else { (parts::dash()) } }
            td .number { (count_if(job.last_source_row_count)) }
            td .number { (count_if(job.last_failed_count)) }
            td .run {
                @if let (Some(status), Some(percent)) = (&job.active_run_status, job.active_run_progress_pct) {
                    (parts::state(status)) (parts::progress(percent, &format!("Progress of {}", job.name)))
                } @else { (parts::dash()) }
            }
        }
    }
}

fn count_if(count: Option<i64>) -> Markup {
    count.map_or_else(parts::dash, |count| html! { (parts::count(count)) })
}
