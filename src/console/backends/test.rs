//! Whether a Typesense can be used, as it is shown.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::API;
use crate::console::{
    Console,
    api::Refusal,
    parts::{self, Tone},
    session::Session,
};

#[derive(Deserialize)]
struct Found {
    latency_ms: u64,
    version: Option<String>,
    collections: usize,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    url: String,
    healthy: bool,
    version: Option<String>,
    error: Option<String>,
}

/// Asks a Typesense, stored or not, how it is.
pub(super) async fn told(console: &Console, session: &Session, target: &Value) -> Markup {
    match console.api.post::<Found>(session, &format!("{API}/test"), target).await {
        Ok(found) => can_be_used(&found),
        Err(refusal) => can_not(&refusal, target["base_url"].as_str()),
    }
}

fn can_be_used(found: &Found) -> Markup {
    let is_whole = found.nodes.iter().all(|node| node.healthy);
    let release = found.version.as_deref().map(|version| format!(" It is Typesense {version}.")).unwrap_or_default();
    html! {
        div class={ "notice " (if is_whole { "good" } else { "warn" }) } role="status" {
            p { b { "It can be used." } (release) " It holds " (found.collections) " collections, and answered in " (found.latency_ms) " ms." }
            ul .plain {
                @for node in &found.nodes {
                    li {
                        @if node.healthy { (parts::badge(Tone::Good, "healthy")) } @else { (parts::badge(Tone::Bad, "away")) }
                        " " code { (parts::cut(&node.url, 80)) }
                        @if let Some(version) = &node.version { " " (version) }
                        @if let Some(error) = &node.error { " " (error) }
                    }
                }
            }
        }
    }
}

fn can_not(refusal: &Refusal, url: Option<&str>) -> Markup {
    html! {
        div .notice.bad role="alert" {
            p { b { @if let Some(url) = url { (parts::cut(url, 80)) } @else { "It" } " can't be used:" } " " (refusal.in_a_sentence()) }
        }
    }
}
