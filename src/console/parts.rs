//! What pages are made of.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, PreEscaped, html};

use crate::db::status::COUNTED_TO;

/// How something is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Busy,
    Warn,
    Bad,
    Quiet,
}

impl Tone {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }

    /// What it says where nothing else does.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "under way",
            Self::Warn => "look",
            Self::Bad => "act",
            Self::Quiet => "quiet",
        }
    }

    /// Of a word that Tidewell says of jobs, runs, syncs, breakers and reindexes.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "succeeded" | "success" | "fresh" | "closed" | "live" | "ok" => Self::Good,
            "queued" | "running" | "retrying" | "building" | "half_open" => Self::Busy,
            "paused" | "partial" | "overdue" | "never_synced" | "superseded" => Self::Warn,
            "failed" | "dead" | "open" | "error" => Self::Bad,
            _ => Self::Quiet,
        }
    }
}

/// A word with its colour; the word alone says it, too.
pub(super) fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (word.replace('_', " ")) } }
}

/// A word that Tidewell says of how something is doing.
pub(super) fn state(word: &str) -> Markup {
    badge(Tone::of(word), word)
}

/// A moment. A script tells how long ago that is; without one it is the time itself.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    let exact = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    html! { time datetime=(exact) title=(exact) { (at.format("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// As [`time`], or a dash.
pub(super) fn time_if(at: Option<DateTime<Utc>>) -> Markup {
    at.map_or_else(dash, time)
}

/// Nothing to show.
pub(super) fn dash() -> Markup {
    html! { span .none { "–" } }
}

/// A number a person reads: `1,234,567`.
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        grouped.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of the status, which counts no further than it says.
pub(super) fn counted(number: i64) -> String {
    let more = if number >= COUNTED_TO { "+" } else { "" };
    format!("{}{more}", count(number))
}

/// A length of time a person reads, by its two largest units at most: `3 min 20 s`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 1.0 => format!("{} ms", (seconds.max(0.0) * 1000.0).round()),
        (0, 0, 0) if seconds < 10.0 => format!("{seconds:.1} s"),
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min {} s", whole % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Something that went wrong.
pub(super) fn alert(message: &str) -> Markup {
    html! { p .notice.bad role="alert" { (message) } }
}

/// Why there is nothing here, and what would make it otherwise.
pub(super) fn empty(message: &str) -> Markup {
    html! { p .empty { (message) } }
}

/// A word that is shown whole when it is short, and cut where it is not; all of it is in the title.
pub(super) fn cut(text: &str, chars: usize) -> Markup {
    match text.char_indices().nth(chars) {
        Some((end, _)) => {
            let most: String = text.chars().take(1000).collect();
            html! { bdi title=(most) { (&text[..end]) "…" } }
        }
        None => html! { bdi { (text) } },
    }
}

/// JSON as a person reads it.
pub(super) fn json(value: &serde_json::Value) -> Markup {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    html! { pre .json tabindex="0" { code { (text) } } }
}

/// A field of a collection, in Typesense's words: its name, its type, and what is so of it.
pub(super) fn field(field: &serde_json::Value) -> Markup {
    let text = |name: &str| field[name].as_str().unwrap_or_default();
    let so = ["facet", "sort", "optional", "infix"].into_iter().filter(|name| field[*name] == true);
    html! {
        b { (cut(text("name"), 60)) } " " code { (text("type")) }
        @for word in so { " " span .soft { (word) } }
        @if field["index"] == false { " " span .soft { "not indexed" } }
    }
}

/// A text to copy, with a button that does.
pub(super) fn copied(text: &str, called: &str) -> Markup {
    html! {
        div .copied {
            pre tabindex="0" { code { (text) } }
            button .copy type="button" data-copy=(text) aria-label={ "Copy " (called) } { "Copy" }
        }
    }
}

/// A key that was just made, and the way on.
pub(super) fn new_key(name: &str, secret: &str, path: &str) -> Markup {
    html! {
        p { "This is the key " b { (cut(name, 60)) } ". It is shown this once and stored nowhere: copy it now." }
        (copied(secret, "the key"))
        p { a .button href=(path) { "I have it" } }
    }
}

/// A figure with what it is. `path` leads to more of it.
pub(super) fn figure(tone: Tone, value: &Markup, label: &str, path: Option<&str>) -> Markup {
    let inner = html! { span .value { (value) } span .label { (label) } };
    html! {
        @match path {
            Some(path) => a class={ "figure " (tone.class()) } href=(path) { (inner) },
            None => div class={ "figure " (tone.class()) } { (inner) },
        }
    }
}

