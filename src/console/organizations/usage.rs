//! What an organization has used of its plan, as a picture.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::api;
use crate::console::{
    Console,
    api::Refusal,
    parts::{self, Tone},
    session::Session,
};

/// From this share on a cap is near.
const NEAR: f64 = 0.8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    used: i64,
    limit: Option<i64>,
    resets_at: DateTime<Utc>,
    pub(super) wallet_minor: i64,
    pub(super) wallet_reserved_minor: i64,
    documents: Held,
    indexes: Held,
    keys: Held,
}

#[derive(Deserialize)]
struct Held {
    used: i64,
    limit: Option<i64>,
}

pub(super) async fn of(console: &Console, session: &Session, org: &str) -> Result<Usage, Refusal> {
    console.api.get(session, &api(org, "/usage")).await
}

pub(super) fn picture(usage: &Usage) -> Markup {
    let held = [("Documents", &usage.documents), ("Indexes", &usage.indexes), ("Keys", &usage.keys)];
    html! {
        div .gauges {
            (gauge("Units this month", usage.used, usage.limit))
            @for (label, Held { used, limit }) in held { (gauge(label, *used, *limit)) }
        }
        p .hint { "A document that is written or deleted is a unit, and so is a search. The month ends " (parts::time(usage.resets_at)) "." }
    }
}

/// A bar that fills towards its cap.
pub(super) fn gauge(label: &str, used: i64, limit: Option<i64>) -> Markup {
    let share = limit.map(|limit| used as f64 / limit.max(1) as f64);
    let tone = match share {
        Some(share) if share >= 1.0 => Tone::Bad,
        Some(share) if share >= NEAR => Tone::Warn,
        _ => Tone::Good,
    };
    let told = match limit {
        Some(limit) => format!("{} of {}", parts::count(used), parts::count(limit)),
        None => format!("{}, no cap", parts::count(used)),
    };
    html! {
        div class={ "gauge " (tone.class()) } {
            p { span { (label) } " " b { (told) } @if let Some(share) = share { span .soft { " · " (format!("{:.0} %", share * 100.0)) } } }
            svg viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={ (label) ": " (told) } {
                rect .all width="100" height="4" {}
                rect .used width=(format!("{:.2}", share.unwrap_or(0.0).clamp(0.0, 1.0) * 100.0)) height="4" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_never_leaves_its_frame() {
        for (used, limit, width) in
            [(0, Some(10), "0.00"), (5, Some(10), "50.00"), (20, Some(10), "100.00"), (5, None, "0.00")]
        {
            let drawn = gauge("a", used, limit).into_string();
            assert!(drawn.contains(&format!(r#"class="used" width="{width}""#)), "{drawn}");
        }
    }
}
