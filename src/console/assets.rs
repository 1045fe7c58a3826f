//! The console's own style and scripts, built in. Their addresses change with what is in them, so a browser may keep them for ever.

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use xxhash_rust::xxh3::xxh3_64;

/// A file of the console.
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static str,
}

pub(super) const STYLE: Asset =
    Asset { name: "console.css", kind: "text/css; charset=utf-8", body: include_str!("assets/console.css") };
pub(super) const SCRIPT: Asset =
    Asset { name: "console.js", kind: "text/javascript; charset=utf-8", body: include_str!("assets/console.js") };
/// Before the first paint, or a dark page would flash white.
pub(super) const THEME: Asset =
    Asset { name: "theme.js", kind: "text/javascript; charset=utf-8", body: include_str!("assets/theme.js") };
pub(super) const ICON: Asset = Asset { name: "icon.svg", kind: "image/svg+xml", body: include_str!("assets/icon.svg") };

impl Asset {
    pub(super) fn path(&self) -> String {
        format!("/console/assets/{:016x}/{}", xxh3_64(self.body.as_bytes()), self.name)
    }
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/console/assets/{version}/{name}", get(serve))
}

async fn serve(Path((_, name)): Path<(String, String)>) -> Response {
    match [STYLE, SCRIPT, THEME, ICON].into_iter().find(|asset| asset.name == name) {
        Some(Asset { kind, body, .. }) => {
            let keep = "public, max-age=31536000, immutable";
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