/// The way to the next page of a list.
pub(super) fn next(path: Option<&str>) -> Markup {
    html! { @if let Some(path) = path { p .next { a .button rel="next" href=(path) { "Older" } } } }
}

/// How far something is, 0 to 100.
pub(super) fn progress(percent: f64, label: &str) -> Markup {
    let percent = percent.clamp(0.0, 100.0);
    html! {
        span .progress {
            progress max="100" value=(format!("{percent:.1}")) aria-label=(label) {}
            span { (format!("{percent:.0} %")) }
        }
    }
}

/// Values over time as a line of its own, each a step of the same length; `label` says what they are.
pub(super) fn sparkline(values: &[f64], tone: Tone, label: &str) -> Markup {
    const WIDTH: f64 = 240.0;
    const HEIGHT: f64 = 44.0;
    let most = values.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let step = WIDTH / (values.len().max(2) - 1) as f64;
    let point = |(n, value): (usize, &f64)| {
        format!("{:.1},{:.1}", n as f64 * step, HEIGHT - 2.0 - value / most * (HEIGHT - 4.0))
    };
    let points = values.iter().enumerate().map(point).collect::<Vec<_>>().join(" ");
    html! {
        svg class={ "spark " (tone.class()) } viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            polygon points={ "0," (HEIGHT) " " (points) " " (WIDTH) "," (HEIGHT) } {}
            polyline points=(points) {}
        }
    }
}

/// A sign; what it stands for is said beside it.
pub(super) fn icon(name: &str) -> Markup {
    let path = match name {
        "wave" => "M2 15c3 0 3-3 6-3s3 3 6 3 3-3 6-3M2 9c3 0 3-3 6-3s3 3 6 3 3-3 6-3",
        "menu" => "M3 6h16M3 11h16M3 16h16",
        "theme" => "M11 3a8 8 0 1 0 0 16zM11 3a8 8 0 0 1 0 16",
        "pulse" => "M2 12h4l3-8 4 14 3-6h4",
        "letter" => "M3 5h16v12H3zM3 6l8 6 8-6",
        "list" => "M8 6h11M8 11h11M8 16h11M4 6h.01M4 11h.01M4 16h.01",
        "search" => "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12M14.5 14.5 19 19",
        "layers" => "m11 3 8 4-8 4-8-4zM3 11l8 4 8-4M3 15l8 4 8-4",
        "people" => "M8 4a3 3 0 1 0 0 6 3 3 0 0 0 0-6M2 19c0-4 2-6 6-6s6 2 6 6M15 5a3 3 0 0 1 0 5M17 13c2 1 3 3 3 6",
        "sync" => "M4 9a7 7 0 0 1 13-2l2 2M19 4v5h-5M18 13a7 7 0 0 1-13 2l-2-2M3 18v-5h5",
        "database" => "M4 6c0-4 14-4 14 0v10c0 4-14 4-14 0zM4 6c0 4 14 4 14 0M4 11c0 4 14 4 14 0",
        "server" => "M3 4h16v6H3zM3 12h16v6H3zM6 7h.01M6 15h.01",
        "key" => "M7 9a4 4 0 1 0 0 8 4 4 0 0 0 0-8M10 10l8-7M15 6l3 3",
        _ => "",
    };
    html! {
        svg .icon viewBox="0 0 22 22" width="18" height="18" aria-hidden="true" focusable="false" {
            (PreEscaped(format!(r#"<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"/>"#)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, -1_234_567].map(count), ["0", "999", "1,000", "-1,234,567"]);
    }

    #[test]
    fn lengths_of_time_are_told_by_their_largest_units() {
        let told = [0.25, 4.26, 42.0, 200.0, 7_260.0, 200_000.0].map(duration);
        assert_eq!(told, ["250 ms", "4.3 s", "42 s", "3 min 20 s", "2 h 1 min", "2 d 7 h"]);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2).into_string(), r#"<bdi title="äöü">äö…</bdi>"#);
        assert_eq!(cut("<b>", 9).into_string(), "<bdi>&lt;b&gt;</bdi>");
    }

    #[test]
    fn a_line_of_no_or_one_value_is_drawn_too() {
        for values in [&[][..], &[0.0], &[1.0, 2.0]] {
            assert!(!sparkline(values, Tone::Good, "a").into_string().contains("NaN"));
        }
    }
}
