//! What was logged of something, as a part of its page.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Console,
    api::{List, Refusal, with_query},
    parts::{self, Tone},
    session::Session,
};

/// In the query of a page: the lines before those that it shows by itself.
pub(super) const BEFORE: &str = "before";

#[derive(Deserialize)]
struct Line {
    at: DateTime<Utc>,
    level: String,
    message: String,
    fields: Map<String, Value>,
    process: String,
}

/// The last lines of a log of the API, newest last. `here` is the page's own path, and `before` what its query says of [`BEFORE`].
pub(super) async fn log(
    console: &Console,
    session: &Session,
    api: &str,
    here: &str,
    before: Option<&str>,
) -> Result<Markup, Refusal> {
    let lines: List<Line> = console.api.get(session, &with_query(api, &[("cursor", before)])).await?;
    let older = lines.next_cursor.as_deref().map(|cursor| with_query(here, &[(BEFORE, Some(cursor))]));
    Ok(html! {
        h2 #log { "Log" }
        @if lines.items.is_empty() {
            (parts::empty("Nothing was logged of it, or it is so long ago that the lines are not kept any more."))
        } @else {
            @if let Some(older) = older { p { a href={ (older) "#log" } { "Earlier lines" } } }
            div .scroll tabindex="0" role="region" aria-label="Log lines" {
                table .log {
                    thead { tr { th { "Time (UTC)" } th { "Level" } th { "What" } th { "Process" } } }
                    tbody { @for line in &lines.items { (row(line)) } }
                }
            }
            @if before.is_some() { p { a href={ (here) "#log" } { "The last lines" } } }
        }
    })
}

fn row(line: &Line) -> Markup {
    let tone = match &*line.level {
        "error" => Tone::Bad,
        "warn" => Tone::Warn,
        _ => Tone::Quiet,
    };
    // The page is about these.
    let known = ["job_id", "run_id", "reindex_id"];
    let fields = line.fields.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    html! {
        tr {
            td .tight { code { (line.at.format("%Y-%m-%d %H:%M:%S%.3f")) } }
            td .tight { (parts::badge(tone, &line.level)) }
            td {
                (parts::cut(&line.message, 300))
                dl .told { @for (name, value) in fields { div { dt { (name) } dd { (told(value)) } } } }
            }
            td { (parts::cut(&line.process, 60)) }
        }
    }
}

fn told(value: &Value) -> Markup {
    match value {
        Value::String(text) => parts::cut(text, 300),
        other => html! { (other) },
    }
}
