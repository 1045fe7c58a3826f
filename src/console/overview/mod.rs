//! The first page: is everything fresh, and what needs attention first?

mod attention;
mod tables;

use axum::extract::State;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use self::attention::{Concern, concerns};
use super::{
    Console,
    api::{List, Refusal},
    page::{Page, Section},
    parts::{self, Tone},
    session::Session,
};
use crate::db::{
    activity::{self, Activity},
    status::{self, Status},
};

/// The largest groups of dead letters that are shown.
const GROUPS: &str = "/v1/dead-letters:groups?limit=5";

/// Dead letters of one cause.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    signature: String,
    organization: Option<String>,
    index: Option<String>,
    sync_job: Option<String>,
    count: i64,
    code: String,
    message: String,
    newest_failed_at: DateTime<Utc>,
}

pub(super) async fn show(session: Session, State(console): State<Console>) -> Result<Page, Refusal> {
    let status = status::read(&console.pool).await?;
    let activity = activity::last_hour(&console.pool).await?;
    let groups: List<Group> = console.api.get(&session, GROUPS).await?;
    let body = html! {
        (attention(&concerns(&status)))
        (figures(&status))
        (sparklines(&activity))
        (tables::syncs(&status.syncs))
        (tables::indexes(&status))
        (tables::dead_letters(&groups.items))
        (tables::workers(&status.workers))
    };
    Ok(Page::new(Section::Overview, "Overview", body))
}

fn attention(concerns: &[Concern]) -> Markup {
    html! {
        @if concerns.is_empty() {
            p .notice.good { "Everything is fresh, and nothing needs attention." }
        } @else {
            h2 { "Needs attention" }
            ul .concerns {
                @for concern in concerns {
                    li class={ "notice " (concern.tone.class()) } {
                        (parts::badge(concern.tone, concern.tone.word())) " "
                        a href=(concern.path) { (parts::cut(&concern.what, 120)) }
                        @if let Some(why) = &concern.why { " " span .soft { (parts::cut(why, 240)) } }
                    }
                }
            }
        }
    }
}

fn figures(status: &Status) -> Markup {
    let enabled: Vec<_> = status.syncs.iter().filter(|sync| sync.enabled).collect();
    let fresh = enabled.iter().filter(|sync| sync.health == "fresh").count();
    // As if what was never synced had been, when its job was made: the one that has waited longest is the oldest.
    let oldest_sync = enabled.iter().max_by(|a, b| a.unsynced_seconds.total_cmp(&b.unsynced_seconds));
    let backlog: i64 = status.indexes.iter().map(|index| index.backlog).sum();
    let oldest = status.indexes.iter().filter_map(|index| index.oldest_enqueued_at).min();
    let dead = dead_letters(status);
    let alive = status.workers.iter().filter(|worker| worker.alive).count();
    let open = status.workers.iter().filter(|worker| worker.alive && worker.breaker != "closed").count();
    let none_or = |number: usize, tone: Tone| if number == 0 { Tone::Good } else { tone };
    html! {
        h2 { "Now" }
        div .figures {
            (parts::figure(none_or(enabled.len() - fresh, Tone::Warn), &html! { (fresh) " of " (enabled.len()) }, "sync jobs fresh", Some("/console/syncs")))
            (parts::figure(Tone::Quiet, &oldest_sync.map_or_else(parts::dash, |sync| sync.last_synced_at.map_or_else(|| html! { "never" }, parts::time)), "oldest sync", Some("/console/syncs")))
            (parts::figure(Tone::Quiet, &html! { (parts::count(backlog)) }, "writes waiting", Some("/console/indexes")))
            (parts::figure(Tone::Quiet, &oldest.map_or_else(parts::dash, parts::time), "oldest unprojected write", Some("/console/indexes")))
            (parts::figure(none_or(usize::from(dead > 0), Tone::Bad), &html! { (parts::counted(dead)) }, "dead letters", Some("/console/dead-letters")))
            (parts::figure(if alive == 0 { Tone::Bad } else { Tone::Good }, &html! { (alive) }, "workers alive", None))
            (parts::figure(none_or(open, Tone::Bad), &html! { (open) }, "breakers open", None))
        }
    }
}

/// Of all indexes and sync jobs together.
fn dead_letters(status: &Status) -> i64 {
    let indexes = status.indexes.iter().map(|index| index.dead_letters);
    indexes.chain(status.syncs.iter().map(|sync| sync.dead_letters)).sum()
}

fn sparklines(activity: &Activity) -> Markup {
    let lines = [
        ("Accepted", &activity.accepted, "writes/s", Tone::Busy),
        ("Projected", &activity.projected, "documents/s", Tone::Good),
        ("Synced", &activity.synced, "rows/s", Tone::Good),
        ("Died", &activity.died, "dead letters a minute", Tone::Bad),
    ];
    html! {
        h2 { "The last hour" }
        div .figures {
            @for (name, values, unit, tone) in lines {
                @let most = values.iter().copied().fold(0.0, f64::max);
                @let last = values.last().copied().unwrap_or_default();
                @let told = format!("{name}, {unit}: {} in the last minute, {} at most", rate(last), rate(most));
                div .figure {
                    span .label { (name) ", " (unit) }
                    span .value { (rate(last)) }
                    (parts::sparkline(values, tone, &told))
                    span .label { "at most " (rate(most)) }
                }
            }
        }
    }
}

fn rate(value: f64) -> String {
    if value == 0.0 || value >= 10.0 { parts::count(value.round() as i64) } else { format!("{value:.1}") }
}
